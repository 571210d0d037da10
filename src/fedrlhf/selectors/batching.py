"""Group sequences so that little of a forward pass is padding."""

from collections.abc import Sequence

import numpy as np

from fedrlhf.models.likelihood import Written
from fedrlhf.selectors.encode import Judgement

_WINDOW = 8  # steps whose pairs are sorted together; larger windows pad less and shuffle less


def token_batches(judgements: Sequence[Judgement], budget: int) -> list[list[int]]:
    """Split judgements into batches of at most `budget` padded tokens.

    Judgements with the same prefix stay together where the budget allows, because they share its
    keys and values. Every index occurs once; a single judgement over the budget is a batch alone.
    """
    order = sorted(range(len(judgements)), key=lambda i: (
        judgements[i].tokens, judgements[i].prefix, len(judgements[i].suffix), i))
    longest_of_prefix: dict[tuple[int, ...], int] = {}
    for judgement in judgements:
        longest_of_prefix[judgement.prefix] = max(
            longest_of_prefix.get(judgement.prefix, 0), judgement.tokens)
    order.sort(key=lambda i: (longest_of_prefix[judgements[i].prefix], judgements[i].prefix))
    batches: list[list[int]] = []
    longest = 0
    for index in order:
        longest = max(longest, judgements[index].tokens)
        if not batches or longest * (len(batches[-1]) + 1) > budget:
            batches.append([])
            longest = judgements[index].tokens
        batches[-1].append(index)
    return batches


def written_batches(written: Sequence[Written], budget: int) -> list[list[int]]:
    """Split sequences that share nothing into batches of at most `budget` padded tokens."""
    return token_batches([Judgement((), one.prompt + one.completion) for one in written], budget)


def training_steps(lengths: Sequence[int], batch_size: int, steps: int,
                   rng: np.random.Generator) -> list[list[int]]:
    """Plan which pairs each optimiser step sees.

    Epochs are shuffled; inside a window of a few steps the pairs are sorted by length, cut into
    steps, and the steps are shuffled again. Within an epoch every pair occurs once; a last short
    step is filled up from the next epoch.

    Args:
        lengths: Tokens of each pair.
        batch_size: Pairs in a step.
        steps: Number of steps to plan.
        rng: Source of the shuffles.
    """
    needed = steps * batch_size
    stream: list[int] = []
    while len(stream) < needed:
        stream += rng.permutation(len(lengths)).tolist()
    planned: list[list[int]] = []
    for start in range(0, needed, _WINDOW * batch_size):
        # Epoch by epoch, or a small client's steps would hold the same pair twice.
        window = sorted(range(start, min(start + _WINDOW * batch_size, needed)),
                        key=lambda place: (place // len(lengths), lengths[stream[place]]))
        cut = [[stream[place] for place in window[i:i + batch_size]]
               for i in range(0, len(window), batch_size)]
        planned += [cut[i] for i in rng.permutation(len(cut))]
    return planned
