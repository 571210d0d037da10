"""Drawings of the tutor's stages: votes, DPO, reward along the way, best of n, time."""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import exp, floor
from typing import TYPE_CHECKING

from fedrlhf.report.artifacts import Facts, finite
from fedrlhf.report.figure import (
    FONT,
    boxes,
    colour,
    level,
    picture,
    plane,
    upright,
    whole_numbers,
)
from fedrlhf.report.parts import Key, Picture
from fedrlhf.report.words import counted, duration, fixed, percent, signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Points = Sequence[tuple[float, float]]  # step and value
_BINS = 24


def votes(counts: Counter[float], selectors: int, judges: str = "selectors") -> Picture:
    """Draw how many of the selectors, or clients, are for the chosen completion."""
    total = sum(counts.values())
    unanimous = counts[float(selectors)]

    def draw(figure: "Figure") -> None:
        axes = plane(figure, "labelled pairs", f"votes for the chosen completion, of {selectors}")
        split = [(votes - 0.2, 0.0, 0.4, float(count)) for votes, count in counts.items()
                 if votes < selectors]
        boxes(axes, split, "c2")
        boxes(axes, [(selectors - 0.2, 0.0, 0.4, float(unanimous))], "c1")
        whole_numbers(axes.xaxis)
        whole_numbers(axes.yaxis, 5)
        axes.set_xlim(min(counts) - 0.6, selectors + 0.6)
        axes.set_ylim(bottom=0)

    return picture("votes", "Bars: labelled pairs by the number of votes",
                   f"The {judges} are of one mind on {percent(unanimous / total)} of the pairs.",
                   draw, height=200, keys=[Key("unanimous", "c1", "band"),
                                           Key("divided", "c2", "band")])


def log_odds(values: Sequence[float]) -> Picture:
    """Draw a histogram of the mean log-odds that the chosen completion is better."""
    median = sorted(values)[len(values) // 2]
    return _histogram(
        values, 0.1, "mean log-odds that the chosen one is better",
        "Histogram: certainty of the vote",
        f"Half of the labels have log-odds below {median:.2f}, that is a probability below "
        f"{percent(_sigmoid(median))} of being right by the selectors' own account.")


def gaps(values: Sequence[float]) -> Picture:
    """Draw a histogram of the gaps between the joint rewards of chosen and rejected."""
    median = sorted(values)[len(values) // 2]
    return _histogram(values, 1e-6, "joint reward, chosen minus rejected",
                      "Histogram: joint rewards",
                      f"Half of the labelled pairs have a gap below {median:.3g}.")


def _histogram(values: Sequence[float], least: float, across: str, title: str,
               caption: str) -> Picture:
    """Draw a histogram at least so wide."""
    # Zero is the edge of a bin, so that no bin mixes pairs that the mean and the vote judge apart.
    width = (max(least, *values) - min(0.0, *values)) / _BINS
    counts = Counter(floor(value / width) for value in values)

    def draw(figure: "Figure") -> None:
        axes = plane(figure, "labelled pairs", across)
        boxes(axes, [((place + 0.06) * width, 0.0, 0.88 * width, float(count))
                     for place, count in counts.items()], "c1")
        upright(axes, 0.0)
        whole_numbers(axes.yaxis, 5)
        axes.set_ylim(bottom=0)

    return picture("logodds", title, caption, draw, height=200)


def _sigmoid(value: float) -> float:
    return 1 / (1 + exp(-value)) if value > -700 else 0.0


def trainer_curves(panels: Sequence[tuple[str, Points, float | None]], kind: str) -> Picture:
    """Draw the trainer's numbers over its steps, one above the other.

    Args:
        panels: The quantity with its unit, its values by step, and where an untrained tutor is,
            if that is known.
        kind: What is trained: DPO or SFT.
    """
    def draw(figure: "Figure") -> None:
        for place, (label, points, start) in enumerate(panels, 1):
            axes = plane(figure, label, f"{kind} step" if place == len(panels) else "",
                         (len(panels), 1, place))
            if start is not None:
                level(axes, start)
            _line(axes, points, "c1", markers=len(points) <= 40)
            whole_numbers(axes.xaxis)
            axes.margins(x=0.03)

    ends = [f"{label.partition(' (')[0]} {fixed(points[0][1], 3)} → {fixed(points[-1][1], 3)}"
            for label, points, _ in panels]
    keys = [Key("this run", "c1")]
    if any(start is not None for _, _, start in panels):
        keys.append(Key("untrained", "soft", "dash"))
    return picture(f"trainer_{kind.lower()}", f"Lines: the trainer's numbers over {kind} steps",
                   f"From the first step to the last: {'; '.join(ends)}.", draw,
                   height=45 + 115 * len(panels), keys=keys)


def reward_curve(rows: Sequence[Facts]) -> Picture:
    """Draw the selectors' opinion and the true utility of the tutor along DPO's steps."""
    proxy = _points(rows, "proxy")
    utility = _points(rows, "utility")
    panels = [panel for panel in (
        ("selectors' log-odds against the start (proxy)", proxy, "c2"),
        ("true utility of an answer", utility, "c1")) if panel[1]]

    def draw(figure: "Figure") -> None:
        for place, (label, points, name) in enumerate(panels, 1):
            axes = plane(figure, label, "DPO step" if place == len(panels) else "",
                         (len(panels), 1, place))
            if name == "c1":
                _interval_band(axes, rows)
            _line(axes, points, name)
            whole_numbers(axes.xaxis)
            axes.margins(x=0.03)

    return picture("reward", "Lines: proxy reward and true utility over DPO steps",
                   _reward_caption(proxy, utility), draw, height=45 + 172 * len(panels), keys=[
                       Key("proxy", "c2"),
                       *([Key("true utility, with its interval", "c1")] if utility else [])])


def _reward_caption(proxy: Points, utility: Points) -> str:
    if not utility:
        return (f"The selectors' own opinion of the tutor moved by "
                f"{signed(proxy[-1][1] - proxy[0][1])}.")
    text = f"True utility moved by {signed(utility[-1][1] - utility[0][1])}"
    if proxy:
        text += f" while the selectors' opinion moved by {signed(proxy[-1][1] - proxy[0][1])}"
    best = max(utility, key=lambda point: point[1])
    return f"{text}; its highest point is at step {best[0]:g}."


def _interval_band(axes: "Axes", rows: Sequence[Facts]) -> None:
    found = [(step, low, high) for row in rows
             if (step := finite(row.get("step"))) is not None
             and (low := finite(row.get("utility_low"))) is not None
             and (high := finite(row.get("utility_high"))) is not None]
    if found:
        steps, low_ends, high_ends = zip(*found, strict=True)
        axes.fill_between(steps, low_ends, high_ends, color=colour("c1"), alpha=0.18, linewidth=0)


def best_of_n(counts: Sequence[float], curves: Mapping[str, Sequence[float]]) -> Picture:
    """Draw the expected true utility of the best of n answers, chosen by vote and by truth."""
    labels = {"vote": ("chosen by the selectors' vote", "c1"),
              "oracle": ("chosen by the truth", "soft")}

    def draw(figure: "Figure") -> None:
        axes = plane(figure, "expected true utility", "answers to choose from, n")
        for judge, values in curves.items():
            _line(axes, list(zip(counts, values, strict=False)), labels[judge][1])
        whole_numbers(axes.xaxis)

    return picture("bestof", "Lines: expected utility of the best of n",
                   _best_caption(counts, curves), draw,
                   keys=[Key(*labels[judge]) for judge in curves])


def _best_caption(counts: Sequence[float], curves: Mapping[str, Sequence[float]]) -> str:
    vote, oracle = curves.get("vote"), curves.get("oracle")
    if not vote:
        return "The most that choosing can reach."
    text = f"Choosing the best of {counts[-1]:g} by the vote adds {signed(vote[-1] - vote[0])}"
    if oracle and oracle[-1] > oracle[0]:
        share = (vote[-1] - vote[0]) / (oracle[-1] - oracle[0])
        return f"{text}, {percent(share)} of what the truth would add, without any training."
    return f"{text} without any training."


def stage_times(seconds: Mapping[str, float]) -> Picture:
    """Draw how long each stage took."""
    names = list(seconds)

    def draw(figure: "Figure") -> None:
        axes = plane(figure, "", "seconds, over all attempts")
        boxes(axes, [(0.0, row - 0.3, seconds[name], 0.6) for row, name in enumerate(names)], "c1")
        for row, name in enumerate(names):
            axes.annotate(duration(seconds[name]), (seconds[name], row), xytext=(5, 0),
                          textcoords="offset points", va="center", fontsize=FONT - 1)
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.grid(False)
        axes.set_xlim(0, 1.2 * max(*seconds.values(), 0.1))

    slowest = max(seconds, key=lambda name: seconds[name])
    share = seconds[slowest] / max(sum(seconds.values()), 1e-9)
    return picture("times", "Bars: seconds of each stage",
                   f"{counted(len(names), 'stage')} took {duration(sum(seconds.values()))}; "
                   f"{slowest} took {percent(share)} of it.", draw, height=60 + 26 * len(names))


def _points(rows: Sequence[Facts], name: str) -> Points:
    return [(step, value) for row in rows if (step := finite(row.get("step"))) is not None
            and (value := finite(row.get(name))) is not None]


def _line(axes: "Axes", points: Points, name: str, markers: bool = True) -> None:
    axes.plot(*zip(*points, strict=True), color=colour(name), marker="o" if markers else "",
              markersize=4.5)


