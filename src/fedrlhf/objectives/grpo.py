"""Group relative policy optimisation."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from fedrlhf.errors import ConfigError
from fedrlhf.objectives.policy_gradient import Part, PolicyGradient, clipped_losses
from fedrlhf.objectives.rollouts import Rollouts

_LOSSES = ("dapo", "grpo", "dr_grpo")
_SCALES = ("group", "batch", "none")
_EPSILON = 1e-4  # added to a standard deviation, as TRL does


@dataclass(kw_only=True)
class Grpo(PolicyGradient):
    """Shao et al., 2024 (arXiv 2402.03300): advantages relative to the prompt's other completions.

    The loss of a token is -min(rho A, clip(rho, 1 - clip, 1 + clip) A) + beta rho k3, with rho its
    probability's ratio to that when it was written and k3 = exp(d) - d - 1, d = log(pi_ref / pi),
    the estimate of the divergence that is never negative; with the factor rho its gradient is
    that of the divergence (DeepSeek-V3.2, 2025). TRL's GRPOTrainer minimises the same.

    Attributes:
        clip: How far a token's probability may move in the steps on the same completions.
        scale: What the difference of a reward to its group's mean is divided by: the standard
            deviation of the ``group``, of the whole step (``batch``), or nothing (``none``).
        loss: How tokens count: ``dapo`` all alike (Yu et al., 2025), ``grpo`` each completion
            alike, ``dr_grpo`` (Liu et al., 2025) all alike, with the sum divided by the number
            of completions times max_new_tokens.
    """

    least_completions: ClassVar[int] = 2

    clip: float
    scale: str
    loss: str

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.clip > 0:
            raise ConfigError(f"objective.clip must be greater than 0, got {self.clip}")
        for key, options in (("scale", _SCALES), ("loss", _LOSSES)):
            if (value := getattr(self, key)) not in options:
                raise ConfigError(f"objective.{key} must be one of {', '.join(options)}, "
                                  f"got {value!r}")

    def advantages(self, rollouts: Rollouts, beta: float) -> Tensor:
        """Return the rewards relative to their groups' means; beta counts in the loss."""
        rewards = rollouts.rewards.view(-1, rollouts.group)
        found = rewards - rewards.mean(1, keepdim=True)
        if self.scale == "group":
            found = found / (rewards.std(1, keepdim=True) + _EPSILON)
        if self.scale == "batch":
            found = found / (rewards.std() + _EPSILON)
        return found.view(-1)

    def part_loss(self, now: Tensor, part: Part) -> Tensor:
        """Return the tokens' losses, added up as `loss` says."""
        mask = part.rollouts.mask
        ratios = torch.exp(now - part.rollouts.behaviour)
        back = part.rollouts.reference - now
        divergence = ratios * (torch.exp(back) - back - 1)
        losses = mask * (clipped_losses(ratios, part.advantages[:, None], self.clip)
                         + part.beta * divergence)
        if self.loss == "grpo":
            return (losses.sum(1) / mask.sum(1)).sum() / part.completions
        whole = part.tokens if self.loss == "dapo" else part.completions * self.max_new_tokens
        return losses.sum() / whole
