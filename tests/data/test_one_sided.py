"""Clients that keep only the chosen, or only the rejected, answers of their pairs."""

from dataclasses import replace

import pytest

from fedrlhf.config.schema import Partition
from fedrlhf.data.one_sided import one_sided
from fedrlhf.data.partition import partition
from fedrlhf.data.population import Shard
from fedrlhf.data.site_shard import site_shard
from fedrlhf.errors import ConfigError, DataError
from fedrlhf.types import PreferencePair, Rating, only_pairs, only_ratings

PAIR = PreferencePair("p", "good", "bad", "ann", "made", weight=0.5, columns={"topic": "t"})


def shards(count: int) -> list[Shard]:
    """Return shards with a pair and a tie to train on, a pair to validate and one to test."""
    return [Shard(f"client_{i}", (PAIR, replace(PAIR, tie=True)), (PAIR,), (PAIR,))
            for i in range(count)]


def test_half_and_half() -> None:
    """Of five clients three keep the chosen answers; ties are left out and counted."""
    found, counts = one_sided(shards(5), seed=0)
    sides = [{one.completion for one in only_ratings(shard.preferences)} for shard in found]
    assert sorted(map(sorted, sides)) == [["bad"], ["bad"], ["good"], ["good"], ["good"]]
    assert counts == {"pairs_without_a_side": 5}
    assert all(shard.test == (PAIR,) for shard in found)
    assert one_sided(shards(5), seed=0)[0] == found


def test_what_a_rating_keeps() -> None:
    """Prompt, weight and columns are the pair's; the value is certain."""
    train = one_sided(shards(1), seed=0)[0][0].train
    assert train == (Rating("p", "good", 1.0, "ann", "made", 0.5, {"topic": "t"}),)


def test_no_client_has_a_pair_to_train_on() -> None:
    """Through `partition`, and pooled: the pool has answers of both kinds."""
    pairs = [replace(PAIR, prompt=f"{name} {i}", client_id=name) for name in "ab" for i in range(9)]
    settings = Partition(min_pairs=3, validation=0.2, test=0.2, one_sided=True)
    found = partition(pairs, settings, 0).shards
    assert not any(only_pairs(shard.train) or only_ratings(shard.test) for shard in found)
    pool = partition(pairs, replace(settings, pool_training=True), 0).shards[-1]
    assert {one.desirable for one in only_ratings(pool.train)} == {True, False}


def test_what_is_refused() -> None:
    """Ratings have no second side; one site does not know how many there are."""
    rated = Shard("ann", (Rating("p", "c", 1.0, "ann", "made"),), (), ())
    with pytest.raises(DataError, match=r"one_sided=true makes ratings of pairs.*'ann'"):
        one_sided([rated], 0)
    with pytest.raises(ConfigError, match="partition.one_sided=True needs the preferences of all"):
        site_shard([PAIR], "ann", Partition(one_sided=True), 0)
