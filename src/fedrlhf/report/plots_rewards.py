"""Drawings of rewards: along the rounds, at the clients, and over the knob lambda."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from fedrlhf.report.figure import FONT, colour, dots, level, picture, plane, series, upright
from fedrlhf.report.parts import Key, Picture
from fedrlhf.report.rewards import Reached, Setting
from fedrlhf.report.words import listed, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NAMES = {"reward": "reward as mixed", "shared_reward": "shared part",
          "personal_reward": "personal part"}


def along_rounds(reached: Sequence[Reached]) -> Picture:
    """Draw the mean rewards of the clients' completions with their spread over clients."""
    def draw(figure: "Figure") -> None:
        axes = plane(figure, "reward of a completion", "completions written by all clients")
        across = [one.completions for one in reached]
        for place, part in enumerate(_NAMES):
            mean = [one.mean[part] for one in reached]
            spread = [one.deviation[part] for one in reached]
            axes.plot(across, mean, color=colour(series(place)), marker="o", markersize=3.5)
            axes.fill_between(across, [m - s for m, s in zip(mean, spread, strict=True)],
                              [m + s for m, s in zip(mean, spread, strict=True)],
                              color=colour(series(place)), alpha=0.15, linewidth=0)

    first, last = reached[0].mean["reward"], reached[-1].mean["reward"]
    return picture("rewards", "Lines: rewards along the rounds",
                   f"While training; from {first:.2f} to {last:.2f} as mixed. Bands: one standard "
                   "deviation over the round's clients.", draw, height=260,
                   keys=[Key(name, series(place)) for place, name in enumerate(_NAMES.values())])


def at_clients(gains: Mapping[str, tuple[float, float]]) -> Picture:
    """Draw each client's gain in shared and personal reward as a point.

    Args:
        gains: Shared and personal gain by client.
    """
    def draw(figure: "Figure") -> None:
        axes = plane(figure, "gain in personal reward", "gain in shared reward")
        dots(axes, list(gains.values()), series(0), 40)
        level(axes, 0.0)
        upright(axes, 0.0)

    worse = [plain(client, 30) for client, (_, personal) in gains.items() if personal < 0]
    named = listed(worse[:5]) + (" …" if len(worse) > 5 else "")
    lost = f"Personal reward fell at {named}." if worse else "Personal reward fell at no client."
    return picture("gains", "Points: gains in shared and personal reward, a point a client",
                   f"Held-out prompts, after minus before. {lost}", draw, height=260)


def tradeoff(found: Mapping[str, Sequence[Setting]]) -> Picture:
    """Draw personal against shared reward over lambda, a line a method."""
    def draw(figure: "Figure") -> None:
        axes = plane(figure, "personal reward, held-out prompts",
                     "shared reward, held-out prompts")
        for place, settings in enumerate(found.values()):
            shared, personal = ([getattr(one, part) for one in settings]
                                for part in ("shared", "personal"))
            axes.errorbar(
                [one.value for one in shared], [one.value for one in personal],
                xerr=[[one.value - one.low for one in shared],
                      [one.high - one.value for one in shared]],
                yerr=[[one.value - one.low for one in personal],
                      [one.high - one.value for one in personal]],
                color=colour(series(place)), ecolor=colour(series(place)), marker="o",
                markersize=5, elinewidth=0.8)
            for one in settings:
                axes.annotate(f"{one.weight:g}", (one.shared.value, one.personal.value),
                              xytext=(5, 5), textcoords="offset points", fontsize=FONT - 2)
        axes.margins(0.08)

    seeds = sorted({one.seeds for settings in found.values() for one in settings})
    over = (f"Intervals over {listed([str(n) for n in seeds])} seeds" if seeds[-1] > 1
            else "Intervals over clients, one seed")
    return picture("tradeoff", "Lines: personal against shared reward over lambda",
                   f"The numbers are lambda, the weight of the personal part. {over}. Up and right "
                   "is better.", draw, height=330,
                   keys=[Key(plain(name, 30), series(place)) for place, name in enumerate(found)])


def efficiency(curves: Mapping[str, Sequence[Reached]], weight: float) -> Picture:
    """Draw the mixed reward against the completions that all clients wrote, a line a method."""
    def draw(figure: "Figure") -> None:
        axes = plane(figure, f"reward as mixed, lambda = {weight:g}",
                     "completions written by all clients")
        for place, reached in enumerate(curves.values()):
            axes.plot([one.completions for one in reached],
                      [one.mean["reward"] for one in reached], color=colour(series(place)),
                      marker="o", markersize=3.5)

    return picture("efficiency", "Lines: reward against completions, a line a method",
                   "While training, mean over the round's clients and over seeds.", draw,
                   height=260, keys=[Key(plain(name, 30), series(place))
                                     for place, name in enumerate(curves)])
