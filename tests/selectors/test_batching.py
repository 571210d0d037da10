"""Batches by token budget and the plan of training steps."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrlhf.selectors.batching import token_batches, training_steps
from fedrlhf.selectors.encode import Judgement

# Few prefixes, so that many judgements share one.
some_judgements = st.lists(st.builds(
    lambda prefix, suffix: Judgement((prefix,) * prefix, (0,) * suffix),
    st.integers(1, 6), st.integers(1, 12)), max_size=30)


@given(batch=some_judgements, budget=st.integers(1, 80))
def test_batches_cover_every_index_within_the_budget(batch: list[Judgement], budget: int) -> None:
    """Each index once; longest times number is within the budget unless one alone exceeds it."""
    batches = token_batches(batch, budget)
    assert sorted(i for part in batches for i in part) == list(range(len(batch)))
    for part in batches:
        padded = max(batch[i].tokens for i in part) * len(part)
        assert padded <= budget or len(part) == 1


@given(batch=some_judgements, budget=st.integers(1, 80))
def test_equal_prefixes_are_neighbours(batch: list[Judgement], budget: int) -> None:
    """In the order of the batches, each prefix is one run: a batch border may cut it, no other."""
    order = [batch[i].prefix for part in token_batches(batch, budget) for i in part]
    runs = sum(one != other for one, other in zip(order, order[1:], strict=False))
    assert runs == max(len(set(order)) - 1, 0)


def test_batches_by_hand() -> None:
    """Budget 12; prefix a has lengths 4 and 4, b 3 and 6, c 13.

    By the longest of a prefix: a (4) before b (6) before c (13). [4, 4]: 8; a 3 more would be
    3 * 4 = 12, allowed; then 6: 4 * 6 = 24, too much. c alone is over the budget: alone.
    """
    a, b, c = (1,), (2,), (3,)
    batch = [Judgement(b, (0,) * 5), Judgement(a, (0,) * 3), Judgement(c, (0,) * 12),
             Judgement(b, (0,) * 2), Judgement(a, (0,) * 3)]
    assert token_batches(batch, 12) == [[1, 4, 3], [0], [2]]
    assert token_batches([], 12) == []


@given(pairs=st.integers(1, 25), batch_size=st.integers(1, 8), steps=st.integers(1, 30),
       seed=st.integers(0, 99))
def test_every_pair_once_an_epoch(pairs: int, batch_size: int, steps: int, seed: int) -> None:
    """Steps of equal size; after n draws each pair has had floor(n / pairs) or one more."""
    lengths = np.random.default_rng(seed).integers(1, 50, pairs).tolist()
    plan = training_steps(lengths, batch_size, steps, np.random.default_rng(seed))
    assert [len(step) for step in plan] == [batch_size] * steps
    counts = Counter(i for step in plan for i in step)
    drawn = batch_size * steps
    assert set(counts) <= set(range(pairs))
    assert all(counts[i] in (drawn // pairs, -(-drawn // pairs)) for i in range(pairs))


def test_the_plan_follows_the_generator() -> None:
    """Equal generators, equal plans; another seed another plan."""
    lengths = list(range(40))
    plans = [training_steps(lengths, 4, 12, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert plans[0] == plans[1] != plans[2]


def test_steps_of_a_window_hold_equal_lengths() -> None:
    """32 pairs of 8 lengths in 8 steps of 4 (one window): every step holds a single length."""
    lengths = [n % 8 for n in range(32)]
    plan = training_steps(lengths, 4, 8, np.random.default_rng(0))
    assert sorted(sorted({lengths[i] for i in step}) for step in plan) == [[n] for n in range(8)]
    order = [lengths[step[0]] for step in plan]
    assert order != sorted(order)  # and the steps are shuffled


def test_a_small_clients_step_holds_each_pair_once() -> None:
    """Four pairs of different lengths in steps of four: each step is an epoch, every pair once."""
    plan = training_steps([10, 20, 30, 40], 4, 5, np.random.default_rng(0))
    assert all(sorted(step) == [0, 1, 2, 3] for step in plan)


@pytest.mark.parametrize("position", [0, 7])
def test_no_pair_is_tied_to_a_place(position: int) -> None:
    """Over 300 seeds each of 8 pairs is about equally often at a place: chi-square below 24.3.

    Seven degrees of freedom; 24.3 is exceeded once in a thousand by chance.
    """
    counts = Counter(training_steps([5] * 8, 1, 8, np.random.default_rng(seed))[position][0]
                     for seed in range(300))
    expected = 300 / 8
    assert sum((counts[i] - expected) ** 2 / expected for i in range(8)) < 24.3
