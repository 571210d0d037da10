"""The adjusted Rand index against scikit-learn and by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from fedrlhf.evaluation.groups import adjusted_rand_index

partitions = st.integers(1, 20).flatmap(lambda n: st.tuples(
    st.lists(st.integers(0, 4), min_size=n, max_size=n),
    st.lists(st.integers(0, 4), min_size=n, max_size=n)))


@given(both=partitions)
def test_equals_scikit_learn(both: tuple[list[int], list[int]]) -> None:
    """On any two partitions of up to 20 clients, also of one client, and in either order."""
    found, truth = both
    expected = pytest.approx(adjusted_rand_score(truth, found))
    assert adjusted_rand_index(found, truth) == expected == adjusted_rand_index(truth, found)


@pytest.mark.parametrize(("found", "truth", "expected"), [
    ([0, 0, 1, 1], [7, 7, 2, 2], 1.0),  # equal up to names
    ([0, 0, 0, 0], [1, 1, 1, 1], 1.0),  # everybody together, twice
    ([0, 1, 2, 3], [3, 1, 0, 2], 1.0),  # everybody apart, twice
    ([0, 0, 0, 0], [0, 1, 2, 3], 0.0),  # together against apart
    ([0, 1, 0, 1], [0, 0, 1, 1], -0.5),  # 0 pairs agree, expected 2*2/6: -2/3 over 2 - 2/3
    ([0], [0], 1.0),
])
def test_by_hand(found: list[int], truth: list[int], expected: float) -> None:
    """(together - expected) / (mean of both partitions' pairs - expected)."""
    assert adjusted_rand_index(found, truth) == pytest.approx(expected)
