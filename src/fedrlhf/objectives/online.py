"""Objectives that learn from completions which the policy writes as it trains."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from fedrlhf.config import schema
from fedrlhf.errors import ConfigError, RunFailed
from fedrlhf.models.likelihood import token_log_probs
from fedrlhf.models.runtime import precision, seeded
from fedrlhf.objectives.base import LocalResult, LocalSteps, LocalTask, Objective
from fedrlhf.objectives.policy import Policy, open_policy
from fedrlhf.objectives.rollouts import Rollouts, asks_of, write_rollouts
from fedrlhf.selectors.batching import written_batches
from fedrlhf.types import Preference


@dataclass(kw_only=True)
class Online(Objective):
    """FedRLHF's local step (Fan et al., 2025): improve the policy on the client's own reward.

    In each step the policy writes `completions` for `batch_size` of the client's training prompts,
    at temperature 1, and takes `iterations` optimiser steps on them. The reference policy is the
    one that the run started from, in every round.

    Attributes:
        beta: Weight of the divergence from the reference, in units of reward for each nat.
        completions: K, how many of each prompt.
        max_new_tokens: Of a completion.
        max_length: Of a prompt and a completion; a longer prompt loses its beginning.
        iterations: Optimiser steps on the same completions.
    """

    trains: ClassVar[str] = "policy"
    learns_from: ClassVar[str] = "prompt"
    reads: ClassVar[tuple[tuple[str, ...], ...]] = (("prompt", "chosen"),)
    reads_reference: ClassVar[bool] = True
    needs_reward: ClassVar[bool] = True
    least_completions: ClassVar[int] = 1

    beta: float
    completions: int
    max_new_tokens: int
    max_length: int
    iterations: int

    def __post_init__(self) -> None:
        super().__post_init__()
        for key, least in (("beta", 0), ("completions", self.least_completions),
                           ("max_new_tokens", 1), ("max_length", self.max_new_tokens + 1),
                           ("iterations", 1)):
            if getattr(self, key) < least:
                raise ConfigError(f"objective.{key} must be at least {least}, "
                                  f"got {getattr(self, key)}")

    @abstractmethod
    def advantages(self, rollouts: Rollouts) -> Tensor:
        """Return how much better than expected each completion is, ``Float[S]``."""

    @abstractmethod
    def sequence_losses(self, now: Tensor, part: Rollouts, advantages: Tensor) -> Tensor:
        """Return each completion's loss, ``Float[S]``; the step minimises their mean.

        Args:
            now: log pi of each token with its gradient, ``Float[S, N]``.
            part: Some of the step's completions.
            advantages: Theirs, ``Float[S]``.
        """

    def open(self, config: schema.Config, reference: np.ndarray | None = None) -> Policy:
        """Return the policy; its log-odds are differences of log-ratios to the reference."""
        return open_policy(config, self.beta or 1.0, self.max_length, reference)

    def train(self, config: schema.Config, preferences: Sequence[Preference],
              task: LocalTask) -> LocalResult:
        """Write, score and improve, step by step.

        Raises:
            RunFailed: No prompt fits, there is no reward, or the loss is not finite.
        """
        if task.scorer is None:
            raise RunFailed("an online objective needs a reward, and this client has opened none")
        policy = self.open(config, task.reference)
        asks = asks_of(policy, preferences, self.max_length - self.max_new_tokens)
        if not asks:
            raise RunFailed("this client has no prompt that can be answered: all are longer than "
                            f"objective.max_length={self.max_length} allows")
        steps, losses, seen = LocalSteps(self, policy.slot, task), [], []
        with seeded(task.seed):
            for batch in self.planned([len(ask.tokens) for ask in asks], task.seed):
                rollouts = write_rollouts(policy, [asks[i] for i in batch], task.scorer,
                                          self.completions, self.max_new_tokens)
                losses += self.improve(policy, steps, rollouts)
                seen.append(rollouts)
        return LocalResult(policy.slot.read(), len(asks), {
            "train_loss": float(np.mean(losses)), "steps": float(len(losses)), **summary(seen)})

    def improve(self, policy: Policy, steps: LocalSteps, rollouts: Rollouts) -> list[float]:
        """Take the optimiser steps on one step's completions; return the losses."""
        advantages = self.advantages(rollouts)
        return [steps.step(lambda: self.backward(policy, rollouts, advantages))
                for _ in range(self.iterations)]

    def backward(self, policy: Policy, rollouts: Rollouts, advantages: Tensor) -> float:
        """Accumulate the gradient of the mean loss over the completions; return that loss."""
        total = 0.0
        for rows in written_batches(rollouts.written, policy.budget):
            part = rollouts.take(rows)
            with precision(policy.autocast, policy.base.device):
                now = token_log_probs(policy.base.model, part.written)
            loss = self.sequence_losses(now, part, advantages[rows]).sum() / len(rollouts.written)
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.item()
        return total


def summary(seen: Sequence[Rollouts]) -> dict[str, float]:
    """Return means over all completions of a round.

    ``reward`` with its parts, ``kl`` (log-ratio to the reference when written, nats), ``tokens``
    of a completion, ``ended`` (share that ended by themselves) and ``completions`` (how many).
    """
    def mean(values: Sequence[Tensor]) -> float:
        return float(torch.cat([value.float() for value in values]).mean())

    return {
        "reward": mean([one.rewards for one in seen]),
        "shared_reward": mean([one.shared for one in seen]),
        "personal_reward": mean([one.personal for one in seen]),
        "kl": mean([one.kl for one in seen]),
        "tokens": mean([one.mask.sum(1) for one in seen]),
        "ended": mean([one.ended for one in seen]),
        "completions": float(sum(len(one.written) for one in seen))}
