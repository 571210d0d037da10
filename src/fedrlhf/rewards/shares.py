"""What a group tells of completions: how its own judge divides its preference among them."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from scipy.special import softmax

from fedrlhf.selectors.judge import Judge
from fedrlhf.types import CompletionPair, Prompt

DOES_NOT_FIT = -1.0  # in place of a share: the completion is too long for the judge
_ROUNDING = 1e-3


def completion_shares(judge: Judge, asked: Sequence[tuple[Prompt, Sequence[str]]]) -> np.ndarray:
    """Return the share of each completion in the preference among those of its prompt.

    Args:
        judge: A group's own, its adapter written and its context known.
        asked: Prompts, each with two different completions or more.

    Returns:
        The prompts' shares one after the other, shape (completion,).
    """
    pairs = [CompletionPair(prompt, a, b) for prompt, completions in asked
             for a, b in combinations(completions, 2)]
    log_odds = judge.judge(pairs).mean(axis=1)
    sizes = [len(completions) for _, completions in asked]
    of_prompt = np.split(log_odds, np.cumsum([n * (n - 1) // 2 for n in sizes])[:-1])
    return np.concatenate([shares(odds, n) for odds, n in zip(of_prompt, sizes, strict=True)])


def shares(log_odds: np.ndarray, count: int) -> np.ndarray:
    """Return softmax_i of s_i = (1/n) sum_j (log-odds that i is better than j), shape (n,).

    Where the log-odds are differences of values, as those of predictors and reward models, this is
    the softmax of the values; else of the values that fit them best by least squares. Shares keep
    one group's certainty from outweighing the others.

    Args:
        log_odds: Of the pairs i < j in the order of `itertools.combinations`, that i is better;
            NaN where the pair does not fit.
        count: n. A completion that fits in no pair gets `DOES_NOT_FIT` and does not count.
    """
    margins = np.zeros((count, count))
    upper = np.triu_indices(count, 1)
    margins[upper] = log_odds
    margins.T[upper] = -log_odds
    fits = np.isnan(margins).sum(axis=1) < count - 1
    found = np.full(count, DOES_NOT_FIT)
    if fits.any():
        found[fits] = softmax(np.nanmean(margins[fits], axis=1))
    return found


def fault(told: object, sizes: Sequence[int]) -> str | None:
    """Say what is wrong with the shares that a client sent, or None.

    Args:
        told: What it sent; it may be anything.
        sizes: How many completions each prompt has.
    """
    if not isinstance(told, list) or not all(
            isinstance(value, int | float) and not isinstance(value, bool) for value in told):
        return "it sent no list of shares"
    if len(told) != sum(sizes):
        return f"it sent {len(told)} shares for {sum(sizes)} completions"
    values = np.array(told, float)
    if not np.isfinite(values).all():
        return "its shares are not finite"
    for part in np.split(values, np.cumsum(sizes)[:-1]):
        known = part[part != DOES_NOT_FIT]
        if len(known) and ((known < 0).any() or abs(known.sum() - 1) > _ROUNDING):
            return "the shares of a prompt are not numbers from 0 on that add up to 1"
    return None
