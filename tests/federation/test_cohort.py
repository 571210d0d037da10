"""The draw of a round's clients."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from fedrlhf.federation.cohort import draw_cohort


@given(nodes=st.lists(st.integers(1, 1000), unique=True, min_size=1).map(sorted),
       size=st.integers(1, 50), seed=st.integers(0, 100), server_round=st.integers(1, 100))
def test_a_cohort_is_a_sorted_subset(nodes: list[int], size: int, seed: int,
                                     server_round: int) -> None:
    """Without replacement, ascending, all where too few, and the same when asked again."""
    cohort = draw_cohort(nodes, size, seed, server_round)
    assert cohort == sorted(set(cohort)) and set(cohort) <= set(nodes)
    assert len(cohort) == min(size, len(nodes))
    assert cohort == draw_cohort(nodes, size, seed, server_round)


def test_seed_and_round_decide() -> None:
    """Another seed or round draws others: 5 of 100 are equal by chance once in 75 million."""
    nodes = list(range(1, 101))
    cohorts = [draw_cohort(nodes, 5, *place) for place in ((0, 1), (0, 2), (1, 1))]
    assert len({tuple(cohort) for cohort in cohorts}) == 3


def test_nobody_can_train() -> None:
    """An empty population gives an empty cohort."""
    assert draw_cohort([], 3, 0, 1) == []


def test_draws_are_uniform() -> None:
    """Each of 10 clients is in 3/10 of 4,000 cohorts of 3.

    Counts have mean n p = 1,200 and variance n p (1 - p); they add up to 3 n, so that
    sum (count - n p)^2 / (n p (1 - p)) * (9/10) is about chi-square with 9 degrees of freedom.
    """
    rounds, p = 4000, 0.3
    drawn = [node for r in range(rounds) for node in draw_cohort(list(range(10)), 3, 0, r)]
    counts = np.bincount(drawn, minlength=10)
    statistic = ((counts - rounds * p) ** 2).sum() / (rounds * p * (1 - p)) * 0.9
    assert statistic < chi2.ppf(0.999, 9)
