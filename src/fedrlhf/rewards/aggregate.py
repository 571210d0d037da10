"""Join the rewards that groups give to the same completions into one.

Srewa et al., 2025 (arXiv 2512.08786) and APPA (arXiv 2604.04261). Shapes: G groups, C completions.
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import logsumexp, softmax
from scipy.stats import rankdata

Rewards = np.ndarray  # of groups, shape (G, C); joint ones, shape (C,)


def mean_reward(rewards: Rewards) -> Rewards:
    """Return the mean over groups."""
    return np.asarray(rewards, float).mean(axis=0)


def min_reward(rewards: Rewards) -> Rewards:
    """Return the reward of the group that likes a completion least."""
    return np.asarray(rewards, float).min(axis=0)


def max_reward(rewards: Rewards) -> Rewards:
    """Return the reward of the group that likes a completion most."""
    return np.asarray(rewards, float).max(axis=0)


def borda_reward(rewards: Rewards) -> Rewards:
    """Return the mean Borda points: the share of the other completions that a group ranks lower.

    Equal rewards share their points. From 0 (last for every group) to 1 (first for every group);
    a single completion gets 0.
    """
    rewards = np.asarray(rewards, float)
    lower = rankdata(rewards, axis=1) - 1
    return lower.mean(axis=0) / max(rewards.shape[1] - 1, 1)


def group_weights(history: Sequence[float], temperature: float) -> np.ndarray:
    """Return alpha_g = softmax_g((1 - h_g)/T): more for groups that were served badly, (G,).

    Args:
        history: h_g, the groups' alignment so far, 0 to 1.
        temperature: T. As it grows, all groups count alike; near 0 the worst one counts alone.

    Raises:
        ValueError: T is not greater than 0.
    """
    if not temperature > 0:
        raise ValueError(f"the temperature must be greater than 0, got {temperature:g}")
    return softmax((1 - np.asarray(history, float)) / temperature)  # type: ignore[no-any-return]


def adaptive_reward(rewards: Rewards, history: Sequence[float], fairness: float,
                    threshold: float = 0.9, temperature: float = 0.1) -> Rewards:
    """Return the mean where groups are served evenly, else a reward that favours the worst served.

    r = mean_g r_g if FI >= threshold, else r = log((1/G) sum_g exp(alpha_g r_g)) with the weights
    alpha of `group_weights` (Srewa et al., 2025). The second is not on the scale of the first: with
    equal weights and equal rewards r0 it is r0/G, so the two are not to be mixed in one batch.

    Args:
        rewards: Shape (G, C).
        history: The groups' alignment so far.
        fairness: FI, the fairness index at present (`evaluation.alignment.fairness_index`).
        threshold: Paper: 0.9; APPA: 0.99.
        temperature: Paper: 0.1.
    """
    rewards = np.asarray(rewards, float)
    if fairness >= threshold:
        return mean_reward(rewards)
    alpha = group_weights(history, temperature)
    return logsumexp(alpha[:, None] * rewards, axis=0) - np.log(len(rewards))  # type: ignore[no-any-return]


def updated_history(history: Sequence[float], alignment: Sequence[float],
                    decay: float = 0.8) -> np.ndarray:
    """Return the exponential moving average h <- decay h + (1 - decay) alignment (APPA), (G,)."""
    return decay * np.asarray(history, float) + (1 - decay) * np.asarray(alignment, float)


def served(rewards: Rewards, joint: Rewards) -> np.ndarray:
    """Return for each group the share of completion pairs that it orders as the joint reward does.

    A pair that one of them leaves undecided counts one half. 1: exactly the group's own order, 0:
    its reverse. Shape (G,).
    """
    first, second = np.triu_indices(len(joint), 1)
    own = np.sign(rewards[:, first] - rewards[:, second])
    return (1 + own * np.sign(joint[first] - joint[second])).mean(axis=1) / 2  # type: ignore[no-any-return]
