"""The scalar reward model: a judge that scores one completion at a time."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from fedrlhf.config import schema
from fedrlhf.models.adapters import AdapterSlot, attach
from fedrlhf.models.likelihood import Written, encode_written
from fedrlhf.models.load import SCORE, Base, shared_base
from fedrlhf.models.runtime import precision
from fedrlhf.selectors.batching import written_batches
from fedrlhf.types import CompletionPair, Prompt


class RewardModel:
    """r(x, y): a linear head on the last token's hidden state, P(y0 > y1) = sigmoid(r0 - r1).

    Bradley and Terry, 1952; Stiennon et al., 2020, Section 3.4. The head is part of the adapter.

    Attributes:
        slot: Where the active adapter is read and written.
    """

    def __init__(self, base: Base, settings: schema.Selector, autocast: str, seed: int) -> None:
        self.base, self.settings, self.autocast = base, settings, autocast
        self.slot: AdapterSlot = attach(base, settings.adapter, seed)

    def encode(self, prompt: Prompt, completion: str) -> Written | None:
        """Encode a prompt and one completion; None where the completion does not fit."""
        return encode_written(self.base, prompt, completion, self.settings.max_tokens)

    def rewards(self, written: Sequence[Written]) -> Tensor:
        """Return the reward of each completion, shape (sequence,), float32."""
        lengths = torch.tensor([one.tokens for one in written])
        ids = torch.zeros(len(written), int(lengths.max()), dtype=torch.long)
        for row, one in enumerate(written):
            ids[row, :one.tokens] = torch.tensor(one.prompt + one.completion)
        device, model = self.base.device, self.base.model
        with precision(self.autocast, device):
            # Padding stands on the right and attention is causal: no mask is needed.
            hidden = getattr(model, model.base_model_prefix)(
                input_ids=ids.to(device), use_cache=False).last_hidden_state
        last = hidden[torch.arange(len(written), device=device), lengths.to(device) - 1]
        # The head is float32: in bfloat16 close rewards would be equal and small steps lost.
        return model.score(last.float())[:, 0]  # type: ignore[no-any-return, operator]

    @torch.no_grad()
    def judge(self, pairs: Sequence[CompletionPair]) -> np.ndarray:
        """Return r(first) - r(second), twice: the order makes no difference; shape (pair, 2)."""
        encoded = [(self.encode(pair.prompt, pair.first), self.encode(pair.prompt, pair.second))
                   for pair in pairs]
        flat = [one for both in encoded if all(both) for one in both if one]
        rewards = self._all_rewards(flat)
        found = np.full((len(pairs), 2), np.nan)
        fits = [row for row, both in enumerate(encoded) if all(both)]
        found[fits] = (rewards[::2] - rewards[1::2])[:, None]
        return found

    @torch.no_grad()
    def score(self, completions: Sequence[tuple[Prompt, str]]) -> np.ndarray:
        """Return the reward of each completion; NaN where it does not fit; (completion,)."""
        encoded = [self.encode(prompt, text) for prompt, text in completions]
        found = np.full(len(completions), np.nan)
        fits = [row for row, one in enumerate(encoded) if one is not None]
        found[fits] = self._all_rewards([one for one in encoded if one is not None])
        return found

    def _all_rewards(self, written: Sequence[Written]) -> np.ndarray:
        found = np.full(len(written), np.nan)
        for batch in written_batches(written, self.settings.tokens_per_forward):
            found[batch] = self.rewards([written[i] for i in batch]).cpu().numpy()
        return found


def open_reward_model(config: schema.Config) -> RewardModel:
    """Return a reward model on the process's shared base model."""
    return RewardModel(shared_base(config.selector.model, SCORE), config.selector,
                       config.runtime.autocast, config.run.seed)
