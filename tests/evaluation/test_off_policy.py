"""Off-policy estimates: exact expectations over every log that a tiny problem can give."""

from collections.abc import Callable, Iterator
from itertools import product

import numpy as np
import pytest

from fedrlhf.evaluation.off_policy import (
    doubly_robust,
    effective_sample_size,
    importance_weights,
    ipw,
    log_weights,
    snipw,
)

# Two contexts that are equally likely, three answers each, rewards of 0 or 1.
BEHAVIOUR = np.array([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3]])
TARGET = np.array([[0.1, 0.2, 0.7], [0.4, 0.4, 0.2]])
CHANCE = np.array([[0.9, 0.2, 0.4], [0.3, 0.5, 0.8]])  # of reward 1
GUESS = np.array([[0.5, 0.1, 0.9], [0.0, 0.7, 0.2]])  # a wrong model of it
VALUE = float((TARGET * CHANCE).sum() / 2)
Log = tuple[float, np.ndarray, np.ndarray, np.ndarray]  # chance, contexts, answers, rewards


def logs(rows: int = 2) -> Iterator[Log]:
    """Return every log of so many rows with its chance."""
    one = list(product(range(2), range(3), range(2)))
    for drawn in product(one, repeat=rows):
        contexts, answers, rewards = (np.array(column) for column in zip(*drawn, strict=True))
        chances = np.where(rewards == 1, CHANCE[contexts, answers], 1 - CHANCE[contexts, answers])
        yield (float(np.prod(0.5 * BEHAVIOUR[contexts, answers] * chances)), contexts, answers,
               rewards)


def expectation(estimate: Callable[[np.ndarray, np.ndarray, np.ndarray], float]) -> float:
    """Return the mean of an estimate over all logs."""
    return sum(chance * estimate(*log) for chance, *log in logs())


def weights(contexts: np.ndarray, answers: np.ndarray, clip: float | None = None) -> np.ndarray:
    """Return the importance weights of a log."""
    return importance_weights(TARGET[contexts, answers], BEHAVIOUR[contexts, answers], clip)


def robust(guess: np.ndarray, wrong: float = 1.0, switch: float | None = None) -> float:
    """Return the expectation of the doubly robust estimate with weights that are wrong times w."""
    expected = (TARGET * guess).sum(axis=1)
    return expectation(lambda x, a, r: doubly_robust(
        r, wrong * weights(x, a), guess[x, a], expected[x], switch))


def test_the_logs_are_all_of_them() -> None:
    """Their chances sum to 1."""
    assert sum(chance for chance, *_ in logs()) == pytest.approx(1.0)


def test_ipw_is_unbiased_and_clipping_costs_it() -> None:
    """E[w r] = sum over x, a of p(x) pi_b w q = the target's value; w <= 1 makes it smaller."""
    assert expectation(lambda x, a, r: ipw(r, weights(x, a))) == pytest.approx(VALUE)
    clipped = float((np.minimum(TARGET, BEHAVIOUR) * CHANCE).sum() / 2)
    assert expectation(lambda x, a, r: ipw(r, weights(x, a, 1.0))) == pytest.approx(clipped)


def test_doubly_robust_needs_only_one_of_two() -> None:
    """Right weights with a wrong model, or a right model with wrong weights: unbiased."""
    assert robust(GUESS) == pytest.approx(VALUE)
    assert robust(CHANCE, wrong=3.0) == pytest.approx(VALUE)
    assert robust(GUESS, wrong=3.0) != pytest.approx(VALUE, abs=0.05)


def test_switch() -> None:
    """Without any correction the model's value is left; above all weights nothing changes."""
    assert robust(GUESS, switch=0.0) == pytest.approx(float((TARGET * GUESS).sum() / 2))
    assert robust(GUESS, switch=100.0) == pytest.approx(VALUE)


def test_self_normalised_stays_within_the_rewards() -> None:
    """sum(w r) / sum(w): constant rewards are found exactly; weights 1 and 3: (1 + 0) / 4."""
    assert snipw([0.7, 0.7], [0.1, 9.0]) == pytest.approx(0.7)
    assert snipw([1.0, 0.0], [1.0, 3.0]) == 0.25
    assert ipw([1.0, 0.0], [1.0, 3.0]) == 0.5
    with pytest.raises(ValueError, match="sum to 0"):
        snipw([1.0], [0.0])


def test_effective_sample_size() -> None:
    """Equal weights: their number; 1 and 3: 16 / 10; nothing: 0."""
    assert effective_sample_size([2.0] * 5) == pytest.approx(5.0)
    assert effective_sample_size([1.0, 3.0]) == pytest.approx(1.6)
    assert effective_sample_size([]) == effective_sample_size([0.0]) == 0.0


@pytest.mark.parametrize(("target", "behaviour"), [([0.5], [0.0]), ([1.5], [0.5]), ([0.5], [2.0])])
def test_what_is_no_probability_is_refused(target: list[float], behaviour: list[float]) -> None:
    """A logged answer had some chance, and none has more than 1."""
    with pytest.raises(ValueError, match="probabilities"):
        importance_weights(target, behaviour)


def test_weights_of_long_texts() -> None:
    """pi = e^-2000 is no float, its ratio to e^-2001 is e; a ratio of e^100 counts as e^50."""
    assert log_weights([-2000.0, -1.0], [-2001.0, -101.0]).tolist() == [1.0, 50.0]
    assert np.exp(log_weights(np.log([0.3]), np.log([0.6])))[0] == pytest.approx(0.5)
