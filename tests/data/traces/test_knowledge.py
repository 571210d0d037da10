"""Bayesian knowledge tracing against numbers derived by hand."""

import pytest

from fedrlhf.data.traces.knowledge import Knowledge, Tracing
from fedrlhf.errors import ConfigError

HALF = Tracing(prior=0.5, learn=0.2, guess=0.25, slip=0.1)


def test_expectation_and_update() -> None:
    """P(correct) = .5 * .9 + .5 * .25 = .575.

    After a right answer P(known) = .45 / .575 = 18/23 and with learning 18/23 + 5/23 * .2 = 19/23;
    after a wrong one .05 / .425 = 2/17 and 2/17 + 15/17 * .2 = 5/17.
    """
    assert HALF.expected(0.5) == pytest.approx(0.575)
    assert HALF.updated(0.5, True) == pytest.approx(19 / 23)
    assert HALF.updated(0.5, False) == pytest.approx(5 / 17)


def test_without_learning_the_expected_posterior_is_the_prior() -> None:
    """Bayes: P(right) P(known | right) + P(wrong) P(known | wrong) = P(known)."""
    tracing = Tracing(learn=0.0, guess=0.3, slip=0.2)
    for known in (0.0, 0.1, 0.6, 1.0):
        right = tracing.expected(known)
        mean = right * tracing.updated(known, True) + (1 - right) * tracing.updated(known, False)
        assert mean == pytest.approx(known)


def test_impossible_answers_change_nothing_but_learning() -> None:
    """With neither guess nor slip, a right answer without the skill has no explanation."""
    tracing = Tracing(learn=0.5, guess=0.0, slip=0.0)
    assert tracing.updated(0.0, True) == 0.5
    assert tracing.updated(1.0, False) == 1.0


def test_residuals_shrink_for_a_student_who_knows() -> None:
    """First 1 - .575; then 1 - (19/23 * .9 + 4/23 * .25) = 1 - 18.1/23; other skills stay."""
    knowledge = Knowledge(HALF)
    assert knowledge.answered("sums", True) == pytest.approx(0.425)
    assert knowledge.answered("sums", True) == pytest.approx(1 - 18.1 / 23)
    assert knowledge.answered("plots", False) == pytest.approx(-0.575)


def test_buckets() -> None:
    """The mean over the skills: prior .5 is in the middle; nothing to know is low."""
    knowledge = Knowledge(HALF, {"a": 0.9, "b": 0.1})
    assert knowledge.bucket(["a"]) == "high"
    assert knowledge.bucket(["b"]) == "low"
    assert knowledge.bucket(["a", "b"]) == "middle"
    assert knowledge.bucket(["new"]) == "middle"
    assert knowledge.bucket([]) == "low"


@pytest.mark.parametrize("values", [{"prior": 1.1}, {"learn": -0.1}, {"guess": 0.6, "slip": 0.4}])
def test_refused_parameters(values: dict[str, float]) -> None:
    """The message names the parameter."""
    with pytest.raises(ConfigError, match=next(iter(values))):
        Tracing(**values)
