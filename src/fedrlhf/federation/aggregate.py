"""The mathematics of aggregation: pure functions on adapter vectors.

Shapes: A replies, D values. Sums are in float64 over replies in a fixed order, so that the result
does not depend on who answered first; results are float32, as adapters travel.
"""

from collections.abc import Sequence

import numpy as np

Vector = np.ndarray


def weighted_sum(vectors: Sequence[Vector], weights: Sequence[float]) -> Vector:
    """Return sum_a w_a x_a as float64, shape (D,)."""
    total = np.zeros(vectors[0].shape, np.float64)
    for vector, weight in zip(vectors, weights, strict=True):
        total += weight * vector.astype(np.float64)
    return total


def weighted_mean(vectors: Sequence[Vector], weights: Sequence[float]) -> Vector:
    """Return the mean weighted by p_m / sum p (Eq. 4 of FedBiscuit in its normalised form)."""
    total = float(np.sum(weights))
    return weighted_sum(vectors, [weight / total for weight in weights]).astype(np.float32)


def scaled_sum(vectors: Sequence[Vector], weights: Sequence[float], clients: int) -> Vector:
    """Return (M/A) sum_m p_m phi_m, Eq. 4 as printed.

    Its weights add up to one only in expectation over cohorts, or where p_m = 1/M.

    Args:
        vectors: The replies' adapters.
        weights: p_m of each reply, a share of all clients' weight.
        clients: M, the number of all clients.
    """
    scale = clients / len(vectors)
    return weighted_sum(vectors, [scale * weight for weight in weights]).astype(np.float32)


def residual_step(old: Vector, vectors: Sequence[Vector], weights: Sequence[float]) -> Vector:
    """Return (1 - sum p) old + sum_m p_m phi_m, Eq. 8 of FedBiscuit.

    Args:
        old: The adapter before the round.
        vectors: The replies' adapters.
        weights: p_m of each reply, a share of all clients' weight; their sum is at most 1.
    """
    rest = 1.0 - float(np.sum(weights))
    return weighted_sum([old, *vectors], [rest, *weights]).astype(np.float32)


def move(old: Vector, new: Vector, rate: float) -> Vector:
    """Return old + rate (new - old)."""
    return weighted_sum([old, new], [1.0 - rate, rate]).astype(np.float32)
