"""What holds for every partition, whatever the pairs and the settings."""

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

from hypothesis import given, reject
from hypothesis import strategies as st

from fedrlhf.config.schema import Partition
from fedrlhf.data.partition import POOL, partition
from fedrlhf.data.population import Population, Shard
from fedrlhf.errors import ConfigError, DataError
from fedrlhf.types import SPLITS, PreferencePair


def pair(client: str, prompt: str, chosen: str = "a", tie: bool = False,
         **columns: Any) -> PreferencePair:
    """Make a pair of which only what matters to a partition differs."""
    return PreferencePair(prompt, chosen, "-", client, "s", tie=tie, columns=columns)


def as_counter(pairs: Iterable[PreferencePair]) -> Counter[str]:
    """Count pairs by all that they say."""
    return Counter(json.dumps(vars(pair), sort_keys=True) for pair in pairs)


def everything(population: Population) -> list[PreferencePair]:
    """Return the pairs of all shards."""
    return [pair for shard in population.shards for pair in shard.preferences]


def prompts(shard: Shard, split: str) -> set[str]:
    """Return the prompts of one split."""
    return {str(pair.prompt) for pair in shard.split(split)}


some_pairs = st.lists(st.builds(
    lambda client, prompt, chosen, tie: pair(client, prompt, chosen, tie, topic=ord(prompt) % 3),
    st.sampled_from(["", "u", "v", "w"]), st.sampled_from("abcdefgh"), st.sampled_from("xyz"),
    st.booleans()), min_size=1, max_size=60)
all_settings = st.builds(
    Partition, by=st.sampled_from(["column", "iid", "dirichlet"]),
    column=st.sampled_from(["client_id", "topic"]), clients=st.integers(1, 3),
    choose=st.sampled_from(["largest", "sample"]), alpha=st.sampled_from([0.3, 10.0]),
    min_pairs=st.integers(1, 3), validation=st.sampled_from([0.0, 0.15, 0.4]),
    test=st.sampled_from([0.0, 0.2, 0.5]), split_scope=st.sampled_from(["client", "global"]),
    disjoint_prompts=st.booleans(), pool_training=st.booleans()).filter(
        lambda asked: not (asked.by == "column" and asked.disjoint_prompts))


def made(pairs: list[PreferencePair], asked: Partition, seed: int) -> Population:
    """Partition, or reject an example whose data cannot be cut as asked."""
    try:
        return partition(pairs, asked, seed)
    except (DataError, ConfigError):
        reject()


@given(some_pairs, all_settings, st.integers(0, 3))
def test_each_preference_is_in_one_place(pairs: list[PreferencePair], asked: Partition,
                                         seed: int) -> None:
    """What is in the shards was in the input as often, and the rest is counted as left out."""
    population = made(pairs, asked, seed)
    inside, given_pairs = as_counter(everything(population)), as_counter(pairs)
    assert inside <= given_pairs
    left_out = sum(n for name, n in population.counts.items() if name.startswith("pairs_"))
    assert inside.total() + left_out == given_pairs.total()


@given(some_pairs, all_settings, st.integers(0, 3))
def test_no_prompt_is_in_two_splits(pairs: list[PreferencePair], asked: Partition,
                                    seed: int) -> None:
    """Within a client always, across clients where the splits are global."""
    population = made(pairs, asked, seed)
    for shard in population.shards:
        found = [prompts(shard, split) for split in SPLITS]
        assert sum(map(len, found)) == len(set.union(*found))
    if asked.split_scope == "global":
        all_found = [set.union(*(prompts(s, split) for s in population.shards)) for split in SPLITS]
        assert sum(map(len, all_found)) == len(set.union(*all_found))


@given(some_pairs, all_settings, st.integers(0, 3), st.randoms(use_true_random=False))
def test_the_order_of_the_pairs_does_not_matter(pairs: list[PreferencePair], asked: Partition,
                                                seed: int, random: Any) -> None:
    """The same pairs in another order give an equal population."""
    shuffled = list(pairs)
    random.shuffle(shuffled)
    assert made(shuffled, asked, seed) == made(pairs, asked, seed)


@given(some_pairs, all_settings, st.integers(0, 3))
def test_each_client_has_what_it_needs(pairs: list[PreferencePair], asked: Partition,
                                       seed: int) -> None:
    """A choice to train on, min_pairs choices, and with three prompts each split with a share."""
    asked.pool_training = False
    for shard in made(pairs, asked, seed).shards:
        assert any(not pair.tie for pair in shard.train)
        assert sum(not pair.tie for pair in shard.preferences) >= asked.min_pairs
        if asked.split_scope == "client" and len({pair.prompt for pair in shard.preferences}) >= 3:
            assert bool(shard.validation) == (asked.validation > 0)
            assert bool(shard.test) == (asked.test > 0)


@given(some_pairs, all_settings, st.integers(0, 3))
def test_numbers_of_clients(pairs: list[PreferencePair], asked: Partition, seed: int) -> None:
    """Exactly as many as asked, in sorted order; drawn ones have numbers for names."""
    asked.pool_training = False
    population = made(pairs, asked, seed)
    ids = [shard.client_id for shard in population.shards]
    assert ids == sorted(set(ids))
    assert len(ids) == asked.clients
    if asked.by != "column":
        assert ids == [f"client_{number:03d}" for number in range(len(ids))]


@given(some_pairs, all_settings, st.integers(0, 3))
def test_pooling_moves_only_training_pairs(pairs: list[PreferencePair], asked: Partition,
                                           seed: int) -> None:
    """The pool has the train and validation pairs of all; the test pairs stay where they were."""
    asked.pool_training = False
    apart = made(pairs, asked, seed)
    asked.pool_training = True
    shards = {shard.client_id: shard for shard in partition(pairs, asked, seed).shards}
    pool = shards.pop(POOL)
    assert pool.test == ()
    assert as_counter(pool.preferences) == as_counter(
        pair for shard in apart.shards for pair in (*shard.train, *shard.validation))
    assert {name: shard.preferences for name, shard in shards.items()} == {
        shard.client_id: shard.test for shard in apart.shards if shard.test}
