"""Drawings of the federation: shards, learning curves, grouping, agreement."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from fedrlhf.report.figure import (
    FONT,
    Box,
    boxes,
    colour,
    dots,
    level,
    percentages,
    picture,
    plane,
    series,
    upright,
    whole_numbers,
)
from fedrlhf.report.parts import Key, Picture
from fedrlhf.report.rounds import ClientResult
from fedrlhf.report.words import counted, percent, plain
from fedrlhf.types import SPLITS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Losses = Mapping[int, Mapping[int, Sequence[float]]]  # by selector and round
_MANY = 8  # more curves than this are drawn alike: nobody can tell them apart
_CROWDED = 40  # more rounds or rows than this leave no room for dots or names
_JUDGES = (  # name, label, colour, marker, legend shape
    ("length", "“the longer one wins”", "soft", "|", "tick"),
    ("oracle", "oracle (true tastes)", "soft", "D", "diamond"),
    ("own", "own selector", "c2", "s", "square"),
    ("personal", "personal model", "c3", "s", "square"),
    ("vote", "the selectors' vote", "c1", "o", "dot"))


def shard_sizes(sizes: Sequence[Mapping[str, float]], what: str = "preference pairs") -> Picture:
    """Draw the clients' shards as bars of their splits, the largest first.

    Args:
        sizes: Each client's numbers by split.
        what: What is counted, in the plural.
    """
    noun = what.rpartition(" ")[2]
    ordered = sorted(sizes, key=lambda size: -sum(size.values()))
    totals = [sum(size.values()) for size in ordered]

    def draw(figure: "Figure") -> None:
        axes = plane(figure, what, "clients, largest shard first")
        for name, split in zip(("c1", "c3", "c4"), SPLITS, strict=True):
            boxes(axes, _stacked(ordered, split), name)
        whole_numbers(axes.xaxis)
        whole_numbers(axes.yaxis, 5)
        axes.set_ylim(0, 1.05 * max(*totals, 1))

    spread = (f"All {counted(len(totals), 'shard')} hold {totals[0]:,.0f} {noun}."
              if totals[0] == totals[-1] else
              f"The shards hold between {totals[-1]:,.0f} and {totals[0]:,.0f} {noun}.")
    return picture("shards", f"Bars: {noun} of each client by split", spread, draw, keys=[
        Key(split, name, "band") for name, split in zip(("c1", "c3", "c4"), SPLITS, strict=True)])


def _stacked(ordered: Sequence[Mapping[str, float]], split: str) -> list[Box]:
    """Return the bars of one split, each above the splits that come before it."""
    below = SPLITS[:SPLITS.index(split)]
    width = 0.8 if len(ordered) <= 80 else 1.0  # gaps between very thin bars only flicker
    return [(place - width / 2, sum(size.get(name, 0.0) for name in below), width,
             size.get(split, 0.0)) for place, size in enumerate(ordered, 1)]


def tastes(longer: Mapping[str, float], first: Mapping[str, float],
           groups: Mapping[str, str]) -> Picture:
    """Draw two shares of each client as dots that stack where they are close."""
    names = sorted({groups[client] for client in {*longer, *first} if client in groups})
    coloured = {name: series(place) for place, name in enumerate(names[:_MANY])}
    rows = [row for row in (("longer", longer), ("shown first", first)) if row[1]]
    spread = max(abs(value - 0.5) for _, shares in rows for value in shares.values())

    def draw(figure: "Figure") -> None:
        for place, (name, shares) in enumerate(rows, 1):
            axes = plane(figure, f"chosen was {name}",
                         "share of a client's choices" if place == len(rows) else "",
                         (len(rows), 1, place))
            _strip(axes, shares, {client: coloured.get(group, "c1")
                                  for client, group in groups.items()})
            axes.set_xlim(0.5 - max(0.2, 1.15 * spread), 0.5 + max(0.2, 1.15 * spread))
            upright(axes, 0.5)

    low, high = min(rows[0][1].values()), max(rows[0][1].values())
    return picture(
        "tastes", "Dots: shares of each client's choices",
        f"Each dot is a client; the share that chose the completion that was {rows[0][0]} runs "
        f"from {percent(low)} to {percent(high)}.", draw, height=70 + 75 * len(rows),
        keys=[Key(f"planted group {plain(name, 20)}", chosen, "dot")
              for name, chosen in coloured.items()])


def _strip(axes: "Axes", shares: Mapping[str, float], colours: Mapping[str, str]) -> None:
    """Stack the dots of a one-dimensional scatter in bins, from the middle outwards."""
    bins: dict[int, int] = {}
    found: dict[str, list[tuple[float, float]]] = {}
    for client, value in sorted(shares.items(), key=lambda item: (item[1], item[0])):
        place = round(value * 100)
        index = bins[place] = bins.get(place, -1) + 1
        height = (index + 1) // 2 * (1 if index % 2 else -1)
        found.setdefault(colours.get(client, "c1"), []).append((value, height))
    for name, points in sorted(found.items()):
        dots(axes, points, name, 36, opacity=0.85)
    reach = max(3, *bins.values()) / 2 + 1
    axes.set_ylim(-reach, reach)
    axes.set_yticks([])
    axes.grid(False)
    percentages(axes.xaxis)


def learning_curves(losses: Losses, validation: Mapping[int, float], last_warmup: int,
                    chance: bool, tutor: bool = False) -> Picture:
    """Draw the training loss by selector (or of the tutor) over rounds, clients as faint dots."""
    many = len(losses) > _MANY
    means = {selector: {number: sum(found) / len(found) for number, found in sorted(by.items())}
             for selector, by in losses.items()}

    def draw(figure: "Figure") -> None:
        axes = plane(figure, "training loss (nats)", "round")
        if last_warmup:
            axes.axvspan(0.5, last_warmup + 0.5, color=colour("shade"), linewidth=0, zorder=0)
        for selector, by in losses.items():
            _curve(axes, by, means[selector], "c1" if many else series(selector), many)
        if validation:
            axes.plot(list(validation), list(validation.values()), color=colour("ink"),
                      linewidth=1.2, marker="D", markersize=5, markerfacecolor="none")
        if chance:
            level(axes, math.log(2))
        whole_numbers(axes.xaxis)
        axes.set_xlim(0.5, max(number for by in losses.values() for number in by) + 0.5)

    keys = [Key("the tutor" if tutor else f"selector {selector}", series(selector))
            for selector in losses] if not many else [Key(f"{len(losses)} selectors", "c1")]
    whose = "the tutor" if tutor else "each selector"
    return picture(
        "curves", f"Lines: mean training loss of {whose} over rounds",
        _curve_caption(losses, last_warmup), draw, height=240, keys=[
            *keys, *([Key("validation, all clients", "ink", "diamond")] if validation else []),
            *([Key("guessing, ln 2", "soft", "dash")] if chance else []),
            *([Key("warm-up", "shade", "band")] if last_warmup else [])])


def _curve(axes: "Axes", by_round: Mapping[int, Sequence[float]], means: Mapping[int, float],
           name: str, thin: bool) -> None:
    single = [(float(number), loss) for number, found in by_round.items() for loss in found]
    crowded = max(by_round) - min(by_round) >= _CROWDED
    if not thin and not crowded:
        dots(axes, single, name, 12, opacity=0.4)
    axes.plot(list(means), list(means.values()), color=colour(name), linewidth=1 if thin else 2,
              alpha=0.4 if thin else 1, marker="" if thin or crowded else "o", markersize=4)


def _curve_caption(losses: Losses, last_warmup: int) -> str:
    pooled: dict[int, list[float]] = {}
    for by in losses.values():
        for number, found in by.items():
            pooled.setdefault(number, []).extend(found)
    first, last = min(pooled), max(pooled)
    start, end = (sum(pooled[number]) / len(pooled[number]) for number in (first, last))
    single = " (dots: single ones)" if len(losses) <= _MANY and last - first < _CROWDED else ""
    text = (f"Mean loss of the clients that trained{single}: {start:.3f} in round {first}, "
            f"{end:.3f} in round {last}")
    return text + ("; in the warm-up everybody trains one selector after the other."
                   if last_warmup else ".")


def agreement(clients: Sequence[Sequence[ClientResult]], names: Sequence[str], vote: str,
              own_differs: bool) -> Picture:
    """Draw each client's agreement with the judges, group by group.

    Args:
        clients: The clients of each group in the order in which they are drawn.
        names: The groups' names.
        vote: Who votes, in words.
        own_differs: Whether a client's own selector is another judge than the vote.
    """
    flat = [client for group in clients for client in group]
    shown = [judge for judge in _JUDGES if (judge[0] != "own" or own_differs)
             and any(judge[0] in client.rates for client in flat)]

    def draw(figure: "Figure") -> None:
        axes = plane(figure, "", "agreement with the client's held-out preferences")
        for judge, _, name, marker, _ in shown:
            _judge(axes, flat, judge, name, marker)
        row_names(axes, [client.client for client in flat])
        bands(axes, [len(group) for group in clients], names)
        upright(axes, 0.5)
        percentages(axes.xaxis)

    ordered = sorted(flat, key=lambda client: client.rates.get("vote", 0.0))
    low, high = ordered[0], ordered[-1]
    return picture(
        "agreement", "Dots: agreement of each client with the judges",
        f"Each row is a client; agreement runs from {percent(low.rates['vote'])} "
        f"({plain(low.client, 30)}) to {percent(high.rates['vote'])} ({plain(high.client, 30)}).",
        draw, height=row_height(len(flat)) + 60,
        keys=[Key(vote if judge == "vote" else label, name, shape)
              for judge, label, name, _, shape in reversed(shown)])


def _judge(axes: "Axes", flat: Sequence[ClientResult], judge: str, name: str, marker: str) -> None:
    points = [(client.rates[judge], float(row)) for row, client in enumerate(flat)
              if judge in client.rates]
    area = 34 if len(flat) <= 2 * _CROWDED else 10
    dots(axes, points, name, area, marker=marker, hollow=marker == "D")


def row_height(rows: int) -> float:
    """Return the height of a drawing with one row for each client, in points."""
    return rows * 17 if rows <= _CROWDED else min(8 * rows, 520)


def row_names(axes: "Axes", names: Sequence[str], most: int = 16) -> None:
    """Put a client into each row, the first on top; many clients stay nameless."""
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(False)
    if len(names) <= _CROWDED:
        axes.set_yticks(range(len(names)), [plain(name, most) for name in names], fontsize=FONT - 1)
        axes.hlines(range(len(names)), 0, 1, transform=axes.get_yaxis_transform(),
                    color=colour("edge"), linewidth=0.6, alpha=0.6, zorder=0)
    else:
        axes.set_yticks([])
        axes.set_ylabel(f"{len(names)} clients")


def bands(axes: "Axes", sizes: Sequence[int], names: Sequence[str]) -> None:
    """Mark groups of rows by a strip at the right side, with the groups' names beside it."""
    start = 0
    for place, (size, name) in enumerate(zip(sizes, names, strict=True)):
        axes.plot([1.03, 1.03], [start - 0.35, start + size - 0.65], clip_on=False, linewidth=4,
                  transform=axes.get_yaxis_transform(), solid_capstyle="butt",
                  color=colour("soft"), alpha=0.75 if place % 2 else 0.35)
        if len(names) <= _CROWDED // 2:
            axes.text(1.05, start + (size - 1) / 2, f" {plain(name, 14)}", va="center",
                      transform=axes.get_yaxis_transform(), color=colour("soft"), fontsize=FONT - 1)
        start += size
