"""Objectives that learn from stored preferences."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fedrlhf.config import schema
from fedrlhf.errors import RunFailed
from fedrlhf.models.runtime import seeded
from fedrlhf.objectives.base import LocalResult, LocalSteps, LocalTask, Objective
from fedrlhf.seeding import generator
from fedrlhf.types import Preference


@dataclass(kw_only=True)
class Offline(Objective):
    """Steps over the client's own preferences, in shuffled epochs."""

    @abstractmethod
    def prepare(self, judge: Any, preferences: Sequence[Preference]) -> "Prepared":
        """Encode what it learns from; ties and what does not fit are left out and counted."""

    def prepare_for(self, task: LocalTask, judge: Any,
                    preferences: Sequence[Preference]) -> "Prepared":
        """Encode what it learns from for one round; by default all rounds are alike."""
        return self.prepare(judge, preferences)

    def train(self, config: schema.Config, preferences: Sequence[Preference],
              task: LocalTask) -> LocalResult:
        """Take the local steps from the task's adapter.

        Raises:
            RunFailed: No preference can be trained on, or the loss is not finite.
        """
        judge = self.open(config, task.reference)
        prepared = self.prepare_for(task, judge, preferences)
        if not prepared.lengths:
            raise RunFailed(f"this client has no {self.learns_from} that can be trained on: all "
                            f"are ties or longer than {prepared.limit}")
        steps = LocalSteps(self, judge.slot, task)
        with seeded(task.seed):
            losses = [steps.step(lambda batch=batch: prepared.backward(batch))  # type: ignore[misc]
                      for batch in self.batches(prepared, task.seed)]
        return LocalResult(judge.slot.read(), prepared.preferences or len(prepared.lengths), {
            "train_loss": float(np.mean(losses)), "steps": float(len(losses)),
            "cut_pairs": float(prepared.cut), "left_out_pairs": float(prepared.left_out),
            **{name: float(np.mean(values)) for name, values in prepared.measured.items()}},
            steps.kept())

    def batches(self, prepared: "Prepared", seed: int) -> list[list[int]]:
        """Return the numbers of the examples in each step of a round."""
        if prepared.chances is None:
            return self.planned(prepared.lengths, seed)
        count = len(prepared.lengths)
        size = (self.step_count(count), self.batch_size)
        chances = np.array(prepared.chances) / np.sum(prepared.chances)
        drawn: list[list[int]] = generator(seed, "steps").choice(count, size, p=chances).tolist()
        return drawn


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
        chances: How likely a step draws each; None: all alike, epoch by epoch.
        measured: Numbers that `backward` collects step by step; the reply has their means.
        preferences: How many preferences they are; None: as many as there are lengths.
    """

    lengths: list[int]
    backward: Callable[[list[int]], float]
    cut: int
    left_out: int
    limit: str
    chances: list[float] | None = None
    measured: dict[str, list[float]] = field(default_factory=dict)
    preferences: int | None = None
