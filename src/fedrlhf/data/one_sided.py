"""Clients that know only what is good, or only what is bad: ratings made of pairs."""

from collections import Counter
from collections.abc import Iterator, Sequence

from fedrlhf.data.population import Shard
from fedrlhf.errors import DataError
from fedrlhf.seeding import generator
from fedrlhf.types import Preference, PreferencePair, Rating

UNDECIDED = "pairs_without_a_side"


def one_sided(shards: Sequence[Shard], seed: int) -> tuple[list[Shard], Counter[str]]:
    """Let each client keep one answer of each pair: half of them the chosen, half the rejected one.

    The redistributed setting KTOR of Spadea and Seneviratne, 2025 (arXiv 2502.14187), in which no
    client has a pair to train on. A kept answer becomes a rating of 1 or 0 with the pair's weight
    and columns. The tests stay pairs: they measure what was learned.

    Args:
        shards: In the order of client ids.
        seed: Decides which clients keep the chosen answers; of an odd number one more does.

    Returns:
        The shards, and how many ties of train and validation were left out.

    Raises:
        DataError: There is something else than pairs to train or validate on.
    """
    order = generator(seed, "one sided").permutation(len(shards))
    keeps_chosen = set(order[:-(-len(shards) // 2)].tolist())
    ties = Counter({UNDECIDED: sum(one.tie for shard in shards
                                   for one in (*shard.train, *shard.validation))})
    return [Shard(shard.client_id, tuple(_kept(shard.train, number in keeps_chosen)),
                  tuple(_kept(shard.validation, number in keeps_chosen)), shard.test)
            for number, shard in enumerate(shards)], ties


def _kept(preferences: Sequence[Preference], chosen: bool) -> Iterator[Rating]:
    for one in preferences:
        if not isinstance(one, PreferencePair):
            raise DataError("partition.one_sided=true makes ratings of pairs, and the data have "
                            f"ratings already (of client {one.client_id!r})")
        if not one.tie:
            yield Rating(one.prompt, one.chosen if chosen else one.rejected, float(chosen),
                         one.client_id, one.source, one.weight, one.columns)
