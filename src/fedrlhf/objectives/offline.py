"""Objectives that learn from stored preferences."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fedrlhf.config import schema
from fedrlhf.errors import RunFailed
from fedrlhf.models.runtime import seeded
from fedrlhf.objectives.base import LocalResult, LocalSteps, LocalTask, Objective
from fedrlhf.types import Preference


@dataclass(kw_only=True)
class Offline(Objective):
    """Steps over the client's own preferences, in shuffled epochs."""

    @abstractmethod
    def prepare(self, judge: Any, preferences: Sequence[Preference]) -> "Prepared":
        """Encode what it learns from; ties and what does not fit are left out and counted."""

    def train(self, config: schema.Config, preferences: Sequence[Preference],
              task: LocalTask) -> LocalResult:
        """Take the local steps from the task's adapter.

        Raises:
            RunFailed: No preference can be trained on, or the loss is not finite.
        """
        judge = self.open(config, task.reference)
        prepared = self.prepare(judge, preferences)
        if not prepared.lengths:
            raise RunFailed(f"this client has no {self.learns_from} that can be trained on: all "
                            f"are ties or longer than {prepared.limit}")
        steps = LocalSteps(self, judge.slot, task)
        with seeded(task.seed):
            losses = [steps.step(lambda batch=batch: prepared.backward(batch))  # type: ignore[misc]
                      for batch in self.planned(prepared.lengths, task.seed)]
        return LocalResult(judge.slot.read(), len(prepared.lengths), {
            "train_loss": float(np.mean(losses)), "steps": float(len(losses)),
            "cut_pairs": float(prepared.cut), "left_out_pairs": float(prepared.left_out)})


@dataclass(frozen=True)
class Prepared:
    """A client's pairs, ready for local steps.

    Attributes:
        lengths: Tokens of each pair that fits.
        backward: Accumulates the gradient of the mean loss over the pairs with these numbers and
            returns that loss.
        cut: How many pairs lost a part of their prompt.
        left_out: How many do not fit.
        limit: The key that bounds the length and its value.
    """

    lengths: list[int]
    backward: Callable[[list[int]], float]
    cut: int
    left_out: int
    limit: str
