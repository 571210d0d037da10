"""The drawing of who belonged to which selector, round by round."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from fedrlhf.report.figure import (
    Box,
    Point,
    boxes,
    dots,
    picture,
    plane,
    series,
    whole_numbers,
)
from fedrlhf.report.parts import Key, Picture
from fedrlhf.report.plots import bands, row_height, row_names
from fedrlhf.report.rounds import Round
from fedrlhf.report.words import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_CELLS = 1500  # beyond this, equal neighbours become one box and single trainings are not marked
Trained = Mapping[tuple[int, str], int]  # selector by round and client


def grouping(rounds: Sequence[Round], clients: Sequence[Sequence[str]], names: Sequence[str],
             trained: Trained) -> Picture:
    """Draw clients by rounds, coloured by selector.

    Args:
        rounds: The rounds in order.
        clients: The clients of each planted group in the order in which they are drawn; one group
            where none are known.
        names: The groups' names; empty where none are known.
        trained: Which selector a client trained, for each used update.
    """
    flat = [client for group in clients for client in group]
    small = len(flat) * len(rounds) <= _CELLS
    selectors = sorted({u for record in rounds for u in record.grouping.values()}
                       | set(trained.values()))

    def draw(figure: "Figure") -> None:
        axes = plane(figure, "", "round")
        for selector in selectors:
            found = list(_boxes(rounds, flat, selector, 0.1 if small else 0.0))
            boxes(axes, found, series(selector), 0.8)
        if small:
            _mark(axes, rounds, flat, trained)
        axes.set_xlim(rounds[0].number - 0.55, rounds[-1].number + 0.55)
        row_names(axes, flat)
        if names:
            bands(axes, [len(group) for group in clients], names)
        whole_numbers(axes.xaxis, 10)

    return picture(
        "grouping", "Grid: the selector of each client in each round", _caption(rounds, small),
        draw, height=row_height(len(flat)) + 50, keys=[
            *(Key(f"selector {selector}", series(selector), "band") for selector in selectors),
            *([Key("trained in this round", "soft", "inset")] if small else []),
            *([Key("update not used", "soft", "inset crossed")] if small and any(
                record.rejected for record in rounds) else [])])


def _caption(rounds: Sequence[Round], small: bool) -> str:
    first = next(record.number for record in rounds if record.grouping)
    clients = len(rounds[-1].grouping)
    text = f"Clients were grouped from round {first} on, {counted(clients, 'client')} in the end"
    return text + ("; a dot is a client that trained in that round." if small else ".")


def _boxes(rounds: Sequence[Round], flat: Sequence[str], selector: int,
           gap: float) -> Iterator[Box]:
    """Yield the cells of a selector; without gaps, neighbours in a row become one box."""
    for row, client in enumerate(flat):
        start: int | None = None
        for record in rounds:
            inside = record.grouping.get(client) == selector
            if inside and gap:
                yield record.number - 0.5 + gap / 2, row - 0.5 + gap / 2, 1 - gap, 1 - gap
            elif inside and start is None:
                start = record.number
            elif not inside and start is not None:
                yield start - 0.5, row - 0.5, record.number - start, 1
                start = None
        if start is not None:
            yield start - 0.5, row - 0.5, rounds[-1].number + 1 - start, 1


def _mark(axes: "Axes", rounds: Sequence[Round], flat: Sequence[str], trained: Trained) -> None:
    """Mark who trained and whose update was lost, in a colour that shows on the cell."""
    rows = {client: row for row, client in enumerate(flat)}
    grouped = {record.number: record.grouping for record in rounds}
    found: dict[tuple[str, str], list[Point]] = {}
    for (number, client), selector in trained.items():
        if client in rows:
            name = "panel" if client in grouped[number] else series(selector)
            found.setdefault((name, "o"), []).append((number, rows[client]))
    for record in rounds:
        for client, _ in record.rejected:
            if client in rows:
                name = "panel" if client in record.grouping else "soft"
                found.setdefault((name, "x"), []).append((record.number, rows[client]))
    for (name, marker), points in sorted(found.items()):
        dots(axes, points, name, 18, marker=marker)
