"""What the policies of a trace file are worth: those that answered, and others in its rows.

The reward of an answer is what its traces say (`channels.Reward`); one without traces has the
P(good) of its user's table. Final hints that were reached by gaming are left out. Intervals are
bootstraps over users; with one user there is none.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fedrlhf.data.traces.channels import Judged, Reward
from fedrlhf.data.traces.training_data import UserData
from fedrlhf.data.turns import prompt_key
from fedrlhf.evaluation.intervals import Interval, ratio_interval
from fedrlhf.evaluation.off_policy import (
    Floats,
    doubly_robust_terms,
    effective_sample_size,
    ipw,
    log_weights,
    snipw,
)

CLIP = 10.0  # the largest weight of IPW and SNIPW; beyond it doubly robust does not correct
_LEVEL, _RESAMPLES, _SEED = 0.95, 2000, 0


@dataclass(frozen=True)
class Value:
    """What a policy's own answers earned.

    Attributes:
        answers: How many.
        users: Who got them.
        reward: Mean.
        interval: Of the mean.
        satisfaction: Mean P(good).
        learning: Likewise.
    """

    answers: int
    users: int
    reward: float
    interval: Interval
    satisfaction: float
    learning: float


@dataclass(frozen=True)
class Estimate:
    """What a policy would have earned that did not give the answers.

    Attributes:
        answers: Those whose probabilities are known under both policies.
        effective: Their effective number by the weights before clipping.
        clipped: How many weights are above `CLIP`.
        ipw: With clipped weights.
        snipw: Likewise; NaN where the policy gives none of the answers.
        snipw_interval: Of it.
        doubly_robust: Predicted is the mean reward of the other answers to the same prompt, of all
            others where there are none.
        doubly_robust_interval: Of it.
    """

    answers: int
    effective: float
    clipped: int
    ipw: float
    snipw: float
    snipw_interval: Interval
    doubly_robust: float
    doubly_robust_interval: Interval


def logged_values(users: Sequence[UserData], reward: Reward) -> dict[str, Value]:
    """Return the value of each policy and version that answered, by name."""
    found: dict[str, list[Judged]] = defaultdict(list)
    for one in _counted(users):
        policy = one.reading.event.policy
        found[f"{policy.id} {policy.version}".strip()].append(one)
    return {name: _value(found[name], reward) for name in sorted(found)}


def estimates(users: Sequence[UserData], reward: Reward) -> dict[str, Estimate]:
    """Return the value of each policy in the rows' `other_log_probs`, by name."""
    found: dict[str, list[Judged]] = defaultdict(list)
    for one in _counted(users):
        for name in one.reading.event.other_log_probs:
            found[name].append(one)
    return {name: _estimate(found[name], name, reward) for name in sorted(found)}


def _counted(users: Sequence[UserData]) -> list[Judged]:
    return [one for user in users for one in user.judged if not one.reading.gamed]


def _value(rows: Sequence[Judged], reward: Reward) -> Value:
    rewards = np.array([reward.of(one) for one in rows])
    ones = np.ones(len(rows))
    return Value(len(rows), len(set(_owners(rows))), float(rewards.mean()),
                 _over_users(rows, rewards, ones),
                 float(np.mean([one.satisfaction for one in rows])),
                 float(np.mean([one.learning for one in rows])))


def _estimate(rows: Sequence[Judged], name: str, reward: Reward) -> Estimate:
    events = [one.reading.event for one in rows]
    rewards = np.array([reward.of(one) for one in rows])
    weights = np.exp(log_weights([event.other_log_probs[name] for event in events],
                                 [event.behaviour_log_prob or 0.0 for event in events]))
    kept = np.minimum(weights, CLIP)
    predicted = _others(rows, rewards)
    terms = doubly_robust_terms(rewards, weights, predicted, predicted, CLIP)
    value = snipw(rewards, kept) if kept.any() else float("nan")
    return Estimate(
        len(rows), effective_sample_size(weights), int((weights > CLIP).sum()),
        ipw(rewards, kept), value, _over_users(rows, kept * rewards, kept), float(terms.mean()),
        _over_users(rows, terms, np.ones(len(rows))))


def _others(rows: Sequence[Judged], rewards: Floats) -> Floats:
    """Return the mean reward of the other answers to the same prompt, else of all others."""
    prompts = [prompt_key(one.reading.event.context) for one in rows]
    sums: Mapping[str, list[float]] = defaultdict(list)
    for prompt, value in zip(prompts, rewards.tolist(), strict=True):
        sums[prompt].append(value)
    every = rewards.tolist()
    found = []
    for prompt, value in zip(prompts, every, strict=True):
        group = sums[prompt] if len(sums[prompt]) > 1 else every
        found.append((sum(group) - value) / (len(group) - 1) if len(group) > 1 else value)
    return np.array(found)


def _owners(rows: Sequence[Judged]) -> list[str]:
    return [one.reading.event.user for one in rows]


def _over_users(rows: Sequence[Judged], counts: Floats, totals: Floats) -> Interval:
    """Bootstrap the ratio of sums over users; who has no weight at all cannot sway it."""
    sums: dict[str, Floats] = defaultdict(lambda: np.zeros(2))
    for user, count, total in zip(_owners(rows), counts, totals, strict=True):
        sums[user] += (count, total)
    kept = [pair for pair in sums.values() if pair[1] > 0]
    return ratio_interval([pair[0] for pair in kept], [pair[1] for pair in kept], _LEVEL,
                          _RESAMPLES, _SEED)
