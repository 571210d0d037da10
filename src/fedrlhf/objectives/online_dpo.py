"""DPO on completions that the policy just wrote and the reward compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import softplus

from fedrlhf.errors import ConfigError
from fedrlhf.models.likelihood import token_log_probs
from fedrlhf.models.runtime import precision
from fedrlhf.objectives.base import LocalSteps
from fedrlhf.objectives.online import Online
from fedrlhf.objectives.pairs import parts
from fedrlhf.objectives.policy import Policy
from fedrlhf.objectives.rollouts import Rollouts


@dataclass(kw_only=True)
class OnlineDpo(Online):
    """Guo et al., 2024 (arXiv 2402.04792): the reward chooses between the policy's completions.

    Of a prompt's K completions that with the highest reward is chosen and that with the lowest
    rejected; where all have the same reward there is no pair. The loss is DPO's,
    -log sigmoid(beta (log-ratio of the chosen - log-ratio of the rejected)), the log-ratios to the
    run's reference: beta is the pull towards it, not a part of the reward.
    """

    least_completions: ClassVar[int] = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.beta > 0:
            raise ConfigError("objective.beta must be greater than 0 with objective=online_dpo, "
                              f"got {self.beta}")

    def improve(self, policy: Policy, steps: LocalSteps, rollouts: Rollouts,
                beta: float) -> list[float]:
        """Take the optimiser steps on the pairs; without a pair, none."""
        pairs = best_and_worst(rollouts.rewards, rollouts.group)
        if not pairs:
            return []
        return [steps.step(lambda: self.backward(policy, rollouts, pairs, beta))
                for _ in range(self.iterations)]

    def backward(self, policy: Policy, rollouts: Rollouts, pairs: Sequence[tuple[int, int]],
                 beta: float) -> float:
        """Accumulate the gradient of the mean loss over the pairs; return that loss."""
        total = 0.0
        lengths = [max(rollouts.written[row].tokens for row in pair) for pair in pairs]
        for places in parts(lengths, policy.budget):
            part = rollouts.take([row for place in places for row in pairs[place]])
            with precision(policy.autocast, policy.base.device):
                now = token_log_probs(policy.base.model, part.written)
            ratios = (now - part.reference).sum(1)
            loss = softplus(-beta * (ratios[::2] - ratios[1::2])).sum() / len(pairs)
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.item()
        return total


def best_and_worst(rewards: Tensor, group: int) -> list[tuple[int, int]]:
    """Return the numbers of the best and the worst completion of each prompt where they differ.

    Args:
        rewards: ``Float[S]``, those of a prompt one after another.
        group: Completions of a prompt; the first of several equal ones is taken.
    """
    grouped = rewards.view(-1, group)
    starts = torch.arange(len(grouped), device=rewards.device) * group
    best, worst = grouped.argmax(1) + starts, grouped.argmin(1) + starts
    return [(int(one), int(other)) for one, other in zip(best, worst, strict=True)
            if rewards[one] > rewards[other]]
