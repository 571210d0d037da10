"""The scalar reward model's objective: Bradley-Terry."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor
from torch.nn.functional import softplus

from fedrlhf.config import schema
from fedrlhf.models.likelihood import Written
from fedrlhf.models.load import SCORE
from fedrlhf.objectives.offline import Offline, Prepared
from fedrlhf.objectives.pairs import backward, encode_pairs
from fedrlhf.selectors.reward_model import RewardModel, open_reward_model
from fedrlhf.types import Preference, only_pairs


@dataclass(kw_only=True)
class Reward(Offline):
    """F(phi) = E -log sigmoid(r(x, chosen) - r(x, rejected)) (Stiennon et al., 2020, Eq. 1).

    TRL's RewardTrainer minimises the same.
    """

    head: ClassVar[str] = SCORE
    reads: ClassVar[tuple[tuple[str, ...], ...]] = (("prompt", "chosen"), ("prompt", "rejected"))

    def open(self, config: schema.Config, reference: np.ndarray | None = None) -> RewardModel:
        """Return the reward model; it has no reference."""
        return open_reward_model(config)

    def prepare(self, judge: RewardModel, preferences: Sequence[Preference]) -> Prepared:
        """Encode the pairs, each completion with its prompt."""
        encoded = encode_pairs(only_pairs(preferences), judge.encode)

        def loss(written: list[Written], weights: Tensor) -> Tensor:
            rewards = judge.rewards(written)
            return (weights * softplus(rewards[1::2] - rewards[::2])).sum()

        return Prepared(
            encoded.lengths, lambda batch: backward(
                encoded, batch, loss, judge.settings.tokens_per_forward, judge.base.device),
            encoded.cut, encoded.left_out, f"selector.max_tokens={judge.settings.max_tokens}")
