"""Shares of completions: by hand, against the softmax of values, and what a server refuses."""

from collections.abc import Sequence

import numpy as np
import pytest
from scipy.special import softmax

from fedrlhf.rewards.shares import completion_shares, fault, shares
from fedrlhf.types import CompletionPair

VALUES = {"a": 1.5, "b": -0.5, "c": 0.25, "long": np.nan}


class ByValue:
    """A judge whose log-odds are differences of values."""

    def judge(self, pairs: Sequence[CompletionPair]) -> np.ndarray:
        """Return the differences for both orders."""
        return np.array([[VALUES[pair.first] - VALUES[pair.second]] * 2 for pair in pairs])


def test_of_values_they_are_the_softmax() -> None:
    """s_i = v_i - mean(v) differs from v_i by a constant; two prompts are apart."""
    found = completion_shares(ByValue(), [("q", ["a", "b", "c"]), ("r", ["c", "a"])])  # type: ignore[arg-type]
    np.testing.assert_allclose(found, [*softmax([1.5, -0.5, 0.25]), *softmax([0.25, 1.5])])


def test_what_does_not_fit_leaves_the_others_as_they_are() -> None:
    """The third of three has no pair that fits."""
    found = completion_shares(ByValue(), [("q", ["a", "b", "long"])])  # type: ignore[arg-type]
    np.testing.assert_allclose(found, [*softmax([1.5, -0.5]), -1.0])
    np.testing.assert_array_equal(shares(np.array([np.nan]), 2), [-1, -1])


def test_a_cycle_is_even() -> None:
    """a > b > c > a by the same log-odds: all s are 0, so the shares are 1/3."""
    np.testing.assert_allclose(shares(np.array([2.0, -2.0, 2.0]), 3), [1 / 3] * 3)


@pytest.mark.parametrize(("told", "reason"), [
    (None, "no list"), (0.5, "no list"), ([0.5, "x", 1.0], "no list"),
    ([True, 0.5, 0.5], "no list"),
    ([0.5, 0.5], "2 shares for 5"), ([0.5, 0.5, np.nan, 0.5, 0.5], "finite"),
    ([0.9, 0.9, 0.5, 0.25, 0.25], "add up"), ([1.2, -0.2, 0.5, 0.25, 0.25], "add up")])
def test_bad_replies(told: object, reason: str) -> None:
    """A reply may hold anything."""
    assert reason in (fault(told, [2, 3]) or "")


def test_good_replies() -> None:
    """Shares of each prompt add up to 1; what does not fit is marked."""
    assert fault([0.25, 0.75, 0.5, 0.5, -1.0], [2, 3]) is None
    assert fault([-1, -1, 0, 0, 1], [2, 3]) is None
