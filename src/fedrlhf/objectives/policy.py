"""The policy as a judge: what it has come to prefer to what its reference preferred."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from fedrlhf.config import schema
from fedrlhf.models.adapters import AdapterSlot, attach
from fedrlhf.models.likelihood import (
    Written,
    completion_log_probs,
    encode_written,
    token_log_probs,
)
from fedrlhf.models.load import Base, shared_base
from fedrlhf.models.runtime import precision
from fedrlhf.selectors.batching import written_batches
from fedrlhf.types import CompletionPair, Prompt


class Policy:
    """The tutor with whichever adapter was written to its slot last, beside its reference.

    Its implicit reward of a completion is beta (log pi(y|x) - log pi_ref(y|x)) (Rafailov et al.,
    2023, Eq. 5 without the term of the prompt alone).

    Attributes:
        slot: Where the active adapter is read and written.
        beta: Scale of the implicit reward.
        max_length: Tokens of a prompt and a completion together.
    """

    def __init__(self, base: Base, config: schema.Config, beta: float, max_length: int,
                 reference: np.ndarray | None) -> None:
        self.base, self.beta, self.max_length = base, beta, max_length
        self.autocast, self.budget = config.runtime.autocast, config.selector.tokens_per_forward
        self.slot: AdapterSlot = attach(base, config.tutor.adapter, config.run.seed)
        self._reference = reference

    def encode(self, prompt: Prompt, completion: str) -> Written | None:
        """Encode a prompt and one completion; None where the completion does not fit."""
        return encode_written(self.base, prompt, completion, self.max_length)

    def log_probs(self, written: Sequence[Written]) -> Tensor:
        """Return log pi(y|x) of each completion in nats, shape (sequence,)."""
        with precision(self.autocast, self.base.device):
            return completion_log_probs(self.base.model, written)

    @torch.no_grad()
    def token_log_probs(self, written: Sequence[Written]) -> Tensor:
        """Return log pi of each completion's tokens without a gradient, ``Float[S, N]``."""
        longest = max(len(one.completion) for one in written)
        found = torch.zeros(len(written), longest, device=self.base.device)
        for batch in written_batches(written, self.budget):
            with precision(self.autocast, self.base.device):
                part = token_log_probs(self.base.model, [written[i] for i in batch])
            found[batch, :part.shape[1]] = part
        return found

    def reference_log_probs(self, written: Sequence[Written]) -> Tensor:
        """Return log pi_ref(y|x) of each completion, shape (sequence,)."""
        return self.reference_token_log_probs(written).sum(1)

    def reference_token_log_probs(self, written: Sequence[Written]) -> Tensor:
        """Return log pi_ref of each completion's tokens; the active adapter stays what it was."""
        active = self.slot.read()
        self.write_reference()
        try:
            return self.token_log_probs(written)
        finally:
            self.slot.write(active)

    def write_reference(self) -> None:
        """Make the reference the active adapter."""
        # B = 0 leaves the base as it is, so a vector of zeros is the base model.
        self.slot.write(np.zeros(self.slot.layout.size, np.float32) if self._reference is None
                        else self._reference)

    def score(self, completions: Sequence[tuple[Prompt, str]]) -> np.ndarray:
        """Return implicit rewards, shape (completion,); NaN where a completion does not fit."""
        encoded = [self.encode(prompt, text) for prompt, text in completions]
        found = np.full(len(completions), np.nan)
        if flat := [one for one in encoded if one is not None]:
            fits = [row for row, one in enumerate(encoded) if one is not None]
            found[fits] = self.beta * self.log_ratios(flat).cpu().numpy()
        return found

    @torch.no_grad()
    def judge(self, pairs: Sequence[CompletionPair]) -> np.ndarray:
        """Return the implicit reward of the first minus the second, twice; shape (pair, 2)."""
        encoded = [(self.encode(pair.prompt, pair.first), self.encode(pair.prompt, pair.second))
                   for pair in pairs]
        flat = [one for both in encoded if all(both) for one in both if one]
        found = np.full((len(pairs), 2), np.nan)
        if flat:
            ratios = self.log_ratios(flat).cpu().numpy()
            fits = [row for row, both in enumerate(encoded) if all(both)]
            found[fits] = self.beta * (ratios[::2] - ratios[1::2])[:, None]
        return found

    def log_ratios(self, written: Sequence[Written]) -> Tensor:
        """Return log pi(y|x) - log pi_ref(y|x) of each completion, shape (sequence,)."""
        return self.token_log_probs(written).sum(1) - self.reference_log_probs(written)


def open_policy(config: schema.Config, beta: float, max_length: int,
                reference: np.ndarray | None) -> Policy:
    """Return the policy on the process's shared base model."""
    return Policy(shared_base(config.tutor.model), config, beta, max_length, reference)
