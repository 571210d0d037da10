"""What a client optimises on its own shard, and the local steps that all objectives share."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from fedrlhf.config import schema
from fedrlhf.errors import ConfigError, RunFailed
from fedrlhf.models.adapters import AdapterSlot
from fedrlhf.models.load import LANGUAGE
from fedrlhf.models.runtime import seeded
from fedrlhf.seeding import generator
from fedrlhf.selectors.batching import training_steps
from fedrlhf.selectors.judge import Judge
from fedrlhf.types import CompletionPair, Preference, only_pairs


@dataclass(frozen=True)
class LocalTask:
    """What the server asks of a client in one round.

    Attributes:
        adapter: The vector to start from.
        seed: Seed of everything random in this client's round.
        proximal_mu: FedProx's pull towards ``adapter``, mu/2 |w - w0|^2; 0 for none.
        reference: The adapter of the reference policy; None: the base model.
    """

    adapter: np.ndarray
    seed: int
    proximal_mu: float = 0.0
    reference: np.ndarray | None = None


@dataclass(frozen=True)
class LocalResult:
    """A client's trained adapter and numbers about the training."""

    adapter: np.ndarray
    examples: int
    metrics: dict[str, float]


@dataclass(kw_only=True)
class Objective(ABC):
    """Local training of an adapter; one file of this package for each objective.

    Attributes:
        trains: What it trains: a ``judge`` of completions (stage select) or the ``policy``
            (stage rlhf).
        head: What the trained model ends in (`models.load.load_base`).
        learns_from: Which preferences it learns from, in words: pair, rating or prompt.
        reads: The texts of each sequence that a step reads of a pair, for `fedrlhf plan`.
        reads_reference: Whether it reads all its pairs under the reference in each round as well.
        passes_without_gradient: How often a step reads a batch besides, for `fedrlhf plan`.
        optimizer: adamw, sgd or rmsprop.
        learning_rate: Of every local step.
        betas: Of AdamW.
        weight_decay: Of the optimiser.
        max_grad_norm: Gradients are clipped to this norm.
        local_steps: Optimiser steps in a round; None: `local_epochs` decides.
        local_epochs: Passes over the client's pairs in a round.
        batch_size: Pairs in a step.
    """

    trains: ClassVar[str] = "judge"
    head: ClassVar[str] = LANGUAGE
    learns_from: ClassVar[str] = "pair"
    reads: ClassVar[tuple[tuple[str, ...], ...]] = (("prompt", "chosen", "rejected"),) * 2
    reads_reference: ClassVar[bool] = False
    passes_without_gradient: ClassVar[int] = 0

    optimizer: str
    learning_rate: float
    betas: list[float]
    weight_decay: float
    max_grad_norm: float
    local_steps: int | None
    local_epochs: int
    batch_size: int

    def __post_init__(self) -> None:
        if self.optimizer not in _OPTIMIZERS:
            raise ConfigError(f"objective.optimizer must be one of {', '.join(_OPTIMIZERS)}, "
                              f"got {self.optimizer!r}")
        for key in ("learning_rate", "max_grad_norm", "local_epochs", "batch_size"):
            if not getattr(self, key) > 0:
                raise ConfigError(f"objective.{key} must be greater than 0, "
                                  f"got {getattr(self, key)}")
        if self.local_steps is not None and self.local_steps < 1:
            raise ConfigError(f"objective.local_steps must be at least 1, got {self.local_steps}")

    @property
    def stage(self) -> str:
        """The federated stage that trains it."""
        return "rlhf" if self.trains == "policy" else "select"

    @abstractmethod
    def open(self, config: schema.Config, reference: np.ndarray | None = None) -> Judge:
        """Return what is trained, on the process's shared base model."""

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
        losses = self._steps(judge.slot, prepared, task)
        return LocalResult(judge.slot.read(), len(prepared.lengths), {
            "train_loss": float(np.mean(losses)), "steps": float(len(losses)),
            "cut_pairs": float(prepared.cut), "left_out_pairs": float(prepared.left_out)})

    def losses(self, config: schema.Config, preferences: Sequence[Preference],
               adapters: Sequence[np.ndarray],
               reference: np.ndarray | None = None) -> np.ndarray:
        """Return each adapter's mean loss on what is no tie, (adapter,); NaN without.

        By default the logistic loss -log sigmoid(z) of the judge's log-odds z that the chosen
        completion is better, over both orders.
        """
        judge = self.open(config, reference)
        judged = [CompletionPair(p.prompt, p.chosen, p.rejected) for p in only_pairs(preferences)
                  if not p.tie]
        found = np.full(len(adapters), np.nan)
        for index, adapter in enumerate(adapters):
            judge.slot.write(adapter)
            log_odds = judge.judge(judged)
            if not np.isnan(log_odds).all():
                found[index] = np.nanmean(np.logaddexp(0.0, -log_odds))
        return found

    def _steps(self, slot: AdapterSlot, prepared: "Prepared", task: LocalTask) -> list[float]:
        slot.write(task.adapter)
        count = len(prepared.lengths)
        steps = self.local_steps or self.local_epochs * -(-count // self.batch_size)
        planned = training_steps(prepared.lengths, self.batch_size, steps,
                                 generator(task.seed, "steps"))
        optimizer = _OPTIMIZERS[self.optimizer](self, slot.parameters)
        anchor = [p.detach().clone() for p in slot.parameters]
        with seeded(task.seed), slot.training():
            return [self._step(slot, optimizer, prepared, batch, anchor, task.proximal_mu)
                    for batch in planned]

    def _step(self, slot: AdapterSlot, optimizer: torch.optim.Optimizer, prepared: "Prepared",
              batch: list[int], anchor: list[torch.Tensor], mu: float) -> float:
        """Take one optimiser step and return the batch's loss before it."""
        optimizer.zero_grad(set_to_none=True)
        loss = prepared.backward(batch)
        if mu:
            for parameter, start in zip(slot.parameters, anchor, strict=True):
                parameter.grad.add_(parameter.detach() - start, alpha=mu)  # type: ignore[union-attr]
        if not np.isfinite(loss):
            raise RunFailed(f"the local loss became {loss}; lower objective.learning_rate "
                            f"(now {self.learning_rate:g})")
        torch.nn.utils.clip_grad_norm_(slot.parameters, self.max_grad_norm)
        optimizer.step()
        return loss


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


_OPTIMIZERS: dict[str, Callable[[Objective, Any], torch.optim.Optimizer]] = {
    "adamw": lambda o, p: torch.optim.AdamW(p, o.learning_rate, betas=(o.betas[0], o.betas[1]),
                                            weight_decay=o.weight_decay),
    "sgd": lambda o, p: torch.optim.SGD(p, o.learning_rate, weight_decay=o.weight_decay),
    "rmsprop": lambda o, p: torch.optim.RMSprop(p, o.learning_rate, weight_decay=o.weight_decay),
}
