"""What a client optimises on its own shard, and the local steps that all objectives share."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch

from fedrlhf.config import schema
from fedrlhf.errors import ConfigError, RunFailed
from fedrlhf.models.adapters import AdapterSlot
from fedrlhf.models.load import LANGUAGE
from fedrlhf.objectives.scores import Scorer
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
        scorer: What an online objective maximises.
        private: What this client kept of its earlier rounds, by name.
    """

    adapter: np.ndarray
    seed: int
    proximal_mu: float = 0.0
    reference: np.ndarray | None = None
    scorer: Scorer | None = None
    private: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class LocalResult:
    """A client's trained adapter and numbers about the training.

    Attributes:
        adapter: What is sent to the server.
        examples: Flower's weight of the reply.
        metrics: Sent to the server.
        private: What the client keeps for its next round and sends to nobody.
    """

    adapter: np.ndarray
    examples: int
    metrics: dict[str, float]
    private: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(kw_only=True)
class Objective(ABC):
    """Local training of an adapter; one file of this package for each objective.

    `offline.Offline` is the base of those that learn from stored preferences, `online.Online` of
    those that learn from completions that the policy writes as it trains.

    Attributes:
        trains: What it trains: a ``judge`` of completions (stage select) or the ``policy``
            (stage rlhf).
        head: What the trained model ends in (`models.load.load_base`).
        learns_from: Which preferences it learns from, in words: pair, rating or prompt.
        reads: The texts of each sequence that a step reads of a pair, for `fedrlhf plan`.
        reads_reference: Whether it reads all its pairs under the reference in each round as well.
        needs_reward: Whether it maximises the rewards of the section `reward`.
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
    needs_reward: ClassVar[bool] = False

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
    def train(self, config: schema.Config, preferences: Sequence[Preference],
              task: LocalTask) -> LocalResult:
        """Take the local steps from the task's adapter.

        Raises:
            RunFailed: No preference can be trained on, or the loss is not finite.
        """

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

    def planned(self, lengths: Sequence[int], seed: int) -> list[list[int]]:
        """Return which of the examples with these lengths each step of a round sees."""
        steps = self.local_steps or self.local_epochs * -(-len(lengths) // self.batch_size)
        return training_steps(lengths, self.batch_size, steps, generator(seed, "steps"))


class LocalSteps:
    """A client's optimiser in one round."""

    def __init__(self, objective: Objective, slot: AdapterSlot, task: LocalTask) -> None:
        self.objective, self.slot, self.mu = objective, slot, task.proximal_mu
        slot.write(task.adapter)
        self.optimizer = _OPTIMIZERS[objective.optimizer](objective, slot.parameters)
        self.anchor = [p.detach().clone() for p in slot.parameters]

    def step(self, backward: Callable[[], float]) -> float:
        """Take one step and return the loss before it.

        Args:
            backward: Accumulates the gradient of the loss and returns the loss.

        Raises:
            RunFailed: The loss is not finite.
        """
        self.optimizer.zero_grad(set_to_none=True)
        with self.slot.training():
            loss = backward()
        if self.mu:
            for parameter, start in zip(self.slot.parameters, self.anchor, strict=True):
                parameter.grad.add_(parameter.detach() - start, alpha=self.mu)  # type: ignore[union-attr]
        if not np.isfinite(loss):
            raise RunFailed(f"the local loss became {loss}; lower objective.learning_rate "
                            f"(now {self.objective.learning_rate:g})")
        torch.nn.utils.clip_grad_norm_(self.slot.parameters, self.objective.max_grad_norm)
        self.optimizer.step()
        return loss


_OPTIMIZERS: dict[str, Callable[[Objective, Any], torch.optim.Optimizer]] = {
    "adamw": lambda o, p: torch.optim.AdamW(p, o.learning_rate, betas=(o.betas[0], o.betas[1]),
                                            weight_decay=o.weight_decay),
    "sgd": lambda o, p: torch.optim.SGD(p, o.learning_rate, weight_decay=o.weight_decay),
    "rmsprop": lambda o, p: torch.optim.RMSprop(p, o.learning_rate, weight_decay=o.weight_decay),
}
