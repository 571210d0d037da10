"""Partitions by hand: who gets what, moments of Dirichlet, the pool, errors."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrlhf.config.schema import Partition
from fedrlhf.data.partition import POOL, partition
from fedrlhf.data.population import Shard
from fedrlhf.errors import ConfigError, DataError
from fedrlhf.types import SPLITS, PreferencePair, Turn


def pair(client: str, prompt: str, chosen: str = "a", tie: bool = False,
         **columns: Any) -> PreferencePair:
    """Make a pair of which only what matters to a partition differs."""
    return PreferencePair(prompt, chosen, "-", client, "s", tie=tie, columns=columns)


def ask(**changes: Any) -> Partition:
    """Return settings without a smallest size, changed as told."""
    return Partition(**{"min_pairs": 1, **changes})


def held(client: str, prompts: int, each: int = 1) -> list[PreferencePair]:
    """Make a client with a number of prompts and of pairs for each."""
    return [pair(client, f"{client}{p}", chosen=str(n)) for p in range(prompts)
            for n in range(each)]


def prompts(shard: Shard, split: str) -> set[str]:
    """Return the prompts of one split."""
    return {str(pair.prompt) for pair in shard.split(split)}


def test_a_client_of_its_own_keeps_its_splits() -> None:
    """Another client more or less changes nothing for this one."""
    alone = partition(held("a", 12), ask(), 5).shards[0]
    beside = partition([*held("a", 12), *held("b", 7)], ask(), 5).shards[0]
    assert alone == beside


def test_seeds_matter() -> None:
    """Two seeds deal 30 prompts differently."""
    assert partition(held("a", 30), ask(), 0) != partition(held("a", 30), ask(), 1)


def test_small_clients_are_left_out_and_counted() -> None:
    """With min_pairs 3: a has 3 choices, b has 3 pairs of which one is a tie, c has 1, one is lost.

    Left out: b and c with 3 + 1 pairs, and the pair without a person.
    """
    pairs = [*held("a", 3), *held("b", 2), pair("b", "t", tie=True), *held("c", 1), pair("", "x")]
    population = partition(pairs, ask(min_pairs=3), 0)
    assert [shard.client_id for shard in population.shards] == ["a"]
    assert population.counts == {"pairs_without_client_id": 1, "clients_below_min_pairs": 2,
                                 "pairs_below_min_pairs": 4}


def test_largest_clients_and_ties_in_size() -> None:
    """Choices a 1 (and 4 ties), b 2, c 2, d 3: the largest are d and, before c by its id, b."""
    ties = [pair("a", "t", chosen=str(n), tie=True) for n in range(4)]
    pairs = [*ties, *held("a", 1), *held("b", 2), *held("c", 2), *held("d", 3)]
    population = partition(pairs, ask(clients=2), 0)
    assert [shard.client_id for shard in population.shards] == ["b", "d"]
    assert population.counts["clients_not_chosen"] == 2
    assert population.counts["pairs_not_chosen"] == 7


def test_sampled_clients_depend_on_the_seed_and_not_on_size() -> None:
    """Over 40 seeds each of three clients is drawn, the smallest too."""
    pairs = [*held("a", 1), *held("b", 2), *held("c", 9)]
    drawn = {partition(pairs, ask(clients=1, choose="sample"), seed).shards[0].client_id
             for seed in range(40)}
    assert drawn == {"a", "b", "c"}


def test_few_prompts_are_counted() -> None:
    """One prompt: only training. Two: training and test. Three: all splits."""
    population = partition([*held("a", 1), *held("b", 2), *held("c", 3)], ask(), 0)
    assert [tuple(shard.sizes().values()) for shard in population.shards] == [
        (1, 0, 0), (1, 0, 1), (1, 1, 1)]
    assert population.counts == {"clients_without_validation": 2, "clients_without_test": 1}


def test_a_column_of_numbers_makes_clients() -> None:
    """Values become texts; the pairs keep the person in their own client_id."""
    pairs = [pair("u", "p", group=2), pair("v", "q", group=10)]
    population = partition(pairs, ask(column="group"), 0)
    assert [(s.client_id, s.preferences[0].client_id) for s in population.shards] == [
        ("10", "v"), ("2", "u")]


def test_even_partition() -> None:
    """Ten pairs over three clients: 4, 3 and 3."""
    population = partition(held("a", 5, each=2), ask(by="iid", clients=3), 0)
    assert [len(shard.preferences) for shard in population.shards] == [4, 3, 3]


@pytest.mark.parametrize("by", ["iid", "dirichlet"])
def test_disjoint_prompts(by: str) -> None:
    """All four pairs of a prompt are with one client."""
    pairs = [pair("u", f"p{n % 20}", str(n), topic=n % 2) for n in range(80)]
    population = partition(pairs, ask(by=by, column="topic", clients=4, alpha=1.0,
                                      disjoint_prompts=True), 0)
    owners = Counter((str(pair.prompt), shard.client_id)
                     for shard in population.shards for pair in shard.preferences)
    assert len(owners) == 20
    assert set(owners.values()) == {4}


def test_shares_have_the_moments_of_dirichlet() -> None:
    """A client's share of n pairs of a topic is Dirichlet-multinomial.

    With K = 4, alpha = 0.5 and n = 20 its mean is 1/K and its variance
    p(1-p)(n + K alpha) / (n (1 + K alpha)) = 0.1875 * 22 / 60 = 0.06875.
    """
    pairs = [pair("u", f"t{t}p{n}", topic=t) for t in range(300) for n in range(20)]
    population = partition(pairs, ask(by="dirichlet", column="topic", clients=4, alpha=0.5), 0)
    shares = np.array([[sum(p.columns["topic"] == t for p in shard.preferences) / 20
                        for t in range(300)] for shard in population.shards])
    assert shares.sum() == pytest.approx(300)
    assert shares.mean(axis=1) == pytest.approx([0.25] * 4, abs=0.06)
    assert shares.var() == pytest.approx(0.06875, rel=0.15)


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_each_client_gets_min_pairs_by_drawing_again(seed: int) -> None:
    """Shares of Dirichlet(1) for 5 clients are all above x with probability (1 - 5x)^4.

    Four of 60 pairs are x = 1/15: one draw in five succeeds, and all of 100 fail once in 10^9.
    """
    pairs = [pair("u", f"p{n}", topic=0) for n in range(60)]
    asked = ask(by="dirichlet", column="topic", clients=5, alpha=1.0, min_pairs=4)
    assert min(len(shard.preferences) for shard in partition(pairs, asked, seed).shards) >= 4


def test_pool_keeps_the_splits_where_no_prompt_conflicts() -> None:
    """Each client has prompts of its own, so the pool's splits are the clients' together."""
    pairs = [*held("a", 10), *held("b", 10)]
    apart, together = (partition(pairs, ask(pool_training=pool), 0) for pool in (False, True))
    pool = together.shards[-1]
    assert [shard.client_id for shard in together.shards] == ["a", "b", POOL]
    for split in ("train", "validation"):
        assert prompts(pool, split) == set.union(*(prompts(s, split) for s in apart.shards))


def test_pool_deals_anew_where_clients_disagree() -> None:
    """20 prompts of 8 clients: with a test share of 0.2, 0.15 / 0.8 of 20 prompts = 3.75 validate.

    All clients' held-out prompts differ, so all 20 stand in the pool and 4 of them validate.
    """
    pairs = [pair(client, f"p{n}") for client in "abcdefgh" for n in range(20)]
    pool = partition(pairs, ask(pool_training=True, validation=0.15, test=0.2), 0).shards[-1]
    assert len(prompts(pool, "train")) == 16
    assert len(prompts(pool, "validation")) == 4


def test_clients_without_a_test_live_on_in_the_pool() -> None:
    """Client a has one prompt, which trains: it has nothing left to hold beside the pool."""
    population = partition([*held("a", 1), *held("b", 4)], ask(pool_training=True), 0)
    assert [shard.client_id for shard in population.shards] == ["b", POOL]
    assert population.counts["clients_only_in_pool"] == 1


def test_global_splits_leave_out_who_cannot_train() -> None:
    """Four clients with one prompt each and one of four prompts held out: one cannot train."""
    pairs = [pair(client, client) for client in "abcd"]
    population = partition(pairs, ask(split_scope="global", validation=0.0, test=0.25), 0)
    assert len(population.shards) == 3
    assert population.counts["clients_without_training"] == 1
    assert population.counts["pairs_without_training"] == 1


def test_turns_and_text_of_one_prompt_share_a_split() -> None:
    """The same question as a text and as a conversation of one turn is one prompt."""
    turns = (Turn(role="user", content="p0"),)
    pairs = [*held("p", 9), PreferencePair(turns, "a", "b", "p", "s")]
    for seed in range(10):
        shard = partition(pairs, ask(), seed).shards[0]
        places = {split for split in SPLITS
                  for found in shard.split(split) if found.prompt in ("p0", turns)}
        assert len(places) == 1


@pytest.mark.parametrize(("changes", "error", "message"), [
    ({"column": "tpoic"}, DataError, r"'tpoic' .*columns: client_id, topic\."),
    ({"column": "nested"}, DataError, "no preference has a value"),
    ({"clients": 3}, DataError, r"clients=3, but only 2 values of client_id have the 1 pref"),
    ({"min_pairs": 9}, DataError, "none of the 2 values .* has 9 .* the largest has 4; lower"),
    ({"by": "iid", "clients": 7}, DataError, "clients=7, but there are only 6 preference pairs"),
    ({"by": "iid", "clients": 6, "disjoint_prompts": True}, DataError, "only 5 prompts"),
    ({"by": "iid", "clients": 3, "min_pairs": 3}, DataError, "best draw had 2. Lower partition.cl"),
    ({"by": "dirichlet", "clients": 2, "min_pairs": 4}, DataError, r"Raise partition.alpha \(0.3"),
    ({"by": "dirichlet", "clients": 2, "disjoint_prompts": True}, DataError,
     "has 2 values of 'client_id'; set partition.column to a property of prompts"),
    ({"disjoint_prompts": True}, ConfigError, "needs partition.by=iid or dirichlet"),
    ({"by": "iid"}, ConfigError, "partition.clients must be set with partition.by=iid"),
    ({"by": "rows"}, ConfigError, "partition.by must be one of column, iid, dirichlet"),
    ({"choose": "best"}, ConfigError, "partition.choose"),
    ({"validation": 0.5, "test": 0.5}, ConfigError, "leave something to train on"),
])
def test_errors_say_what_to_change(changes: dict[str, Any], error: type[Exception],
                                   message: str) -> None:
    """Six choices: u has p0 to p3, v has p3 and p4 (two values of client_id for p3)."""
    pairs = [pair(client, f"p{n}", topic=1)
             for client, numbers in (("u", range(4)), ("v", (3, 4))) for n in numbers]
    with pytest.raises(error, match=message):
        partition(pairs, ask(**changes), 0)


def test_nothing_to_partition() -> None:
    """An empty source is an error and no empty population."""
    with pytest.raises(DataError, match="no preferences"):
        partition([], ask(), 0)


def test_values_that_cannot_be_client_ids_or_be_saved() -> None:
    """A list names no client, and a set cannot be written to a shard's file."""
    with pytest.raises(DataError, match=r"must hold texts or numbers, got \[1\]"):
        partition([pair("u", "p", topic=[1])], ask(column="topic"), 0)
    with pytest.raises(DataError, match="must hold JSON values"):
        partition([pair("u", "p", topic={1})], ask(), 0)


def test_a_client_called_pool_is_refused() -> None:
    """Its shard would be mistaken for the pooled one."""
    with pytest.raises(DataError, match="a client is called 'pool'"):
        partition(held("pool", 3), ask(pool_training=True), 0)


def test_only_ties_cannot_be_trained_on() -> None:
    """A tie is no choice: the only client has none."""
    with pytest.raises(DataError, match="the largest has 0; lower"):
        partition([pair("u", "p", tie=True)], ask(), 0)


def test_unseen_clients_train_nothing() -> None:
    """Own splits: what would train is tested; shared splits: it is left out and counted."""
    pairs = [*held("a", 10), *held("b", 10)]
    plain = {shard.client_id: shard for shard in partition(pairs, ask(), 0).shards}
    population = partition(pairs, ask(unseen=["b"]), 0)
    a, b = population.shards
    assert a == plain["a"]
    assert b.train == ()
    assert b.validation == plain["b"].validation
    assert prompts(b, "test") == prompts(plain["b"], "train") | prompts(plain["b"], "test")
    assert population.counts == {"clients_unseen": 1}
    same = [pair(client, f"p{number}") for client in "ab" for number in range(10)]
    shared = partition(same, ask(unseen=["b"], split_scope="global"), 0)
    a, b = shared.shards
    assert b.train == ()
    assert prompts(b, "test") == prompts(a, "test")
    assert shared.counts == {"clients_unseen": 1, "pairs_unseen": len(a.train)}


def test_a_pool_can_leave_the_validation_with_its_clients() -> None:
    """pool_validation=false: the pool trains, clients keep the rest, unseen ones all they have."""
    pairs = [*held("a", 10), *held("b", 10), *held("c", 10)]
    plain = {s.client_id: s for s in partition(pairs, ask(unseen=["c"]), 0).shards}
    shards = {s.client_id: s for s in partition(pairs, ask(
        unseen=["c"], pool_training=True, pool_validation=False), 0).shards}
    assert shards["c"] == plain["c"]
    assert prompts(shards[POOL], "train") == prompts(plain["a"], "train") | prompts(
        plain["b"], "train")
    assert shards[POOL].validation == ()
    for name in "ab":
        assert shards[name] == Shard(name, (), plain[name].validation, plain[name].test)


@pytest.mark.parametrize("unseen, told", [(["a", "z"], "names z"), (["a"], "every client")])
def test_unseen_clients_must_be_some_of_the_clients(unseen: list[str], told: str) -> None:
    """The message names who is unknown, or that nobody is left."""
    with pytest.raises(DataError, match=told):
        partition(held("a", 10), ask(unseen=unseen), 0)
    with pytest.raises(ConfigError, match=r"partition\.unseen"):
        partition(held("a", 10), ask(unseen=unseen, by="iid", clients=2), 0)
