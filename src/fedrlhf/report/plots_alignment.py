"""Drawings of predicted shares of opinion: along the rounds and at the groups."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from fedrlhf.report.figure import Point, colour, dots, picture, plane, series, whole_numbers
from fedrlhf.report.parts import Key, Picture
from fedrlhf.report.words import fixed, listed, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def along_rounds(measured: Sequence[Point]) -> Picture:
    """Draw the mean score over training groups at each validation, (round, score)."""
    def draw(figure: "Figure") -> None:
        axes = plane(figure, "alignment score, validation", "round")
        axes.plot(*zip(*measured, strict=True), color=colour(series(0)), marker="o", markersize=3.5)
        whole_numbers(axes.xaxis)

    return picture("alignment", "Line: mean alignment score of the training groups over rounds",
                   f"Mean over the groups that train: {fixed(measured[0][1], 3)} in round "
                   f"{measured[0][0]:g}, {fixed(measured[-1][1], 3)} in round "
                   f"{measured[-1][0]:g}. 1 is a perfect prediction.", draw)


def at_groups(trained: Mapping[str, Point], unseen: Mapping[str, Point]) -> Picture:
    """Draw each group's score against that of equal shares.

    Args:
        trained: The score of equal shares and of the predictor, by group that trained.
        unseen: The same of the others.
    """
    every = {**trained, **unseen}
    ends = [f(value for point in every.values() for value in point) for f in (min, max)]

    def draw(figure: "Figure") -> None:
        axes = plane(figure, "alignment score, test", "score of equal shares")
        axes.plot(ends, ends, color=colour("soft"), linewidth=1, linestyle=(0, (3, 3)), zorder=1)
        for place, points in enumerate((trained, unseen)):
            if points:
                dots(axes, list(points.values()), series(place), 40)

    worse = [plain(name, 30) for name, (equal, score) in every.items() if score < equal]
    below = f"Worse than equal shares at {listed(worse)}." if worse else (
        "Every group is predicted better than by equal shares.")
    keys = [Key(name, series(place), "dot") for place, (name, points) in enumerate(
        (("trained", trained), ("unseen", unseen))) if points]
    return picture("groups_alignment", "Points: alignment score against that of equal shares",
                   f"A point a group; the line: no better than equal shares. {below}", draw,
                   height=260, keys=keys)
