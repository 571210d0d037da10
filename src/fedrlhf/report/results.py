"""results.json: flat names and numbers that other tools rely on."""

from collections.abc import Iterator
from typing import Any

from fedrlhf.config.schema import ASKS_CLIENTS
from fedrlhf.files import read_json, write_json
from fedrlhf.tracking.run_directory import RESULTS, RunDirectory


def write_results(run: RunDirectory) -> dict[str, float]:
    """Join the evaluation's results with what the run has cost.

    Bytes are those of tensors, numbers and texts in messages, from the server (``down``) and to it
    (``up``); seconds are those of the stages, over all attempts.
    """
    path = run.path / "evaluate" / "results.json"
    results: dict[str, float] = dict(read_json(path)) if path.exists() else {}
    for name, cost in message_costs(run):
        for direction in ("down", "up"):
            for key in (f"bytes.{direction}", f"bytes.{direction}.{name}"):
                results[key] = results.get(key, 0.0) + cost[direction]
    seconds = stage_seconds(run)
    results |= {f"seconds.{stage}": value for stage, value in seconds.items()}
    results["seconds.total"] = sum(seconds.values())
    write_json(run.path / RESULTS, dict(sorted(results.items())))
    return results


def message_costs(run: RunDirectory) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what each kind of message has cost, by kind: train, rank, score, agreement."""
    for stage in ASKS_CLIENTS:
        path = run.path / stage / "costs.json"
        if path.exists():
            for kind, cost in read_json(path).items():
                yield kind.rpartition(".")[2], cost


def stage_seconds(run: RunDirectory) -> dict[str, float]:
    """Return the seconds of each finished stage."""
    marks = sorted(run.path.glob("*/stage.json"))
    return {mark.parent.name: float(read_json(mark)["seconds"]) for mark in marks}
