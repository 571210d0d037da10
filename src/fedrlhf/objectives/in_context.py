"""What the objectives share that train a network to know a person by a few answered questions."""

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from fedrlhf.config import schema
from fedrlhf.errors import ConfigError
from fedrlhf.objectives.base import LocalResult, LocalTask
from fedrlhf.objectives.offline import Offline, Prepared
from fedrlhf.selectors.embeddings import POOLINGS, Embedder, shared_embedder
from fedrlhf.selectors.in_context import InContextJudge
from fedrlhf.selectors.predictor import Embedded
from fedrlhf.selectors.questions import Question
from fedrlhf.selectors.tasks import Task, by_person, draw_tasks, with_others
from fedrlhf.types import Preference


@dataclass(kw_only=True)
class InContext(Offline):
    """Local training on tasks: from some of a person's questions to others of the same person.

    A step asks for ``batch_size`` target questions, so that an epoch asks for each question once.

    Attributes:
        pooling: How a text's hidden states become its vector: mean or last.
        cache: Folder on the client's machine that keeps the vectors; None keeps none.
        context: The least and the largest number of context questions of a task.
        cosine_rounds: The learning rate falls to 0 as a half cosine over so many rounds; None
            keeps it.
    """

    reads: ClassVar[tuple[tuple[str, ...], ...]] = (("prompt", "chosen"), ("prompt", "rejected"))
    needs_context: ClassVar[bool] = True

    pooling: str
    cache: str | None
    context: list[int]
    cosine_rounds: int | None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pooling not in POOLINGS:
            raise ConfigError(f"objective.pooling must be one of {', '.join(POOLINGS)}, "
                              f"got {self.pooling!r}")
        if len(self.context) != 2 or not 1 <= self.context[0] <= self.context[1]:
            raise ConfigError("objective.context must be the least and the largest number of "
                              f"context questions, from 1 on, got {self.context}")
        if self.cosine_rounds is not None and self.cosine_rounds < 1:
            raise ConfigError(f"objective.cosine_rounds must be at least 1, "
                              f"got {self.cosine_rounds}")

    @abstractmethod
    def open(self, config: schema.Config, reference: np.ndarray | None = None) -> InContextJudge:
        """Return the judge, which knows nobody yet."""

    @abstractmethod
    def questions(self, preferences: Sequence[Preference]) -> list[Question]:
        """Return what it is trained on."""

    def embedder(self, config: schema.Config) -> Embedder:
        """Return the process's embedder of the selector's base model."""
        return shared_embedder(config.selector.model, self.pooling, config.selector.max_tokens,
                               config.runtime.autocast, self.cache)

    def rate(self, task: LocalTask) -> float:
        """Return learning_rate (1 + cos(pi t/T))/2 after t of T rounds; 0 beyond."""
        if self.cosine_rounds is None:
            return self.learning_rate
        passed = min(task.server_round - 1, self.cosine_rounds) / self.cosine_rounds
        return self.learning_rate * (1 + math.cos(math.pi * passed)) / 2

    def judge_of(self, config: schema.Config, context: Sequence[Preference],
                 reference: np.ndarray | None = None) -> InContextJudge:
        """Return the judge that knows a client by its answered preferences."""
        return self.open(config).with_context(context)

    def train(self, config: schema.Config, preferences: Sequence[Preference],
              task: LocalTask) -> LocalResult:
        """Take the local steps; the reply counts preferences.

        A question can make more comparisons than it has ratings, and a client has declared the
        number of its preferences.
        """
        result = super().train(config, preferences, task)
        return replace(result, examples=min(result.examples,
                                            sum(not one.tie for one in preferences)))

    def prepared_on(self, judge: InContextJudge, preferences: Sequence[Preference],
                    loss: Callable[[list[Task]], Tensor]) -> Prepared:
        """Embed the questions; each step draws the context of its targets."""
        questions = self.questions(preferences)
        embedded, _ = judge.encode(questions)
        kept = with_others(embedded)

        def backward(batch: list[int]) -> float:
            found = loss(draw_tasks(kept, batch, self.context))
            found.backward()  # type: ignore[no-untyped-call]
            return float(found.item())

        return Prepared([1] * len(kept), backward, 0, len(questions) - len(kept),
                        f"selector.max_tokens={judge.embedder.max_tokens}")


def halves(questions: Sequence[Embedded]) -> list[Task]:
    """Split each person's questions into context and targets, twice: each half asks for the other.

    A person's questions of even and of odd place, so that every question is asked for once, but
    not that of a person who answered no other.
    """
    parts = [(own[::2], own[1::2]) for own in by_person(questions).values() if len(own) > 1]
    return [task for even, odd in parts for task in ((even, odd), (odd, even))]


@torch.no_grad()
def mean_loss(loss: Callable[[list[Task]], Tensor],
              parts: Sequence[Task]) -> float:
    """Return the mean loss over tasks; NaN without any."""
    found: list[Any] = [loss([part]).item() for part in parts]
    return float(np.mean(found)) if found else float("nan")
