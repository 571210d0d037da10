"""Clients score the server's completions and the server joins the scores, over the local engine."""

from collections.abc import Callable

import numpy as np
import pytest

from fedrlhf.config.label import AGGREGATIONS, Adaptive
from fedrlhf.evaluation.alignment import fairness_index
from fedrlhf.rewards.aggregate import adaptive_reward, served
from fedrlhf.stages.join_groups import joiner
from fedrlhf.stages.label import group_rows
from fedrlhf.stages.label_groups import Joined, pair_gaps, unlike_the_others
from fedrlhf.types import CompletionPair

BATCHES = [[np.random.default_rng(10 * b + q).dirichlet(np.ones(4), size=3) for q in range(5)]
           for b in range(4)]
NAMES = ["ann", "ben", "cy"]


def joined(name: str, change: Callable[[np.ndarray], np.ndarray] = lambda shares: shares,
           names: list[str] = NAMES) -> list[np.ndarray]:
    """Join all batches, each prompt's shares changed first."""
    join = joiner(name, Adaptive())
    return [reward for batch in BATCHES for reward in join(names, [change(s) for s in batch])]


@pytest.mark.parametrize("name", AGGREGATIONS)
def test_one_group_alone_decides(name: str) -> None:
    """With one group the joint order is its own, on every prompt of every batch."""
    for reward, shares in zip(joined(name, lambda s: s[:1], NAMES[:1]),
                              [s for batch in BATCHES for s in batch], strict=True):
        np.testing.assert_array_equal(np.argsort(reward), np.argsort(shares[0]))


@pytest.mark.parametrize("name", AGGREGATIONS)
def test_groups_have_no_order(name: str) -> None:
    """Permuted groups give the same joint rewards, also by their histories."""
    turned = joined(name, lambda s: s[[2, 0, 1]], [NAMES[i] for i in (2, 0, 1)])
    np.testing.assert_allclose(turned, joined(name))


def test_borda_sees_ranks_alone() -> None:
    """A rising function of each group's shares changes no Borda reward, but the mean's."""
    bent = [lambda s: s ** 3, lambda s: np.log(s)]
    for change in bent:
        np.testing.assert_array_equal(joined("borda", change), joined("borda"))
        assert not np.allclose(joined("mean", change), joined("mean"))


def test_served_by_hand() -> None:
    """The joint order a > b > c: the same, its reverse, and one that leaves a and b undecided."""
    rewards = np.array([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0], [2.0, 2.0, 1.0]])
    np.testing.assert_allclose(served(rewards, np.array([0.6, 0.3, 0.1])), [1, 0, 2.5 / 3])


def test_adaptive_follows_the_formula_batch_by_batch() -> None:
    """The first batch is the mean; then h and FI of the batches before decide (threshold 1).

    h is the first batch's alignment, then 0.8 h + 0.2 of each further one.
    """
    settings = Adaptive(threshold=1.0)
    join, history, fairness = joiner("adaptive", settings), np.full(3, 0.5), 1.0
    for number, batch in enumerate(BATCHES):
        expected = [adaptive_reward(s, history.tolist(), fairness, 1.0, 0.1) for s in batch]
        np.testing.assert_allclose(join(NAMES, batch), expected)
        scores = np.stack([served(s, r) for s, r in zip(batch, expected, strict=True)], axis=1)
        fairness = fairness_index(scores, 2)
        now = scores.mean(axis=1)
        history = now if number == 0 else 0.8 * history + 0.2 * now
    np.testing.assert_allclose(joiner("adaptive", settings)(NAMES, BATCHES[0]),
                               joined("mean")[:5])


def test_rows_have_the_gap_and_who_agrees() -> None:
    """Joint .5, .3, .3 and NaN: the gaps are .2, .2, 0; of two groups one agrees with the first."""
    one = Joined(["a", "b"], np.array([[0.6, 0.1, 0.3, -1], [0.2, 0.5, 0.3, -1]]),
                 np.array([0.5, 0.3, 0.3, np.nan]))
    texts = ["w", "x", "y", "z"]
    pairs = [(7, CompletionPair("q", texts[i], texts[j]))
             for i in range(4) for j in range(i + 1, 4)]
    rows = group_rows(pairs, pair_gaps([one]), margin=0.0, conversational=False)
    assert [(row["chosen"], row["rejected"]) for row in rows] == [("w", "x"), ("w", "y")]
    assert [row["log_odds"] for row in rows] == pytest.approx([0.2, 0.2])
    assert [(row["votes"], row["selectors"]) for row in rows] == [(1.0, 2), (1.0, 2)]
    assert rows[0]["selector_log_odds"] == pytest.approx([0.5, -0.3])
    assert group_rows(pairs, pair_gaps([one]), 0.25, conversational=False) == []


def test_who_says_alone_that_something_does_not_fit() -> None:
    """Two of three give a share to each completion; the third is left out."""
    told = {"a": [0.5, 0.5], "b": [0.9, 0.1], "c": [-1.0, -1.0]}
    assert list(unlike_the_others(told)) == ["c"]
