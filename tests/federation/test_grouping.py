"""Balanced assignment: exact, deterministic, and the paper's rule beside it.

`grouping_cases.json` holds losses and totals of another implementation: the greedy rule's smallest
and largest total over 200 shuffles of the clients, its variant that keeps the largest regret, and
the exact optimum (by an assignment solver, checked by enumeration).
"""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fedrlhf.errors import ConfigError
from fedrlhf.federation.grouping import METHODS, assign

CASES = json.loads((Path(__file__).parent / "grouping_cases.json").read_text("utf-8"))
NAN = np.nan


def total(losses: np.ndarray, found: np.ndarray) -> float:
    """Return the sum of each client's loss of its selector."""
    return float(losses[np.arange(len(losses)), found].sum())


def sizes(found: np.ndarray, selectors: int) -> list[int]:
    """Return the clusters' sizes."""
    return np.bincount(found, minlength=selectors).tolist()


def balanced(found: np.ndarray, selectors: int) -> bool:
    """Say whether sizes differ by at most one."""
    return bool(np.ptp(sizes(found, selectors)) <= 1)


def matrices(max_clients: int, max_selectors: int) -> st.SearchStrategy[np.ndarray]:
    """Draw losses that are multiples of 1/8, so that there are ties and sums are exact."""
    shapes = st.tuples(st.integers(1, max_clients), st.integers(1, max_selectors))
    return shapes.flatmap(lambda shape: arrays(np.float64, shape, elements=st.integers(0, 16).map(
        lambda i: i / 8)))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_recorded_cases(case: dict[str, Any]) -> None:
    """The optimum is reached, greedy lies in its recorded range, max_regret is as recorded."""
    losses = np.array(case["losses"])
    selectors = losses.shape[1]
    optimal, regret = assign(losses, "optimal"), assign(losses, "max_regret")
    assert total(losses, optimal) == pytest.approx(case["optimum"], abs=1e-9)
    assert total(losses, regret) == pytest.approx(case["max_regret"], abs=1e-9)
    assert balanced(optimal, selectors) and balanced(regret, selectors)
    for seed in range(10):
        greedy = assign(losses, "greedy", seed)
        assert balanced(greedy, selectors)
        assert case["greedy_min"] - 1e-9 <= total(losses, greedy) <= case["greedy_max"] + 1e-9


@given(losses=matrices(6, 3))
def test_optimal_is_the_best_of_all(losses: np.ndarray) -> None:
    """Enumerate all U^M assignments; keep the balanced ones; none is better."""
    clients, selectors = losses.shape
    best = min(total(losses, np.array(found))
               for found in itertools.product(range(selectors), repeat=clients)
               if balanced(np.array(found), selectors))
    found = assign(losses, "optimal")
    assert balanced(found, selectors) and total(losses, found) == pytest.approx(best, abs=1e-9)


@given(losses=matrices(20, 6), seed=st.integers(0, 50))
def test_every_method_is_balanced_and_none_beats_the_optimum(losses: np.ndarray,
                                                             seed: int) -> None:
    """Also with fewer clients than selectors, where sizes are 0 and 1."""
    best = total(losses, assign(losses, "optimal"))
    for method in METHODS:
        found = assign(losses, method, seed)
        assert found.shape == (len(losses),) and balanced(found, losses.shape[1])
        assert total(losses, found) >= best - 1e-9
        np.testing.assert_array_equal(found, assign(losses, method, seed))


@given(losses=matrices(12, 4), shuffle=st.randoms(use_true_random=False))
def test_the_order_of_clients_does_not_change_the_optimum(losses: np.ndarray,
                                                          shuffle: Any) -> None:
    """Permuted clients get a permuted assignment of the same total (ties may fall otherwise)."""
    order = list(range(len(losses)))
    shuffle.shuffle(order)
    assert total(losses[order], assign(losses[order])) == pytest.approx(
        total(losses, assign(losses)), abs=1e-9)


def test_permuted_clients_with_distinct_losses_keep_their_selectors() -> None:
    """Where the optimum is unique, the assignment itself is permuted."""
    losses = np.random.default_rng(0).uniform(size=(11, 3))
    order = np.random.default_rng(1).permutation(11)
    for method in ("optimal", "max_regret"):
        np.testing.assert_array_equal(assign(losses[order], method), assign(losses, method)[order])


def test_a_constant_added_to_a_client_changes_nothing() -> None:
    """A client with harder pairs has higher losses of all selectors, and no other wish."""
    losses = np.random.default_rng(0).uniform(size=(9, 3))
    shifted = losses + np.arange(9)[:, None]
    np.testing.assert_array_equal(assign(shifted), assign(losses))


def test_fewer_clients_than_selectors() -> None:
    """Both want selector 2; 0 loses 0.1 by moving, 1 loses 0.5: client 0 moves to 1."""
    losses = np.array([[0.9, 0.2, 0.1], [0.6, 0.8, 0.1]])
    assert assign(losses, "optimal").tolist() == [1, 2]
    assert assign(losses, "max_regret").tolist() == [1, 2]
    assert sorted(assign(losses, "greedy")) in ([0, 2], [1, 2])


def test_greedy_depends_on_the_seed() -> None:
    """Case 08 in small: all want selector 0 alike; who stays is the random order's choice."""
    losses = np.tile([0.1, 0.5], (8, 1))
    assert len({tuple(assign(losses, "greedy", seed)) for seed in range(20)}) > 5


# ------------------------------------------------------------------------------- unknown losses


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("unknown", [0, 1, 2, 3])
def test_one_unknown_client_gives_way(method: str, unknown: int) -> None:
    """Three want selector 0, which has two places; the fourth knows nothing and is not in it."""
    losses = np.array([[0.1, 0.5], [0.1, 0.6], [0.1, 0.7], [0.1, 0.8]])
    losses[unknown] = NAN
    for seed in range(5):
        found = assign(losses, method, seed)
        assert found[unknown] == 1 and sizes(found, 2) == [2, 2]


@given(losses=matrices(10, 2), hidden=st.sets(st.integers(0, 9)), seed=st.integers(0, 20),
       method=st.sampled_from(METHODS))
def test_unknown_clients_never_hold_a_wanted_place(losses: np.ndarray, hidden: set[int], seed: int,
                                                   method: str) -> None:
    """With two selectors: nobody who knows is in the worse one while somebody who does not know
    is in the better one; a swap of the two would please one and leave the other as it is.
    """
    losses = losses.copy()
    losses[[row for row in hidden if row < len(losses)]] = NAN
    found = assign(losses, method, seed)
    for row, own in enumerate(found):
        if not np.isnan(losses[row]).any():
            better = [u for u in range(losses.shape[1]) if losses[row, u] < losses[row, own]]
            assert not [m for m in np.flatnonzero(np.isin(found, better)) if np.isnan(losses[m, 0])]


@given(losses=matrices(10, 4), hidden=st.sets(st.integers(0, 9)))
def test_optimal_gives_wanted_places_to_those_who_know(losses: np.ndarray,
                                                       hidden: set[int]) -> None:
    """The same with any number of selectors: such a swap would lower the total."""
    losses = losses.copy()
    losses[[row for row in hidden if row < len(losses)]] = NAN
    found = assign(losses)
    assert balanced(found, losses.shape[1])
    for one, other in itertools.permutations(range(len(losses)), 2):
        if np.isnan(losses[one, 0]) and not np.isnan(losses[other, 0]):
            assert losses[other, found[one]] >= losses[other, found[other]]


@pytest.mark.parametrize("method", METHODS)
def test_a_client_that_knows_one_selector_prefers_it(method: str) -> None:
    """Its loss of the other is unknown and taken as no better; there is room for its wish."""
    assert assign(np.array([[NAN, 0.3], [0.2, 0.3]]), method).tolist() == [1, 0]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bad", [NAN, np.inf, -np.inf])
def test_all_unknown_is_balanced(method: str, bad: float) -> None:
    """Nobody answered: any balanced grouping, and no error."""
    found = assign(np.full((7, 3), bad), method)
    assert sorted(sizes(found, 3)) == [2, 2, 3]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [1e308, 1e17])
def test_a_lying_client_does_not_stop_the_grouping(method: str, size: float) -> None:
    """Absurd losses are one client's answer; the four others get their own favourites."""
    losses = np.array([[size, -size], [0.1, 0.5], [0.5, 0.1], [0.1, 0.2], [0.4, 0.5]])
    found = assign(losses, method)
    assert sorted(sizes(found, 2)) == [2, 3]
    if method == "optimal":
        assert found.tolist() == [1, 0, 1, 0, 0]


# --------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize("losses", [np.zeros(3), np.zeros((3, 0)), np.zeros((1, 2, 3))])
def test_losses_must_be_a_matrix(losses: np.ndarray) -> None:
    """The message shows the shape."""
    with pytest.raises(ConfigError, match=r"shape \(clients, selectors\)"):
        assign(losses)


def test_unknown_method() -> None:
    """The message names the methods."""
    with pytest.raises(ConfigError, match="optimal, max_regret, greedy.*'best'"):
        assign(np.zeros((2, 2)), "best")


def test_no_clients() -> None:
    """Nobody to assign."""
    assert assign(np.zeros((0, 2))).shape == (0,)
