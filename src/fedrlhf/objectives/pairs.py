"""Pairs whose two completions are read one by one, each after the prompt."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fedrlhf.models.likelihood import Written
from fedrlhf.types import PreferencePair, Prompt

Loss = Callable[[list[Written], Tensor], Tensor]


@dataclass(frozen=True)
class EncodedPairs:
    """A client's pairs in tokens, without ties and without those that do not fit."""

    chosen: list[Written]
    rejected: list[Written]
    weights: list[float]
    left_out: int

    @property
    def lengths(self) -> list[int]:
        """Tokens of the longer sequence of each pair."""
        return [max(a.tokens, b.tokens) for a, b in zip(self.chosen, self.rejected, strict=True)]

    @property
    def cut(self) -> int:
        """How many pairs lost a part of their prompt."""
        return sum(a.cut + b.cut > 0 for a, b in zip(self.chosen, self.rejected, strict=True))


def encode_pairs(pairs: Sequence[PreferencePair],
                 encode: Callable[[Prompt, str], Written | None]) -> EncodedPairs:
    """Encode both completions of every pair that is no tie."""
    kept: list[tuple[Written, Written, float]] = []
    decided = [pair for pair in pairs if not pair.tie]
    for pair in decided:
        chosen, rejected = (encode(pair.prompt, text) for text in (pair.chosen, pair.rejected))
        if chosen is not None and rejected is not None:
            kept.append((chosen, rejected, pair.weight))
    return EncodedPairs([chosen for chosen, _, _ in kept], [rejected for _, rejected, _ in kept],
                        [weight for _, _, weight in kept], len(decided) - len(kept))


def backward(pairs: EncodedPairs, batch: Sequence[int], loss: Loss, budget: int,
             device: torch.device) -> float:
    """Accumulate the gradient of the batch's weighted mean loss; return that loss.

    Args:
        pairs: The client's pairs.
        batch: Numbers of the step's pairs.
        loss: The sum over pairs of weight times loss, of sequences in the order chosen, rejected,
            chosen, rejected, … and the pairs' weights (they add up to 1 over the batch).
        budget: Padded tokens in one forward pass; one pair at least.
        device: Where the weights belong.
    """
    total = sum(pairs.weights[i] for i in batch)
    found = 0.0
    for part in parts([pairs.lengths[i] for i in batch], budget):
        numbers = [batch[place] for place in part]
        written = [one for i in numbers for one in (pairs.chosen[i], pairs.rejected[i])]
        weights = torch.tensor([pairs.weights[i] / total for i in numbers], device=device)
        value = loss(written, weights)
        value.backward()  # type: ignore[no-untyped-call]
        found += value.item()
    return found


def parts(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Group pairs, sorted by length, so that two padded sequences of each fit into the budget."""
    groups: list[list[int]] = []
    for place in sorted(range(len(lengths)), key=lambda i: (lengths[i], i)):
        if not groups or 2 * lengths[place] * (len(groups[-1]) + 1) > budget:
            groups.append([])
        groups[-1].append(place)
    return groups
