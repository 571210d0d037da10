"""A site makes the shard of its own client, without any other site."""

from collections.abc import Sequence
from dataclasses import replace

from fedrlhf.config.schema import Partition
from fedrlhf.data.clients import value_of
from fedrlhf.data.partition import partition
from fedrlhf.data.population import Shard
from fedrlhf.data.splits import Item
from fedrlhf.errors import ConfigError, DataError
from fedrlhf.types import Preference

_SHOWN_VALUES = 5


def site_shard(pairs: Sequence[Preference], client_id: str, settings: Partition,
               seed: int) -> Shard:
    """Deal one client's preferences to its splits as `partition` would among all clients.

    The splits of a client depend on its own prompts, its id and the seed alone, so the shard is
    the one that a simulation with the preferences of every site gives this client.

    Args:
        pairs: What the site holds. If any pair has a value in ``partition.column``, those that
            have this client's are taken; if none has one, all are this client's.
        client_id: The client's name in the federation.
        settings: The section ``partition`` of the configuration.
        seed: ``run.seed`` of the federation.

    Raises:
        ConfigError: The settings need the preferences of other sites.
        DataError: No pair is this client's, or fewer than ``min_pairs`` choices.
    """
    _check(settings)
    own = _own(pairs, client_id, settings.column)
    population = partition(own, replace(settings, clients=None), seed)
    return population.shards[0]


def _check(settings: Partition) -> None:
    for key, value, needed in (("by", settings.by, "column"),
                               ("split_scope", settings.split_scope, "client"),
                               ("pool_training", settings.pool_training, False),
                               ("one_sided", settings.one_sided, False)):
        if value != needed:
            raise ConfigError(f"partition.{key}={value} needs the preferences of all sites; a site "
                              f"makes its own shard with partition.{key}={needed}")


def _own(pairs: Sequence[Preference], client_id: str, column: str) -> list[Preference]:
    values = [value_of(Item(pair, ""), column) for pair in pairs]
    if any(values):
        own = [pair for pair, value in zip(pairs, values, strict=True) if value == client_id]
        if not own:
            found = sorted(set(values) - {""})
            raise DataError(f"no preference has {client_id!r} in the column {column!r}; it holds "
                            f"{', '.join(found[:_SHOWN_VALUES])}"
                            f"{' …' if len(found) > _SHOWN_VALUES else ''}")
        return own
    if column == "client_id":
        return [replace(pair, client_id=client_id) for pair in pairs]
    return [replace(pair, columns={**pair.columns, column: client_id}) for pair in pairs]
