"""The binary selector's objective: cross-entropy over the two answer letters."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from fedrlhf.config import schema
from fedrlhf.objectives.offline import Offline, Prepared
from fedrlhf.selectors.batching import token_batches
from fedrlhf.selectors.encode import Judgement
from fedrlhf.selectors.selector import Selector, open_selector
from fedrlhf.types import CompletionPair, Preference, only_pairs


@dataclass(frozen=True)
class _Example:
    """A pair in both orders: the chosen completion first, then second."""

    orders: tuple[Judgement, Judgement]
    weight: float


@dataclass(kw_only=True)
class Choice(Offline):
    """F_m(phi) = E CE(i | phi; x, y0, y1), over both orders of every pair (FedBiscuit, Eq. 2).

    With the log-odds z of "the first is better", the loss of a pair is
    [softplus(-z) with the chosen completion first + softplus(z) with it second] / 2, in nats.
    """

    def open(self, config: schema.Config, reference: np.ndarray | None = None) -> Selector:
        """Return the selector; it has no reference."""
        return open_selector(config)

    def prepare(self, judge: Selector, preferences: Sequence[Preference]) -> Prepared:
        """Encode the pairs in both orders."""
        examples = []
        for pair in only_pairs(preferences):
            if pair.tie:
                continue
            orders = judge.encode(CompletionPair(pair.prompt, pair.chosen, pair.rejected))
            if orders is not None:
                examples.append(_Example(orders, pair.weight))
        return Prepared([example.orders[0].tokens for example in examples],
                        lambda batch: _backward(judge, [examples[i] for i in batch]),
                        judge.encoder.cuts.cut_pairs, judge.encoder.cuts.left_out,
                        f"selector.max_tokens={judge.settings.max_tokens}")


def _backward(selector: Selector, batch: Sequence[_Example]) -> float:
    """Accumulate the gradient of the batch's weighted mean loss; return that loss."""
    judgements = [judgement for example in batch for judgement in example.orders]
    device = selector.base.device
    signs = torch.tensor([1.0, -1.0] * len(batch), device=device)
    weights = torch.tensor([example.weight for example in batch for _ in (0, 1)], device=device)
    weights = weights / weights.sum()
    total = 0.0
    for part in token_batches(judgements, selector.settings.tokens_per_forward):
        log_odds = selector.log_odds([judgements[i] for i in part])
        loss = (weights[part] * torch.nn.functional.softplus(-signs[part] * log_odds)).sum()
        loss.backward()
        total += loss.item()
    return total
