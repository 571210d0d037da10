"""Weights & Biases, where the configuration asks for it."""

import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from fedrlhf.config import schema
from fedrlhf.tracking.metrics import Record, read_metrics
from fedrlhf.tracking.run_directory import METRICS


class WandbTracker:
    """Sends the rows of metrics.jsonl to wandb, each stage and step once and in their order.

    Prompts, completions and preferences are never sent, only numbers and the configuration. The
    same command continues under the same id: a row has its place in metrics.jsonl as wandb's step,
    so that one which the server has is not sent twice. Without a server, the continued run is
    written whole and takes the place of the interrupted one.

    Args:
        settings: Where to.
        folder: The run's folder.
        config: The whole configuration; other settings make another run at wandb.
    """

    def __init__(self, settings: schema.Tracker, folder: Path, config: dict[str, Any]) -> None:
        # TRL asks an offline run for its address at each checkpoint, and wandb warns each time.
        os.environ.setdefault("WANDB_SILENT", "true")
        import wandb

        name, own = config["run"]["name"], run_id(folder, config)
        if settings.wandb == "offline":
            for earlier in (folder / "wandb").glob(f"offline-run-*-{own}"):
                shutil.rmtree(earlier)
        self._run = wandb.init(
            project=settings.project, entity=settings.entity, mode=settings.wandb,  # type: ignore[arg-type]
            name=name if folder.name == name else f"{name}/{folder.name}", id=own,
            resume="allow", dir=str(folder), config=config,
            settings=wandb.Settings(silent=True, console="off", disable_git=True, disable_code=True,
                                    x_disable_meta=True, x_disable_stats=True,
                                    x_disable_machine_info=True, x_save_requirements=False,
                                    host=""))
        self._path = folder / METRICS
        self._axes: set[str] = set()
        self._sent: set[tuple[str, int]] = set()

    def log(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        """Record numbers against the stage's own step; metrics.jsonl holds them already.

        What earlier attempts recorded of this stage and of those before it goes first. That of
        later stages waits: they may be made again.
        """
        if f"{stage}/step" not in self._axes:
            self._catch_up(schema.STAGES[:schema.STAGES.index(stage) + 1])
        if (stage, step) not in self._sent:
            self._send(stage, step, values)

    def finish(self) -> None:
        """Write what is left and close the run."""
        self._catch_up(schema.STAGES)
        self._run.finish()

    def _catch_up(self, stages: Iterable[str]) -> None:
        """Send what metrics.jsonl holds of the stages, in their order."""
        records = read_metrics(self._path)
        for stage in stages:
            of_stage = [record for record in records if record["stage"] == stage]
            for step, row in groupby(of_stage, key=_step):
                if (stage, step) not in self._sent:
                    self._send(stage, step, {r["name"]: r["value"] for r in row})

    def _send(self, stage: str, step: int, values: Mapping[str, float | None]) -> None:
        axis = f"{stage}/step"
        if axis not in self._axes:
            self._axes.add(axis)
            self._run.define_metric(axis)
            self._run.define_metric(f"{stage}/*", step_metric=axis)
        place = len(self._sent)
        self._sent.add((stage, step))
        if place >= self._run.step:  # otherwise an earlier attempt has sent it
            finite = {f"{stage}/{name}": value for name, value in values.items()
                      if value is not None and math.isfinite(value)}
            self._run.log({axis: step, **finite}, step=place, commit=True)


def run_id(folder: Path, config: dict[str, Any]) -> str:
    """Return the id of a folder's run with these settings."""
    run = {key: value for key, value in config["run"].items() if key != "redo_changed"}
    told = json.dumps([str(folder), {**config, "run": run}], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _step(record: Record) -> int:
    return int(record["step"])
