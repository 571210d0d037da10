"""What policy-gradient objectives share: a loss of advantages, some sequences at a time."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fedrlhf.models.likelihood import token_log_probs
from fedrlhf.models.runtime import precision
from fedrlhf.objectives.base import LocalSteps
from fedrlhf.objectives.online import Online
from fedrlhf.objectives.policy import Policy
from fedrlhf.objectives.rollouts import Rollouts
from fedrlhf.selectors.batching import written_batches


@dataclass(frozen=True)
class Part:
    """Some of a step's completions, those of one forward pass.

    Attributes:
        rollouts: The completions.
        advantages: How much better than expected each completion is, ``Float[S]``, or each of its
            tokens, ``Float[S, N]``.
        beta: Weight of the divergence from the reference in this step.
        completions: How many the whole step has.
        tokens: How many tokens the whole step has.
    """

    rollouts: Rollouts
    advantages: Tensor
    beta: float
    completions: int
    tokens: int


@dataclass(kw_only=True)
class PolicyGradient(Online):
    """Raise the probability of what was better than expected."""

    @abstractmethod
    def advantages(self, rollouts: Rollouts, beta: float) -> Tensor:
        """Return how much better than expected each completion or token is.

        Args:
            rollouts: A step's completions.
            beta: Weight of the divergence from the reference in this step.

        Returns:
            ``Float[S]`` or ``Float[S, N]``.
        """

    @abstractmethod
    def part_loss(self, now: Tensor, part: Part) -> Tensor:
        """Return what some completions add to the step's loss, a scalar.

        Args:
            now: log pi of each token with its gradient, ``Float[S, N]``.
            part: The completions.
        """

    def improve(self, policy: Policy, steps: LocalSteps, rollouts: Rollouts,
                beta: float) -> list[float]:
        """Take the optimiser steps on one step's completions; return the losses."""
        advantages = self.advantages(rollouts, beta)
        return [steps.step(lambda: self.backward(policy, rollouts, advantages, beta))
                for _ in range(self.iterations)]

    def backward(self, policy: Policy, rollouts: Rollouts, advantages: Tensor,
                 beta: float) -> float:
        """Accumulate the gradient of the step's loss; return that loss."""
        total = 0.0
        for rows in written_batches(rollouts.written, policy.budget):
            part = part_of(rollouts, rows, advantages, beta)
            with precision(policy.autocast, policy.base.device):
                now = token_log_probs(policy.base.model, part.rollouts.written)
            loss = self.part_loss(now, part)
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.item()
        return total


def part_of(rollouts: Rollouts, rows: Sequence[int], advantages: Tensor, beta: float) -> Part:
    """Return some of a step's completions with what belongs to them."""
    taken, numbers = rollouts.take(rows), list(rows)
    width = taken.mask.shape[1]
    return Part(taken, advantages[numbers] if advantages.dim() == 1 else
                advantages[numbers, :width], beta, len(rollouts.written), int(rollouts.mask.sum()))


def clipped_losses(ratios: Tensor, advantages: Tensor, clip: float) -> Tensor:
    """Return -min(rho A, clip(rho, 1 - clip, 1 + clip) A) (Schulman et al., 2017, Eq. 7)."""
    return -torch.minimum(ratios * advantages, ratios.clamp(1 - clip, 1 + clip) * advantages)
