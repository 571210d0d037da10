"""select: federated rounds train the selectors."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from fedrlhf.errors import ConfigError, RunFailed
from fedrlhf.federation.checkpoint import load_checkpoint, save_checkpoint
from fedrlhf.federation.client_grid import ClientGrid
from fedrlhf.federation.messages import from_arrays, to_arrays
from fedrlhf.federation.rounds import Progress, RoundRecord, run_rounds
from fedrlhf.files import read_json, write_json, write_text
from fedrlhf.models.adapters import AdapterSlot
from fedrlhf.seeding import seed_for
from fedrlhf.selectors.selector import open_selector
from fedrlhf.stages.context import Context, adapter_folder
from fedrlhf.stages.roll_call import check_shards

CHECKPOINT, ROUNDS, GROUPING, COSTS = (
    "checkpoint.safetensors", "rounds.jsonl", "grouping.json", "costs.json")


def run(context: Context) -> None:
    """Train the selectors from the last finished round on; save them as PEFT adapters."""
    folder = context.run.folder("select")
    slot = open_selector(context.config).slot
    grid = ClientGrid(context.connection, context.clients, slot.layout.digest,
                      context.config.select.reply_timeout)
    if context.deployed:
        check_shards(context)
    _check(context, grid)
    progress = _resume(context, folder, slot, grid)
    _rewind(context, folder, progress.server_round)
    settings = context.config.select
    with context.progress.task("select: rounds", settings.rounds, progress.server_round) as task:
        for record in run_rounds(grid, context.strategy, progress, settings,
                                 context.config.run.seed):
            _record(context, folder, record, grid)
            save_checkpoint(folder / CHECKPOINT, progress, context.strategy, grid)
            task.advance(note=_note(record))
    if progress.bad_rounds >= settings.rounds:
        raise RunFailed("no round had enough good replies, so the selectors are untrained; "
                        f"{folder / ROUNDS} holds the reasons")
    place = getattr(context.strategy, "place_clients", None)
    if place is not None:
        place(progress.arrays, grid)
    _save(context, folder, slot, from_arrays(progress.arrays), grid)


def _check(context: Context, grid: ClientGrid) -> None:
    """Refuse a schedule that ends in the warm-up and faults of clients that do not exist.

    Raises:
        ConfigError: Names the key, its value and what would do.
    """
    rounds = context.config.select.rounds
    least = getattr(context.strategy, "least_rounds", lambda: 1)()
    if rounds < least:
        raise ConfigError(f"select.rounds={rounds} ends before every selector was warmed up and "
                          f"one round came after; set at least {least}, or fewer "
                          "strategy.selectors or strategy.warmup_rounds")
    known = {client.client_id for client in grid.clients}
    if unknown := sorted(set(context.config.faults) - known):
        raise ConfigError(f"faults names {', '.join(unknown)}, but the clients are "
                          f"{', '.join(sorted(known)[:5])} …")


def _resume(context: Context, folder: Path, slot: AdapterSlot, grid: ClientGrid) -> Progress:
    if (folder / CHECKPOINT).exists():
        progress = load_checkpoint(folder / CHECKPOINT, context.strategy, grid)
        if progress.bad_rounds >= context.config.select.screen.patience:
            # The last attempt gave up after these rounds, which changed no adapter: try them again.
            progress.server_round -= progress.bad_rounds
            progress.bad_rounds = 0
        return progress
    count = getattr(context.strategy, "count", lambda clients: 1)(len(grid.clients))
    seed = context.config.run.seed
    return Progress(to_arrays({u: slot.initial(seed_for(seed, "selector", u))
                               for u in range(count)}))


def _rewind(context: Context, folder: Path, server_round: int) -> None:
    """Drop records of rounds that no checkpoint holds: they are run again."""
    context.metrics.rewind("select", server_round)
    kept = [row for row in read_rounds(folder / ROUNDS) if row["server_round"] <= server_round]
    write_text(folder / ROUNDS, "".join(json.dumps(row) + "\n" for row in kept))


def _record(context: Context, folder: Path, record: RoundRecord, grid: ClientGrid) -> None:
    row = asdict(record) | {"grouping": grouping(context, grid)}
    with (folder / ROUNDS).open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
        file.flush()
        os.fsync(file.fileno())
    context.metrics.log("select", record.server_round, {
        **record.metrics, "seconds": record.seconds, "replies": len(record.client_metrics),
        "rejected": len(record.rejected)})
    for rejection in record.rejected:
        context.progress.message(f"round {record.server_round}: {rejection.client_id} was left "
                                 f"out: {rejection.reason}")


def grouping(context: Context, grid: ClientGrid) -> dict[str, int]:
    """Return each client's selector by client id; empty for a strategy without groups."""
    found = getattr(context.strategy, "grouping", {})
    return {grid.client(node).client_id: int(u) for node, u in sorted(found.items())}


def _note(record: RoundRecord) -> str:
    loss = record.metrics.get("train_loss")
    return f"loss {loss:.3f}" if loss is not None else ""


def _save(context: Context, folder: Path, slot: AdapterSlot, bank: dict[int, np.ndarray],
          grid: ClientGrid) -> None:
    for index, adapter in bank.items():
        slot.save(adapter, adapter_folder(context, index))
    selector_of = getattr(context.strategy, "selector_of", lambda node: 0)
    write_json(folder / GROUPING, {grid.client(node).client_id: selector_of(node)
                                   for node in grid.nodes})
    write_json(folder / COSTS, {name: asdict(cost) for name, cost in grid.costs.items()})


def load_selectors(context: Context, slot: AdapterSlot) -> list[np.ndarray]:
    """Read the trained selectors in the order of their numbers."""
    count = len(list((context.run.path / "select").glob("selector_*")))
    return [slot.load(adapter_folder(context, index)) for index in range(count)]


def own_selectors(context: Context) -> dict[str, int]:
    """Return which selector each client uses."""
    return dict(read_json(context.run.path / "select" / GROUPING))


def read_rounds(path: Path) -> Sequence[dict[str, Any]]:
    """Read the records of finished rounds; a line that a kill cut short is left out."""
    if not path.exists():
        return []
    rows = []
    for line in path.read_text("utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows
