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

    Logistic regression with a ridge penalty on all but the intercept.

    Args:
        events: The user's answers.
        observed: Whether each one has feedback.
    """
    if not events:
        return np.zeros(0)
    matrix = np.column_stack([np.ones(len(events)), features(events)])
    # Two imagined answers at the user's mean, one with feedback and one without.
    rows = np.vstack([matrix, np.eye(2, matrix.shape[1])[[0, 0]]])
    seen = np.array([*observed, True, False], float)
    ridge = _RIDGE * np.diag([0.0] + [1.0] * (matrix.shape[1] - 1))

    def loss(point: Floats) -> float:
        scores = rows @ point
        return float(np.logaddexp(0.0, scores).sum() - seen @ scores + point @ ridge @ point / 2)

    def slope(point: Floats) -> Floats:
        return rows.T @ (expit(rows @ point) - seen) + ridge @ point

    def bend(point: Floats) -> Floats:
        chance = expit(rows @ point)
        return (rows * (chance * (1.0 - chance))[:, None]).T @ rows + ridge

    start = np.zeros(matrix.shape[1])
    best = minimize(loss, start, method="trust-exact", jac=slope, hess=bend).x
    return expit(matrix @ best)


def feedback_weights(probabilities: Floats, clip: float) -> Floats:
    """Return 1 / P(feedback), at most `clip`."""
    return np.minimum(1.0 / probabilities, clip)


def self_normalised(weights: Sequence[float]) -> list[float]:
    """Return weights with mean 1, so that a user who rarely reacts counts as much as others."""
    mean = sum(weights) / len(weights) if weights else 0.0
    return [weight / mean for weight in weights] if mean > 0 else list(weights)
