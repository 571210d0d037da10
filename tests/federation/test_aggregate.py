"""Aggregation on arrays of two values, each expected value derived by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_federation import vector

from fedrlhf.federation.aggregate import (
    move,
    residual_step,
    scaled_sum,
    weighted_mean,
    weighted_sum,
)

OLD, X, Y = vector(1, 1), vector(2, 0), vector(4, 8)


def test_weighted_sum() -> None:
    """0.5 (2, 0) + 0.25 (4, 8) = (2, 2), in float64."""
    found = weighted_sum([X, Y], [0.5, 0.25])
    np.testing.assert_array_equal(found, [2, 2])
    assert found.dtype == np.float64


def test_weighted_mean_is_eq_4_normalised() -> None:
    """Weights 1/8 and 3/8 of all clients are 1/4 and 3/4 of the cohort: (0.5 + 3, 0 + 6)."""
    found = weighted_mean([X, Y], [1 / 8, 3 / 8])
    np.testing.assert_array_equal(found, [3.5, 6])
    assert found.dtype == np.float32


def test_scaled_sum_is_eq_4_as_printed() -> None:
    """M = 8, A = 2: 4 (1/8 (2, 0) + 3/8 (4, 8)) = (1 + 6, 0 + 12); its weights sum to 2.

    With p_m = 1/M the weights are (M/A) / M = 1/2 each, the mean (3, 4).
    """
    np.testing.assert_array_equal(scaled_sum([X, Y], [1 / 8, 3 / 8], clients=8), [7, 12])
    np.testing.assert_array_equal(scaled_sum([X, Y], [1 / 8, 1 / 8], clients=8), [3, 4])
    assert scaled_sum([X], [0.5], clients=2).dtype == np.float32


def test_residual_step_is_eq_8() -> None:
    """Weights 1/8, 1/8 leave 3/4 for the old (1, 1): (0.75 + 0.25 + 0.5, 0.75 + 0 + 1)."""
    found = residual_step(OLD, [X, Y], [1 / 8, 1 / 8])
    np.testing.assert_array_equal(found, [1.5, 1.75])
    assert found.dtype == np.float32


def test_residual_step_of_all_clients_is_their_mean() -> None:
    """Where the weights add up to 1 nothing of the old adapter is left."""
    np.testing.assert_array_equal(residual_step(OLD, [X, Y], [0.5, 0.5]), [3, 4])


def test_move() -> None:
    """A quarter of the way from (1, 1) to (4, 8) is (1.75, 2.75)."""
    np.testing.assert_array_equal(move(OLD, Y, 0.25), [1.75, 2.75])
    np.testing.assert_array_equal(move(OLD, Y, 0.0), OLD)
    np.testing.assert_array_equal(move(OLD, Y, 1.0), Y)


def test_eq_8_moves_as_move_does() -> None:
    """Eq. 8 is a move to the weighted mean by the sum of the weights."""
    mean = weighted_mean([X, Y], [1 / 8, 3 / 8])
    np.testing.assert_array_equal(residual_step(OLD, [X, Y], [1 / 8, 3 / 8]), move(OLD, mean, 0.5))


def test_sums_are_in_float64() -> None:
    """2^24 + 1 is no float32; 2^24 + 1 + 1 is one, if the sum does not round in between."""
    big, one = vector(2**24), vector(1)
    np.testing.assert_array_equal(scaled_sum([big, one, one], [1 / 3] * 3, clients=9),
                                  [np.float32(2**24 + 2)])


def test_lengths_must_match() -> None:
    """A weight too few is an error, not a shorter sum."""
    with pytest.raises(ValueError):
        weighted_sum([X, Y], [1.0])


@given(values=st.lists(st.tuples(st.floats(-1e3, 1e3, width=32), st.floats(0.01, 1)), min_size=1))
def test_means_stay_in_the_hull_and_ignore_scale(values: list[tuple[float, float]]) -> None:
    """A mean lies between the extremes; twice the weights give the same mean."""
    vectors, weights = [vector(v) for v, _ in values], [w for _, w in values]
    mean = weighted_mean(vectors, weights)
    assert min(v for v, _ in values) - 1e-3 <= mean[0] <= max(v for v, _ in values) + 1e-3
    np.testing.assert_allclose(mean, weighted_mean(vectors, [2 * w for w in weights]), rtol=1e-6)
