"""Who gives feedback: P(feedback | user, answer), and weights that make up for it."""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from fedrlhf.data.traces.events import Event
from fedrlhf.data.traces.evidence import Floats

_RIDGE = 1.0  # on standardised features: a few answers do not make a probability of 0 or 1


def features(events: Sequence[Event]) -> Floats:
    """Return what may sway a student to react: place, length, graded, code, A/B; standardised.

    Returns:
        Shape [turns, 5]; a feature that never varies is 0.
    """
    raw = np.array([[np.log1p(event.turn), np.log1p(len(event.answer)), event.graded,
                     "```" in event.answer, event.alternative is not None] for event in events],
                   float).reshape(-1, 5)
    spread = raw.std(axis=0)
    return np.divide(raw - raw.mean(axis=0), spread, out=np.zeros_like(raw), where=spread > 1e-9)


def feedback_probabilities(events: Sequence[Event], observed: Sequence[bool]) -> Floats:
    """Return a logistic model's P(feedback) of one user's answers.

    Logistic regression with a ridge penalty on all but the intercept. An imagined answer with and
    one without feedback keep the intercept finite.

    Args:
        events: The user's answers.
        observed: Whether each one has feedback.
    """
    if not events:
        return np.zeros(0)
    matrix, seen = features(events), np.asarray(observed, float)

    def loss(point: Floats) -> tuple[float, Floats]:
        scores = point[0] + matrix @ point[1:]
        missed = expit(scores) - seen
        both = np.logaddexp(0.0, point[0]) + np.logaddexp(0.0, -point[0])
        value = (np.logaddexp(0.0, scores).sum() - seen @ scores + both
                 + _RIDGE / 2 * point[1:] @ point[1:])
        slope = np.concatenate([[missed.sum() + 2.0 * expit(point[0]) - 1.0],
                                matrix.T @ missed + _RIDGE * point[1:]])
        return float(value), slope

    best = minimize(loss, np.zeros(1 + matrix.shape[1]), jac=True, method="L-BFGS-B").x
    return expit(best[0] + matrix @ best[1:])


def feedback_weights(probabilities: Floats, clip: float) -> Floats:
    """Return 1 / P(feedback), at most `clip`."""
    return np.minimum(1.0 / probabilities, clip)


def self_normalised(weights: Sequence[float]) -> list[float]:
    """Return weights with mean 1, so that a user who rarely reacts counts as much as others."""
    mean = sum(weights) / len(weights) if weights else 0.0
    return [weight / mean for weight in weights] if mean > 0 else list(weights)
