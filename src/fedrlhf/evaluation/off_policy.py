"""What another policy would have earned, from what the logging policy was rewarded for.

With importance weights w = pi_e(a|x) / pi_b(a|x): Horvitz-Thompson (IPW), its self-normalised form
(SNIPW), and doubly robust estimates (Dudik et al., 2014; Switch-DR: Wang et al., 2017). Arrays have
one entry for each logged answer.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def importance_weights(target: ArrayLike, behaviour: ArrayLike,
                       clip: float | None = None) -> Floats:
    """Return pi_e / pi_b of each logged answer, at most `clip`.

    Raises:
        ValueError: A probability is not within its range: behaviour (0, 1], target [0, 1].
    """
    over, under = np.asarray(target, float), np.asarray(behaviour, float)
    if not (np.all((under > 0) & (under <= 1)) and np.all((over >= 0) & (over <= 1))):
        raise ValueError("behaviour probabilities must lie in (0, 1], the target's in [0, 1]")
    return over / under if clip is None else np.minimum(over / under, clip)


def log_weights(target: ArrayLike, behaviour: ArrayLike) -> Floats:
    """Return log pi_e - log pi_b of each logged answer from natural logarithms, at most 50.

    A whole text's probability is often too small for a float, and its weight too large: from e^50
    on such a row outweighs all others, by how much does not matter.
    """
    return np.minimum(np.asarray(target, float) - np.asarray(behaviour, float), 50.0)


def ipw(rewards: ArrayLike, weights: ArrayLike) -> float:
    """Return mean(w r); unbiased with weights that are not clipped."""
    return float(np.mean(np.asarray(weights, float) * np.asarray(rewards, float)))


def snipw(rewards: ArrayLike, weights: ArrayLike) -> float:
    """Return sum(w r) / sum(w): biased, of less variance, within the rewards' range.

    Raises:
        ValueError: All weights are 0: the target never gives a logged answer.
    """
    kept = np.asarray(weights, float)
    if kept.sum() <= 0:
        raise ValueError("the weights sum to 0: the target policy gives none of the logged answers")
    return float(kept @ np.asarray(rewards, float) / kept.sum())


def doubly_robust(rewards: ArrayLike, weights: ArrayLike, predicted: ArrayLike,
                  expected: ArrayLike, switch: float | None = None) -> float:
    """Return mean( q(x, pi_e) + w (r - q(x, a)) ), the mean of `doubly_robust_terms`.

    Unbiased if the weights or the predictions are right.
    """
    return float(np.mean(doubly_robust_terms(rewards, weights, predicted, expected, switch)))


def doubly_robust_terms(rewards: ArrayLike, weights: ArrayLike, predicted: ArrayLike,
                        expected: ArrayLike, switch: float | None = None) -> Floats:
    """Return q(x, pi_e) + w (r - q(x, a)) of each logged answer.

    Args:
        rewards: r of each logged answer.
        weights: w, not clipped.
        predicted: q(x, a), the reward that a model predicts for the logged answer.
        expected: q(x, pi_e), its mean over the target policy's answers.
        switch: Correct only where w is at most this (Switch-DR); None: everywhere.
    """
    kept = np.asarray(weights, float)
    if switch is not None:
        kept = np.where(kept <= switch, kept, 0.0)
    residuals = np.asarray(rewards, float) - np.asarray(predicted, float)
    return np.asarray(np.asarray(expected, float) + kept * residuals)


def effective_sample_size(weights: ArrayLike) -> float:
    """Return (sum w)^2 / sum w^2 (Kish): so many equally weighted rows tell as much; 0 of none."""
    kept = np.asarray(weights, float)
    squares = float(np.sum(kept**2))
    return float(kept.sum()) ** 2 / squares if squares else 0.0
