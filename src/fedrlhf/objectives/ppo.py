"""Proximal policy optimisation with a value head that never leaves its client."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from fedrlhf.errors import ConfigError
from fedrlhf.models.likelihood import (
    Written,
    completion_mask,
    completion_states,
    log_probs_of,
    spread,
)
from fedrlhf.models.runtime import precision
from fedrlhf.objectives.base import LocalSteps, LocalTask
from fedrlhf.objectives.online import Online
from fedrlhf.objectives.policy import Policy
from fedrlhf.objectives.policy_gradient import clipped_losses
from fedrlhf.objectives.rollouts import Rollouts
from fedrlhf.objectives.value_head import head_arrays, value_head
from fedrlhf.selectors.batching import written_batches


@dataclass(frozen=True)
class Credit:
    """What a step's tokens are worth, each ``Float[S, N]``, 0 after a completion's end.

    Attributes:
        advantages: How much better than expected a token is.
        values: What was expected before it.
        returns: What the value head is to expect.
    """

    advantages: Tensor
    values: Tensor
    returns: Tensor


@dataclass(kw_only=True)
class Ppo(Online):
    """Schulman et al., 2017 (arXiv 1707.06347), with generalised advantages (2016, 1506.02438).

    A token's reward is -beta log(pi / pi_ref), and the completion's reward comes with the last
    one. The loss is the mean over the step's tokens of -min(rho A, clip(rho, 1 - clip, 1 + clip) A)
    and 1/2 max((v - R)^2, (clip(v, v_old - value_clip, v_old + value_clip) - R)^2), R = A + v_old.

    The value of a token is linear in the policy's last hidden state, through which no gradient
    flows back: the adapter learns from the policy's loss alone. The head begins with zeros, and
    each client keeps its own from round to round.

    Attributes:
        clip: How far a token's probability may move in the steps on the same completions.
        value_clip: How far a token's value may move in them.
        value_rate: Learning rate of the value head.
        gamma: Discount of a token's rewards.
        gae_lambda: Between the one-step advantage (0) and the whole return (1).
        whiten: Whether the step's advantages get mean 0 and standard deviation 1.
    """

    passes_without_gradient: ClassVar[int] = 4  # for the values as well

    clip: float
    value_clip: float
    value_rate: float
    gamma: float
    gae_lambda: float
    whiten: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in ("clip", "value_clip", "value_rate"):
            if not getattr(self, key) > 0:
                raise ConfigError(f"objective.{key} must be greater than 0, "
                                  f"got {getattr(self, key)}")
        if not 0 < self.gamma <= 1:
            raise ConfigError(f"objective.gamma must be above 0 and at most 1, got {self.gamma}")
        if not 0 <= self.gae_lambda <= 1:
            raise ConfigError("objective.gae_lambda must lie between 0 and 1, "
                              f"got {self.gae_lambda}")

    def begin(self, policy: Policy, task: LocalTask) -> LocalSteps:
        """Return an optimiser of the adapter and of the client's value head."""
        return LocalSteps(self, policy.slot, task, value_head(policy.base, task.private),
                          self.value_rate)

    def kept(self, steps: LocalSteps) -> dict[str, np.ndarray]:
        """Return the value head, and the optimiser's state where it is kept."""
        assert steps.head is not None
        return {**super().kept(steps), **head_arrays(steps.head)}

    def improve(self, policy: Policy, steps: LocalSteps, rollouts: Rollouts,
                beta: float) -> list[float]:
        """Take the optimiser steps on one step's completions; return the losses."""
        assert steps.head is not None
        head = steps.head
        credit = self.credit(rollouts, values_of(policy, head, rollouts.written), beta)
        return [steps.step(lambda: self.backward(policy, head, rollouts, credit))
                for _ in range(self.iterations)]

    def credit(self, rollouts: Rollouts, values: Tensor, beta: float) -> Credit:
        """Return what the tokens are worth, given the values before the first step."""
        rewards = token_rewards(rollouts, beta)
        advantages = gae(rewards, values, rollouts.mask, self.gamma, self.gae_lambda)
        used = whitened(advantages, rollouts.mask) if self.whiten else advantages
        return Credit(used, values, advantages + values)

    def backward(self, policy: Policy, head: nn.Module, rollouts: Rollouts,
                 credit: Credit) -> float:
        """Accumulate the gradient of the mean loss over the step's tokens; return that loss."""
        total, tokens = 0.0, int(rollouts.mask.sum())
        for rows in written_batches(rollouts.written, policy.budget):
            part = rollouts.take(rows)
            with precision(policy.autocast, policy.base.device):
                states, ids = completion_states(policy.base.model, part.written)
                now = spread(log_probs_of(policy.base.model, states, ids), part.mask)
            values = spread(head(states.detach().float())[:, 0], part.mask)
            width = part.mask.shape[1]
            known = Credit(credit.advantages[rows, :width], credit.values[rows, :width],
                           credit.returns[rows, :width])
            ratios = torch.exp(now - part.behaviour)
            losses = (clipped_losses(ratios, known.advantages, self.clip)
                      + value_losses(values, known, self.value_clip))
            loss = (losses * part.mask).sum() / tokens
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.item()
        return total


@torch.no_grad()
def values_of(policy: Policy, head: nn.Module, written: Sequence[Written]) -> Tensor:
    """Return what the head expects before each token, ``Float[S, N]``."""
    found = torch.zeros(len(written), max(len(one.completion) for one in written),
                        device=policy.base.device)
    for rows in written_batches(written, policy.budget):
        part = [written[row] for row in rows]
        with precision(policy.autocast, policy.base.device):
            states, _ = completion_states(policy.base.model, part)
        mask = completion_mask(part, policy.base.device)
        found[rows, :mask.shape[1]] = spread(head(states.float())[:, 0], mask)
    return found


def token_rewards(rollouts: Rollouts, beta: float) -> Tensor:
    """Return -beta log(pi / pi_ref) of each token, plus the reward at the last; ``Float[S, N]``."""
    rewards = -beta * (rollouts.behaviour - rollouts.reference)
    last = rollouts.mask.sum(1, keepdim=True) - 1
    return rewards.scatter_add(1, last, rollouts.rewards[:, None])


def gae(rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, lam: float) -> Tensor:
    """Return generalised advantages (Schulman et al., 2016, Eq. 16), ``Float[S, N]``.

    A_t = d_t + gamma lambda A_{t+1} with d_t = r_t + gamma v_{t+1} - v_t; after a completion's end
    both A and v are 0.

    Args:
        rewards: Of each token, ``Float[S, N]``.
        values: Expected before each token, 0 after the end, ``Float[S, N]``.
        mask: Which places are tokens, ``Bool[S, N]``.
        gamma: Discount.
        lam: lambda.
    """
    found = torch.zeros_like(rewards)
    following = torch.zeros_like(rewards[:, 0])
    worth = torch.zeros_like(following)
    for place in reversed(range(rewards.shape[1])):
        surprise = rewards[:, place] + gamma * worth - values[:, place]
        following = mask[:, place] * (surprise + gamma * lam * following)
        worth = values[:, place]
        found[:, place] = following
    return found


def whitened(values: Tensor, mask: Tensor) -> Tensor:
    """Shift and scale what the mask selects to mean 0 and standard deviation 1; the rest is 0."""
    known = values[mask]
    return mask * (values - known.mean()) / (known.std(correction=0) + 1e-8)


def value_losses(values: Tensor, known: Credit, clip: float) -> Tensor:
    """Return 1/2 max((v - R)^2, (v clipped around v_old - R)^2) of each token."""
    clipped = torch.maximum(torch.minimum(values, known.values + clip), known.values - clip)
    return 0.5 * torch.maximum((values - known.returns) ** 2, (clipped - known.returns) ** 2)
