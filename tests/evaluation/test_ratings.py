"""Held-out ratings: the sums of a client by hand, areas, the prior, and what is refused."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from fedrlhf.evaluation.ratings import (
    EXAMPLES,
    Prior,
    area,
    area_interval,
    fault,
    fit_prior,
    label_counts,
    rating_sums,
)
from fedrlhf.types import Prompt, Rating


def rated(completion: str, value: float) -> Rating:
    """Return a rating of a completion whose text says its score."""
    return Rating("p", completion, value, "ann", "made")


def score(completions: Sequence[tuple[Prompt, str]]) -> np.ndarray:
    """Read the score in the completion; "long" does not fit."""
    return np.array([math.nan if text == "long" else float(text) for _, text in completions])


TRAIN = [rated("1", 1), rated("-1", 0), rated("2", 0.5)]
TEST = [rated("3", 1), rated("0.5", 1), rated("0.5", 0), rated("-20", 0), rated("long", 1)]


def test_sums_of_a_client() -> None:
    """Of 2 good and 2 bad with scores 3, .5 and .5, -20: 3.5 of 4 pairs are right.

    The person's rate is (1 + 2 * 0.25) / (2 + 2) = 0.375: the tie says nothing. By length, "3" is
    shorter than both bad ones and "0.5" as long as one and as long as the other: 2 halves of 4.
    """
    found = rating_sums(TRAIN, [], TEST, score, Prior(0.25, 2.0))
    assert (found[EXAMPLES], found["good"], found["left_out"]) == (4, 2, 1)
    assert (found["within"], found["within_right"], found["within_length"]) == (4, 3.5, 1.0)
    assert found["loss_person_rate"] == pytest.approx(-2 * math.log(0.375) - 2 * math.log(0.625))
    assert found["loss_population_rate"] == pytest.approx(-2 * math.log(0.25) - 2 * math.log(0.75))
    assert fault(found, 5) is None


def test_the_link_is_the_likeliest_slope() -> None:
    """Scores 1 and -1 of a good and a bad one have z = +-1; the slope solves its own equation.

    With offset o = logit(rate) the derivative of the log-posterior is
    sigmoid(-(o + b)) + sigmoid(o - b) - b = 0.
    """
    prior = Prior(0.25, 2.0)
    offset = math.log(0.375 / 0.625)
    found = rating_sums(TRAIN[:2], [], [rated("1", 1)], score, prior)
    slope = -math.log(math.exp(found["loss_link"]) - 1) - offset  # type: ignore[arg-type]

    def sigmoid(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    assert slope == pytest.approx(sigmoid(-(offset + slope)) + sigmoid(offset - slope), abs=1e-5)


def test_without_scores_the_link_is_the_rate() -> None:
    """A client that trains on nothing is predicted by everybody's rate."""
    found = rating_sums([], [], TEST, score, Prior(0.25, 2.0))
    assert found["loss_link"] == found["loss_person_rate"] == found["loss_population_rate"]


def test_one_label() -> None:
    """Good ones alone have no pair to order; the losses are there."""
    found = rating_sums(TRAIN, [], TEST[:2], score, Prior(0.5, 1.0))
    assert found["within"] == 0 and found["loss_link"] > 0  # type: ignore[operator]
    assert fault(found, 2) is None


def test_area_is_the_mann_whitney_statistic() -> None:
    """Without two scores in a bin, the histograms' area is U / (n m) over all clients."""
    rng = np.random.default_rng(0)
    scores = 2.0 ** rng.permutation(np.arange(-9, 6)) * rng.choice([-1, 1], 15)
    labels = rng.random(15) < 0.5
    sums = [rating_sums([], [], [rated(repr(float(s)), float(y)) for s, y in
                                 zip(scores[part], labels[part], strict=True)], score,
                        Prior(0.5, 1)) for part in (slice(0, 8), slice(8, 15))]
    good, bad = (np.sum([one[f"{label}_score"] for one in sums], axis=0)
                 for label in ("good", "bad"))
    expected = mannwhitneyu(scores[labels], scores[~labels]).statistic / (
        labels.sum() * (~labels).sum())
    assert float(area(good, bad)) == pytest.approx(expected)


def test_area_interval() -> None:
    """Equal clients give an interval of no width; one label everywhere gives no area."""
    good, bad = np.array([[0.0, 1, 1]] * 3), np.array([[1.0, 1, 0]] * 3)
    assert float(area(good.sum(0), bad.sum(0))) == pytest.approx(0.875)  # 3.5 of 4
    assert area_interval(good, bad, 0.95, 200, 0) == pytest.approx((0.875, 0.875))
    assert math.isnan(float(area(good.sum(0), np.zeros(3))))


def test_prior() -> None:
    """Clients that differ as much as can be have a weak prior, equal ones a strong one."""
    assert fit_prior([0, 10, 0, 10], [10] * 4).strength < 0.2
    even = fit_prior([5, 5, 5, 5], [10] * 4)
    assert even.strength > 500 and even.rate == pytest.approx(21 / 42)
    assert fit_prior([0, 0], [4, 0]).rate == pytest.approx(1 / 6)
    assert label_counts(TRAIN) == {EXAMPLES: 2.0, "good": 1.0}


@pytest.mark.parametrize(("change", "words"), [
    ({"loss_link": "x"}, "lack loss_link"), ({"good_link": [1.0]}, "lack good_link"),
    ({"loss_link": math.nan}, "not finite"), ({EXAMPLES: 9.0}, "more than its 5"),
    ({"good": 1.0}, "do not add up to")])
def test_sums_that_are_refused(change: dict[str, object], words: str) -> None:
    """A client may answer anything; the reason is said."""
    found = rating_sums(TRAIN, [], TEST, score, Prior(0.25, 2.0))
    assert words in (fault({**found, **change}, 5) or "")
