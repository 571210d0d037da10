"""partition in a deployment: the sites hold their shards and tell how many pairs these have."""

from collections.abc import Sequence
from typing import Any

from fedrlhf.data.population import Index, ShardEntry, write_index
from fedrlhf.data.summary import summarise_sizes
from fedrlhf.errors import DataError
from fedrlhf.federation.client_grid import Client
from fedrlhf.stages.context import Context


def run(context: Context) -> None:
    """Wait for the expected clients and note who they are and how many pairs each has.

    No statistics of anybody's choices are asked for, so none are in the index.
    """
    expected = context.config.runtime.clients
    context.progress.message(f"roll call: waiting for {', '.join(expected)}, at most "
                             f"{context.config.select.reply_timeout:g} s")
    entries = _entries(context.clients)
    summary: dict[str, Any] = summarise_sizes({e.client_id: e.sizes for e in entries})
    write_index(context.run.folder("partition"), Index(entries, {}, summary))
    context.progress.message(f"roll call: {len(entries)} clients, {summary['pairs']} pairs")


def check_shards(context: Context) -> None:
    """Refuse to go on with a run whose sites hold other shards than at its beginning.

    Raises:
        DataError: Names the clients whose numbers of pairs differ.
    """
    before = {entry.client_id: entry.sizes for entry in context.population.shards}
    changed = [f"{entry.client_id} had {before.get(entry.client_id)} and has {entry.sizes}"
               for entry in _entries(context.clients)
               if before.get(entry.client_id) != entry.sizes]
    if changed:
        raise DataError(f"shards changed since this run began: {'; '.join(changed)}. Give the "
                        "sites their former shards, or choose another run.dir")


def _entries(clients: Sequence[Client]) -> tuple[ShardEntry, ...]:
    """Return the lines of the index that the answers to a roll call make."""
    return tuple(ShardEntry(
        client.client_id, None,
        {"train": client.train, "validation": client.validation, "test": client.test}, None)
        for client in clients)
