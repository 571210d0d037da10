"""Weights & Biases, where the configuration asks for it."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedrlhf.config import schema


class WandbTracker:
    """Sends numbers to wandb; a continued run continues there under the same id.

    Prompts, completions and preferences are never sent, only numbers and the configuration.
    """

    def __init__(self, settings: schema.Tracker, folder: Path, config: dict[str, Any]) -> None:
        import wandb

        self._run = wandb.init(
            project=settings.project, entity=settings.entity, mode=settings.wandb,  # type: ignore[arg-type]
            name=folder.name, id=hashlib.sha256(str(folder).encode()).hexdigest()[:16],
            resume="allow", dir=str(folder), config=config,
            settings=wandb.Settings(silent=True, console="off", disable_git=True, disable_code=True,
                                    x_disable_meta=True, x_disable_stats=True))
        self._axes: set[str] = set()

    def log(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        """Record numbers against the stage's own step."""
        axis = f"{stage}/step"
        if axis not in self._axes:
            self._axes.add(axis)
            self._run.define_metric(axis)
            self._run.define_metric(f"{stage}/*", step_metric=axis)
        self._run.log({axis: step, **{f"{stage}/{name}": value for name, value in values.items()}})

    def finish(self) -> None:
        """Write what is left and close the run."""
        self._run.finish()
