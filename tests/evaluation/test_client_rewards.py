"""Rewards at a client: rank correlation and what of a client's answer is believed."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from fedrlhf.evaluation.rewards import PARTS, fault, spearman
from fedrlhf.objectives.rollouts import Ask, Rollouts


def rollouts(personal: list[float], prompts: int) -> Rollouts:
    """Return completions with these personal rewards and nothing else of interest."""
    nothing = torch.zeros(len(personal))
    asks = [Ask("q", (1,), "ann")] * prompts
    return Rollouts([], asks, nothing, nothing, torch.tensor(personal), *[nothing] * 4)


def test_spearman_compares_within_prompts() -> None:
    """Two prompts of three completions.

    The implicit rewards of the second prompt are all 100 higher, a term of the prompt alone. With
    the means off, both sides are (-1, 0, 1) in each prompt: rank correlation 1; with one side
    reversed -1. A policy that treats all completions of a prompt alike has none.
    """
    made = replace(rollouts([1.0, 2.0, 3.0, 7.0, 8.0, 9.0], 2), written=[None] * 6)  # type: ignore[list-item]
    assert spearman(np.array([1.0, 2, 3, 101, 102, 103]), made) == pytest.approx(1)
    assert spearman(np.array([3.0, 2, 1, 103, 102, 101]), made) == pytest.approx(-1)
    assert spearman(np.array([5.0, 5, 5, 9, 9, 9]), made) is None


GOOD: dict[str, Any] = {"num-examples": 2.0, "kl": 0.1, **{
    f"{name}_{when}": 1.0 for name in PARTS for when in ("before", "after")}}


@pytest.mark.parametrize(("found", "words"), [
    ({}, "it counts None prompts"),
    ({"num-examples": 9.0}, "it counts 9.0 prompts of at most 3"),
    ({**GOOD, "kl": float("nan")}, "kl absent or no finite number"),
    ({key: value for key, value in GOOD.items() if key != "reward_after"}, "reward_after absent"),
])
def test_nonsense_is_named(found: dict[str, Any], words: str) -> None:
    """A reply may hold anything."""
    assert words in str(fault(found, 3))


def test_good_numbers_are_taken() -> None:
    """Also those of a client whose held-out prompts do not fit."""
    assert fault(GOOD, 3) is None
    assert fault({"num-examples": 0.0}, 3) is None
