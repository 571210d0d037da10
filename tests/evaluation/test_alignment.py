"""Alignment scores, the fairness index and first rounds, by hand and against scipy."""

import math

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from fedrlhf.evaluation.alignment import (
    alignment_counts,
    alignment_fault,
    alignment_scores,
    fairness_index,
    first_reaching,
    js_distance,
    score_table,
    uniform_scores,
)
from fedrlhf.selectors.questions import Predicted


@pytest.mark.parametrize("base", [2.0, math.e])
def test_the_distance_is_scipys(base: float) -> None:
    """On random distributions and on one with an empty option."""
    rng = np.random.default_rng(0)
    for one, other in [*rng.dirichlet(np.ones(5), (20, 2)), [[1, 0, 0], [0.2, 0.5, 0.3]]]:
        assert js_distance(np.array(one), np.array(other), base) == pytest.approx(
            jensenshannon(one, other, base))


def test_the_distance_s_ends() -> None:
    """Equal: 0, where rounding in scipy may give NaN; disjoint: 1 in base 2, sqrt(ln 2) in e."""
    one = np.array([0.1, 0.2, 0.7])
    assert js_distance(one, one * (1 + 1e-7)) == pytest.approx(0, abs=1e-6)
    disjoint = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    assert js_distance(*disjoint) == pytest.approx(1.0)
    assert 1 - js_distance(*disjoint, base=math.e) == pytest.approx(0.1674, abs=1e-4)


@pytest.mark.parametrize("shares", [[np.nan, 1.0], [0.5, 0.6], [-0.1, 1.1], [0.0, 0.0]])
def test_what_is_no_distribution_is_no_perfect_score(shares: list[float]) -> None:
    """NaN and the like are an error."""
    with pytest.raises(ValueError, match="shares must be"):
        js_distance(np.array(shares), np.array([0.5, 0.5]))


def test_scores() -> None:
    """A perfect prediction scores 1, uniform shares for (1, 0) 1 - sqrt(JSD).

    JSD((1/2, 1/2), (1, 0)) in bits is h(3/4) - h(1/2)/2 = 0.8113 - 0.5 = 0.3113.
    """
    truth = np.array([1.0, 0.0])
    predicted = [Predicted("a", truth, truth), Predicted("b", np.array([0.5, 0.5]), truth)]
    np.testing.assert_allclose(alignment_scores(predicted), [1, 1 - math.sqrt(0.3112781)])
    np.testing.assert_allclose(uniform_scores(predicted), [1 - math.sqrt(0.3112781)] * 2)
    counts = alignment_counts(predicted)
    assert len(set(counts["alignment_question"])) == 2  # type: ignore[arg-type]
    assert alignment_counts([]) == {}


def test_the_fairness_index() -> None:
    """Scores .8 .7 .9 .6: mean .75, std sqrt(.0125), CoV^2 = 1/45: 45/46 = 0.978; plain 0.870."""
    column = np.array([[0.8], [0.7], [0.9], [0.6]])
    assert fairness_index(column, 2) == pytest.approx(45 / 46)
    assert fairness_index(column, 1) == pytest.approx(1 / (1 + math.sqrt(1 / 45)))
    both = np.array([[0.8, 0.5], [0.7, np.nan], [0.9, 0.5], [0.6, np.nan]])
    assert fairness_index(both, 2) == pytest.approx((45 / 46 + 1) / 2)
    with pytest.raises(ValueError, match="1 or 2"):
        fairness_index(column, 3)
    with pytest.raises(ValueError, match="two groups"):
        fairness_index(np.zeros((2, 0)), 1)


def test_the_table_has_the_questions_of_two_groups() -> None:
    """A question that one group answered says nothing about fairness."""
    table = score_table([{1.0: 0.5, 2.0: 0.6}, {1.0: 0.7}, {3.0: 0.1}])
    np.testing.assert_array_equal(table, [[0.5], [0.7], [np.nan]])
    assert score_table([{1.0: 0.5}, {}]).shape == (2, 0)


def test_first_reaching() -> None:
    """The first of several, or none."""
    assert first_reaching([0.1, 0.5, 0.4, 0.6], 0.5) == 1
    assert first_reaching([0.1], 0.5) is None


@pytest.mark.parametrize(("change", "wrong"), [
    ({}, None),
    ({"alignment": [0.5]}, "one for each question"),
    ({"alignment": [0.5, 1.5]}, "between 0 and 1"),
    ({"alignment_uniform": 0.5}, "one for each question"),
    ({"alignment_question": [], "alignment": [], "alignment_uniform": []}, "one for each")])
def test_scores_that_cannot_be_are_refused(change: dict[str, object], wrong: str | None) -> None:
    """A reply may hold anything: lists of other lengths, scores above 1, a number for a list."""
    sent = {"alignment": [0.5, 1.0], "alignment_uniform": [0.4, 0.0],
            "alignment_question": [1.0, 2.0], **change}
    found = alignment_fault(sent)  # type: ignore[arg-type]
    assert found is None if wrong is None else wrong in str(found)
    assert alignment_fault({"vote": 1.0}) is None
