"""Cut preferences into the shards of clients: each pair into one shard and one split."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from fedrlhf.config.schema import Partition
from fedrlhf.data.clients import (
    Holdings,
    by_column,
    by_value,
    chosen,
    drawn,
    trainable,
    value_of,
)
from fedrlhf.data.one_sided import one_sided
from fedrlhf.data.population import Population, Shard
from fedrlhf.data.splits import Item, choices_by_prompt, deal, in_stable_order, shard_of
from fedrlhf.errors import ConfigError, DataError
from fedrlhf.seeding import generator
from fedrlhf.types import Preference, Split

POOL = "pool"
_CHOICES = {"by": ("column", "iid", "dirichlet"), "choose": ("largest", "sample"),
            "split_scope": ("client", "global")}


def partition(preferences: Iterable[Preference], settings: Partition, seed: int) -> Population:
    """Make a population of preferences.

    The result depends on which preferences there are, not on their order. Ties stay in the shards;
    ``min_pairs`` counts the others. Each client has a preference to train on that is no tie, and no
    prompt stands in two of its splits (``split_scope=global``: in two splits at all).

    Args:
        preferences: Every preference once.
        settings: The section ``partition`` of the configuration.
        seed: Decides who gets what; each client's splits have a generator of their own.

    Returns:
        The shards, and these counts where they are not 0. Left out are
        ``pairs_without_<column>`` and, each with its ``pairs_…``, ``clients_below_min_pairs``,
        ``clients_not_chosen`` and ``clients_without_training`` (by column with global splits: all
        their choices are held out), and ``pairs_unseen``, the training pairs of ``clients_unseen``
        with global splits. ``clients_without_validation`` and ``clients_without_test`` have no
        prompt in that split; ``clients_only_in_pool`` have nothing to test on;
        ``pairs_without_a_side`` are the ties of one-sided clients.

    Raises:
        ConfigError: The settings contradict each other.
        DataError: The data have no such column or too few clients, prompts or pairs; the message
            says how many there are.
    """
    _check(settings)
    items = in_stable_order(preferences)
    if not items:
        raise DataError("there are no preferences to partition")
    holdings, splits, counts = _held(items, settings, seed)
    shards = [shard_of(name, found, splits or _deal(found, settings, seed, name))
              for name, found in sorted(holdings.items())]
    counts += _lacking(shards, settings)
    shards, unseen = _unseen(shards, settings)
    if unseen:
        counts["clients_unseen"] = len(unseen)
        counts["pairs_unseen"] = sum(len(found) for found in holdings.values()) - sum(
            len(shard.preferences) for shard in [*shards, *unseen])
    if settings.one_sided:
        shards, ties = one_sided(shards, seed)
        counts += ties
    if settings.pool_training:
        clients, shards = len(shards), pooled(shards, settings, seed)
        counts["clients_only_in_pool"] = clients + 1 - len(shards)
    every = sorted([*shards, *unseen], key=lambda shard: shard.client_id)
    return Population(tuple(every), {name: int(count) for name, count in counts.items() if count})


def pooled(shards: Sequence[Shard], settings: Partition, seed: int) -> list[Shard]:
    """Move all training and validation pairs to the client "pool"; the others keep their tests.

    With ``pool_validation=false`` the others keep their validation pairs as well.

    Where a prompt trains one client and validates another, the pool's prompts are dealt anew in
    the same ratio, so that none stands in two of its splits.

    Raises:
        DataError: A client is already called "pool".
    """
    if any(shard.client_id == POOL for shard in shards):
        raise DataError(f"a client is called {POOL!r}, which partition.pool_training needs itself")
    kept = {shard.client_id: () if settings.pool_validation else shard.validation
            for shard in shards}
    train, validation = (in_stable_order(pair for shard in shards for pair in shard.split(name))
                         for name in ("train", "validation"))
    if not settings.pool_validation:
        validation = []
    splits: dict[str, Split] = {item.prompt: "train" for item in train}
    if any(item.prompt in splits for item in validation):
        ratio = replace(settings, test=0.0, validation=settings.validation / (1 - settings.test))
        splits = _deal([*train, *validation], ratio, seed, POOL)
    else:
        splits |= {item.prompt: "validation" for item in validation}
    everything = in_stable_order(item.preference for item in [*train, *validation])
    pool = shard_of(POOL, everything, splits)
    tests = [Shard(shard.client_id, (), kept[shard.client_id], shard.test) for shard in shards
             if shard.test or kept[shard.client_id]]
    return sorted([pool, *tests], key=lambda shard: shard.client_id)


def _unseen(shards: Sequence[Shard], settings: Partition) -> tuple[list[Shard], list[Shard]]:
    """Take the training pairs from the clients that are only tested.

    Their validation split stays, as the context of judges that need one. Where each client has
    splits of its own, the training pairs are tested as well; where all share the splits of prompts,
    they are left out, for other clients train on their prompts.

    Raises:
        DataError: A name is no client's, or no client is left to train.
    """
    names = {shard.client_id for shard in shards}
    if unknown := sorted(set(settings.unseen) - names):
        raise DataError(f"partition.unseen names {', '.join(unknown)}, but the clients are "
                        f"{', '.join(sorted(names)[:5])} …")
    if names <= set(settings.unseen):
        raise DataError("partition.unseen names every client, so that none is left to train")
    more = settings.split_scope == "client"
    unseen = [Shard(shard.client_id, (), shard.validation,
                    (*(shard.train if more else ()), *shard.test))
              for shard in shards if shard.client_id in settings.unseen]
    return [shard for shard in shards if shard.client_id not in settings.unseen], unseen


def _held(items: Sequence[Item], settings: Partition,
          seed: int) -> tuple[Holdings, dict[str, Split], Counter[str]]:
    """Return pairs by client, the splits of prompts if all clients share them, and counts."""
    shared = settings.split_scope == "global"
    if settings.by == "column":
        holdings, counts = by_column(items, settings)
        everything = [item for found in holdings.values() for item in found]
        splits = _deal(everything, settings, seed) if shared else {}
        holdings, without_training = trainable(holdings, splits)
        holdings, not_chosen = chosen(holdings, settings, seed)
        return holdings, splits, counts + without_training + not_chosen
    counts = Counter()
    if settings.by == "dirichlet":
        counts = by_value(items, settings.column)[1]
        items = [item for item in items if value_of(item, settings.column)]
    splits = _deal(items, settings, seed) if shared else {}
    return drawn(items, settings, seed, splits), splits, counts


def _deal(items: Iterable[Item], settings: Partition, seed: int, *owner: str) -> dict[str, Split]:
    return deal(choices_by_prompt(items), settings, generator(seed, "splits", *owner))


def _lacking(shards: Iterable[Shard], settings: Partition) -> Counter[str]:
    """Count the clients that have nothing in a split that has a share."""
    shares = {"validation": settings.validation, "test": settings.test}
    return Counter(f"clients_without_{name}" for shard in shards for name, share in shares.items()
                   if share > 0 and not shard.split(name))


def _check(settings: Partition) -> None:
    for name, known in _CHOICES.items():
        if getattr(settings, name) not in known:
            raise ConfigError(f"partition.{name} must be one of {', '.join(known)}, "
                              f"got {getattr(settings, name)!r}")
    if settings.validation + settings.test >= 1:
        raise ConfigError("partition.validation + partition.test must leave something to train on")
    if settings.by == "column":
        if settings.disjoint_prompts:
            raise ConfigError("partition.disjoint_prompts needs partition.by=iid or dirichlet; a "
                              "person's pairs stay with the person")
    elif not settings.clients:
        raise ConfigError(f"partition.clients must be set with partition.by={settings.by}")
