"""ReMax: REINFORCE with the reward of the greedy completion as baseline, and no critic."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fedrlhf.errors import ConfigError
from fedrlhf.objectives.policy import Policy
from fedrlhf.objectives.policy_gradient import Part, PolicyGradient
from fedrlhf.objectives.rollouts import Ask, Rollouts, greedy_rewards
from fedrlhf.objectives.scores import Scorer


@dataclass(kw_only=True)
class Remax(PolicyGradient):
    """Li et al., 2024 (arXiv 2310.10505): -sum_t G_t log pi(y_t), averaged over completions.

    G_t = -beta log(pi / pi_ref)(y_t) + gamma^(T - t) (r(y) - r(y_greedy)), t = 1 … T, without
    gradient; pi is the policy that wrote y, which makes one step on a completion the only sound
    number.

    Attributes:
        gamma: Discount of the reward, which comes with the last token.
    """

    gamma: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.gamma <= 1:
            raise ConfigError("objective.gamma must be above 0 and at most 1, "
                              f"got {self.gamma}")
        if self.iterations != 1:
            raise ConfigError("objective.iterations must be 1 with objective=remax, whose gradient "
                              f"holds for the policy that wrote alone, got {self.iterations}")

    def write(self, policy: Policy, asks: Sequence[Ask], scorer: Scorer) -> Rollouts:
        """Write the samples, and a greedy completion of each prompt for its reward."""
        sampled = super().write(policy, asks, scorer)
        greedy = greedy_rewards(policy, asks, scorer, self.max_new_tokens)
        return replace(sampled, baseline=greedy.repeat_interleave(self.completions))

    def advantages(self, rollouts: Rollouts, beta: float) -> Tensor:
        """Return G_t, ``Float[S, N]``."""
        assert rollouts.baseline is not None
        return returns(rollouts.behaviour - rollouts.reference,
                       rollouts.rewards - rollouts.baseline, rollouts.mask, beta, self.gamma)

    def part_loss(self, now: Tensor, part: Part) -> Tensor:
        """Return -sum_t G_t log pi(y_t) of the completions, divided by the step's number."""
        return -(part.advantages * now).sum() / part.completions


def returns(log_ratios: Tensor, gains: Tensor, mask: Tensor, beta: float, gamma: float) -> Tensor:
    """Return G_t of each token, ``Float[S, N]``, 0 where the mask is false.

    Args:
        log_ratios: log(pi / pi_ref) of each token, ``Float[S, N]``.
        gains: Reward of each completion above its baseline, ``Float[S]``.
        mask: Which places are tokens, ``Bool[S, N]``.
        beta: Weight of the divergence.
        gamma: Discount for each token that follows.
    """
    following = mask.sum(1, keepdim=True) - torch.arange(1, mask.shape[1] + 1, device=mask.device)
    discounts = gamma ** following.clamp(min=0).float()
    return mask * (discounts * gains[:, None] - beta * log_ratios)
