"""Drawings of what became of a file of traces."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fedrlhf.report.figure import boxes, dots, picture, plane, upright, whole_numbers
from fedrlhf.report.parts import Key, Picture
from fedrlhf.report.plots import row_height, row_names
from fedrlhf.report.words import counted, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BINS = 20
_NAME = 30  # characters beside a row
_COLOURS = {"pair": "c1", "rating": "c2", "nothing": "soft"}


@dataclass(frozen=True)
class Fate:
    """A fate, how many answers had it, and what it gave: a pair, a rating or nothing."""

    name: str
    count: int
    gave: str


@dataclass(frozen=True)
class Strength:
    """An outcome, its starting log-odds and those that were fitted, one for each user."""

    name: str
    start: float
    fitted: Sequence[float]


def fates(found: Sequence[Fate]) -> Picture:
    """Draw how many answers ended in each fate as horizontal bars."""
    total = sum(fate.count for fate in found)
    used = sum(fate.count for fate in found if fate.gave != "nothing")

    def draw(figure: "Figure") -> None:
        axes = plane(figure, "", "answers")
        for gave, name in _COLOURS.items():
            boxes(axes, [(0.0, row - 0.35, float(fate.count), 0.7)
                         for row, fate in enumerate(found) if fate.gave == gave], name)
        row_names(axes, [f"{fate.name} ({fate.count:,})" for fate in found], _NAME + 10)
        whole_numbers(axes.xaxis)
        axes.set_xlim(0, 1.05 * max(fate.count for fate in found))

    return picture("fates", "Bars: answers by what became of them",
                   f"{counted(used, 'answer')} of {total:,} ({percent(used / total)}) became "
                   "training data.", draw, height=row_height(len(found)) + 60,
                   keys=[Key(label, _COLOURS[gave], "band") for label, gave in (
                       ("in a pair", "pair"), ("rated", "rating"), ("not used", "nothing"))])


def probabilities(satisfaction: Sequence[float], learning: Sequence[float]) -> Picture:
    """Draw P(good) of the answers that a channel knows something about, one plane a channel."""
    shown = [(name, values, colour) for name, values, colour in (
        ("satisfaction", satisfaction, "c3"), ("learning", learning, "c4")) if values]

    def draw(figure: "Figure") -> None:
        for place, (name, values, colour) in enumerate(shown, 1):
            across = "P(good)" if place == len(shown) else ""
            axes = plane(figure, f"answers with evidence of {name}", across,
                         (len(shown), 1, place))
            _histogram(axes, values, colour)

    return picture("channels", "Histograms: P(good) of the answers by channel",
                   f"{counted(len(satisfaction), 'answer')} with evidence of satisfaction, "
                   f"{len(learning):,} with evidence of learning; the line is the starting point.",
                   draw, height=60 + 120 * len(shown))


def _histogram(axes: "Axes", values: Sequence[float], colour: str) -> None:
    counts = [0] * _BINS
    for value in values:
        counts[min(int(value * _BINS), _BINS - 1)] += 1
    boxes(axes, [(place / _BINS, 0.0, 0.9 / _BINS, float(count))
                 for place, count in enumerate(counts) if count], colour)
    upright(axes, 0.5)
    whole_numbers(axes.yaxis, 3)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.1 * max(counts))


def strengths(found: Sequence[Strength]) -> Picture:
    """Draw the log-odds of the observed outcomes: the table's and each user's."""
    def draw(figure: "Figure") -> None:
        axes = plane(figure, "", "log-odds of a good answer")
        fitted = [(value, float(row)) for row, one in enumerate(found) for value in one.fitted]
        dots(axes, fitted, "c1", 26, opacity=0.6)
        dots(axes, [(one.start, float(row)) for row, one in enumerate(found)], "ink", 40,
             marker="D", hollow=True)
        row_names(axes, [one.name for one in found], _NAME)
        upright(axes, 0.0)

    return picture("strengths", "Dots: log-odds of each outcome by user",
                   "What each observed trace says about an answer: the starting value and the "
                   "value fitted to each user who left it.", draw,
                   height=row_height(len(found)) + 60,
                   keys=[Key("starting value", "ink", "diamond"), Key("a user's", "c1", "dot")])


def fate_list(counts: Mapping[str, int], gave: Mapping[str, str]) -> list[Fate]:
    """Return fates with their counts: pairs first, then ratings, then what was not used."""
    order = list(_COLOURS)
    return sorted((Fate(name, count, gave.get(name, "nothing")) for name, count in counts.items()),
                  key=lambda fate: (order.index(fate.gave), -fate.count, fate.name))
