"""REINFORCE with a leave-one-out baseline."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from fedrlhf.errors import ConfigError
from fedrlhf.objectives.policy_gradient import Part, PolicyGradient, clipped_losses
from fedrlhf.objectives.rollouts import Rollouts


@dataclass(kw_only=True)
class Rloo(PolicyGradient):
    """Ahmadian et al., 2024: each completion against the mean of its prompt's other ones.

    The divergence from the reference is part of the reward: R = r - beta log(pi / pi_ref). The loss
    is -min(rho A, clip(rho, 1 - clip, 1 + clip) A) with rho the ratio of the whole completion's
    probability to that when it was written. TRL's RLOOTrainer minimises the same.

    Attributes:
        clip: How far a completion's probability may move in the steps on the same completions.
    """

    least_completions: ClassVar[int] = 2

    clip: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.clip > 0:
            raise ConfigError(f"objective.clip must be greater than 0, got {self.clip}")

    def advantages(self, rollouts: Rollouts, beta: float) -> Tensor:
        """Return R_i minus the mean of the K - 1 others of the group."""
        count = rollouts.group
        rewards = (rollouts.rewards - beta * rollouts.kl).view(-1, count)
        others = (rewards.sum(1, keepdim=True) - rewards) / (count - 1)
        return (rewards - others).view(-1)

    def part_loss(self, now: Tensor, part: Part) -> Tensor:
        """Return the clipped losses of the completions, divided by the step's number of them."""
        ratios = torch.exp(now.sum(1) - part.rollouts.behaviour.sum(1))
        return clipped_losses(ratios, part.advantages, self.clip).sum() / part.completions
