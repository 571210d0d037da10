"""Rewards as the pages need them: along the rounds, at the clients, and over the knob lambda."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fedrlhf.evaluation.intervals import t_interval
from fedrlhf.report.artifacts import Artifacts, facts, finite, numbers
from fedrlhf.report.rounds import strategy_name

PARTS = ("reward", "shared_reward", "personal_reward")


@dataclass(frozen=True)
class Reached:
    """Rewards of a round's completions while the policy was trained on them.

    Attributes:
        completions: How many all clients have written up to the round's end.
        mean: Of each part, over the round's clients.
        deviation: Standard deviation over the round's clients.
    """

    completions: float
    mean: dict[str, float]
    deviation: dict[str, float]


@dataclass(frozen=True)
class Point:
    """A result with its interval; over seeds if there are several, otherwise over clients."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Setting:
    """What a method reached with one lambda."""

    weight: float
    shared: Point
    personal: Point
    seeds: int


def reward_curve(artifacts: Artifacts) -> list[Reached]:
    """Return the rewards along the rounds; nothing where no online objective was trained."""
    found: list[Reached] = []
    written = 0.0
    for row in artifacts.rounds:
        clients = [numbers(one) for one in facts(row.get("client_metrics")).values()]
        clients = [one for one in clients if {"completions", *PARTS} <= set(one)]
        if not clients:
            continue
        written += sum(one["completions"] for one in clients)
        found.append(Reached(
            written, {part: float(np.mean([one[part] for one in clients])) for part in PARTS},
            {part: float(np.std([one[part] for one in clients])) for part in PARTS}))
    return found


def method(artifacts: Artifacts) -> str:
    """Name how a run shares: centralised, local only, or its strategy."""
    if artifacts.setting("partition.pool_training") is True:
        return "centralised"
    name = strategy_name(artifacts) or "?"
    return {"LocalOnly": "local only", "FedBis": "federated"}.get(name, name)


def knob(runs: Sequence[Artifacts]) -> dict[str, list[Setting]]:
    """Return, for each method with two lambdas or more, what it reached with each of them."""
    members: dict[tuple[str, float], list[Artifacts]] = defaultdict(list)
    for run in runs:
        weight = finite(run.setting("reward.weight"))
        if weight is not None and all(f"policy.{part}_after" in run.results for part in PARTS):
            members[method(run), weight].append(run)
    found: dict[str, list[Setting]] = defaultdict(list)
    for (name, weight), group in sorted(members.items()):
        found[name].append(Setting(weight, _point(group, "shared_reward"),
                                   _point(group, "personal_reward"), len(group)))
    return {name: settings for name, settings in found.items() if len(settings) > 1}


def _point(runs: Sequence[Artifacts], part: str) -> Point:
    name = f"policy.{part}_after"
    values = [run.results[name] for run in runs]
    mean = float(np.mean(values))
    level = finite(runs[0].setting("evaluate.level")) or 0.95
    if over_seeds := t_interval(values, level):
        return Point(mean, *over_seeds)
    return Point(mean, runs[0].results.get(f"{name}_low", mean),
                 runs[0].results.get(f"{name}_high", mean))
