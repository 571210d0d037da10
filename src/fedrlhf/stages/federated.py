"""What both federated stages share: rounds that train adapters, continued where they stopped.

`select` trains judges of completions, `rlhf` the policy; the objective says which.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from fedrlhf.errors import ConfigError, RunFailed
from fedrlhf.federation.checkpoint import load_checkpoint, save_checkpoint
from fedrlhf.federation.client_grid import ClientGrid
from fedrlhf.federation.messages import from_arrays, to_arrays
from fedrlhf.federation.rounds import Progress, RoundRecord, run_rounds
from fedrlhf.files import write_json, write_text
from fedrlhf.models.slot import Slot
from fedrlhf.stages.context import Context
from fedrlhf.stages.roll_call import check_shards

CHECKPOINT, ROUNDS, GROUPING, COSTS = (
    "checkpoint.safetensors", "rounds.jsonl", "grouping.json", "costs.json")


def train_adapters(context: Context, stage: str, slot: Slot, grid: ClientGrid,
                   start: Mapping[int, np.ndarray]) -> dict[int, np.ndarray]:
    """Run the stage's rounds from the last finished one on.

    Args:
        context: The run.
        stage: The stage's name; its folder takes checkpoint, records, grouping and costs.
        slot: Where one adapter at a time is active.
        grid: The way to the clients.
        start: The adapters before the first round.

    Returns:
        The adapters after the last round.

    Raises:
        ConfigError: The schedule or the faults do not fit the federation.
        RunFailed: Too many clients failed.
    """
    folder, settings = context.run.folder(stage), context.rounds
    if context.deployed:
        check_shards(context)
    _check(context, stage, grid)
    context.personal.check(slot.layout)
    progress = _resume(context, folder, grid, start)
    _rewind(context, stage, progress.server_round)
    with context.progress.task(f"{stage}: rounds", settings.rounds, progress.server_round) as task:
        for record in run_rounds(grid, context.strategy, progress, settings,
                                 context.config.run.seed):
            _record(context, stage, record, grid)
            save_checkpoint(folder / CHECKPOINT, progress, context.strategy, grid)
            task.advance(note=_note(record))
    if progress.bad_rounds >= settings.rounds:
        raise RunFailed("no round had enough good replies, so the adapters are untrained; "
                        f"{folder / ROUNDS} holds the reasons")
    place = getattr(context.strategy, "place_clients", None)
    if place is not None:
        place(progress.arrays, grid, progress.server_round + 1)
    write_json(folder / COSTS, {name: asdict(cost) for name, cost in grid.costs.items()})
    return from_arrays(progress.arrays)


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


def _check(context: Context, stage: str, grid: ClientGrid) -> None:
    """Refuse what no round could use: nobody to train, an early end, faults of nobody.

    Raises:
        ConfigError: Names the key, its value and what would do.
    """
    _check_trainable(context, grid)
    rounds = context.rounds.rounds
    least = getattr(context.strategy, "least_rounds", lambda: 1)()
    if rounds < least:
        raise ConfigError(f"{stage}.rounds={rounds} ends before every selector was warmed up and "
                          f"one round came after; set at least {least}, or fewer "
                          "strategy.selectors or strategy.warmup_rounds")
    known = {client.client_id for client in grid.clients}
    if unknown := sorted(set(context.config.faults) - known):
        raise ConfigError(f"faults names {', '.join(unknown)}, but the clients are "
                          f"{', '.join(sorted(known)[:5])} …")


def _check_trainable(context: Context, grid: ClientGrid) -> None:
    """Refuse an objective that no client has anything for.

    Raises:
        ConfigError: Says what the clients have instead.
    """
    if any(client.train for client in grid.clients):
        return
    name = type(context.objective).__name__.lower()
    held = sum(client.train for client in context.clients)
    instead = (f": their {held:,} training preferences are ratings of single answers. Choose "
               "objective=kto (or sft, which imitates the good ones)" if held else "")
    raise ConfigError(f"objective={name} learns from a {context.objective.learns_from}, and none "
                      f"of the {len(grid.clients)} clients has one to train on{instead}")


def _resume(context: Context, folder: Path, grid: ClientGrid,
            start: Mapping[int, np.ndarray]) -> Progress:
    if not (folder / CHECKPOINT).exists():
        return Progress(to_arrays(start))
    progress = load_checkpoint(folder / CHECKPOINT, context.strategy, grid)
    if progress.bad_rounds >= context.rounds.screen.patience:
        # The last attempt gave up after these rounds, which changed no adapter: try them again.
        progress.server_round -= progress.bad_rounds
        progress.bad_rounds = 0
    return progress


def _rewind(context: Context, stage: str, server_round: int) -> None:
    """Drop records of rounds that no checkpoint holds: they are run again."""
    context.metrics.rewind(stage, server_round)
    path = context.run.path / stage / ROUNDS
    kept = [row for row in read_rounds(path) if row["server_round"] <= server_round]
    write_text(path, "".join(json.dumps(row) + "\n" for row in kept))


def _record(context: Context, stage: str, record: RoundRecord, grid: ClientGrid) -> None:
    row = asdict(record) | {"grouping": _grouping(context, grid)}
    with (context.run.path / stage / ROUNDS).open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
        file.flush()
        os.fsync(file.fileno())
    context.metrics.log(stage, record.server_round, {
        **record.metrics, "seconds": record.seconds, "replies": len(record.client_metrics),
        "rejected": len(record.rejected)})
    for rejection in record.rejected:
        context.progress.message(f"round {record.server_round}: {rejection.client_id} was left "
                                 f"out: {rejection.reason}")


def _grouping(context: Context, grid: ClientGrid) -> dict[str, int]:
    """Return each client's selector by client id; empty for a strategy without groups."""
    found = getattr(context.strategy, "grouping", {})
    return {grid.client(node).client_id: int(u) for node, u in sorted(found.items())}


def _note(record: RoundRecord) -> str:
    loss = record.metrics.get("train_loss")
    return f"loss {loss:.3f}" if loss is not None else ""
