"""Direct preference optimisation at the client: the baseline FedDPO."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor
from torch.nn.functional import softplus

from fedrlhf.config import schema
from fedrlhf.errors import ConfigError
from fedrlhf.models.likelihood import Written
from fedrlhf.objectives.offline import Offline, Prepared
from fedrlhf.objectives.pairs import backward, encode_pairs
from fedrlhf.objectives.policy import Policy, open_policy
from fedrlhf.types import Preference, only_pairs


@dataclass(kw_only=True)
class Dpo(Offline):
    """-log sigmoid(beta (log-ratio of the chosen - log-ratio of the rejected completion)).

    Rafailov et al., 2023, Eq. 7, on the client's own pairs; a log-ratio is that of the policy to
    the reference, which is the policy that the run started from in every round.

    Attributes:
        beta: Strength of the pull towards the reference.
        max_length: Tokens of a prompt and a completion; a longer prompt loses its beginning.
    """

    trains: ClassVar[str] = "policy"
    reads: ClassVar[tuple[tuple[str, ...], ...]] = (("prompt", "chosen"), ("prompt", "rejected"))
    reads_reference: ClassVar[bool] = True

    beta: float
    max_length: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.beta > 0:
            raise ConfigError(f"objective.beta must be greater than 0, got {self.beta}")

    def open(self, config: schema.Config, reference: np.ndarray | None = None) -> Policy:
        """Return the policy; its log-odds are differences of implicit rewards."""
        return open_policy(config, self.beta, self.max_length, reference)

    def prepare(self, judge: Policy, preferences: Sequence[Preference]) -> Prepared:
        """Encode the pairs and read their log-probabilities under the reference once."""
        encoded = encode_pairs(only_pairs(preferences), judge.encode)
        flat = [one for both in zip(encoded.chosen, encoded.rejected, strict=True) for one in both]
        known = dict(zip(flat, judge.reference_log_probs(flat).tolist(), strict=True))

        def loss(written: list[Written], weights: Tensor) -> Tensor:
            start = weights.new_tensor([known[one] for one in written])
            ratios = judge.log_probs(written) - start
            return (weights * softplus(-self.beta * (ratios[::2] - ratios[1::2]))).sum()

        return Prepared(encoded.lengths, lambda batch: backward(
            encoded, batch, loss, judge.budget, judge.base.device),
            encoded.cut, encoded.left_out, f"objective.max_length={self.max_length}")
