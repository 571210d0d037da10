"""The shared and the personal reward, mixed by the knob lambda."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from fedrlhf.objectives.scores import Scores
from fedrlhf.rewards.base import Score
from fedrlhf.types import Prompt

ADDITIVE, CONVEX = "additive", "convex"


def mix(shared: np.ndarray, personal: np.ndarray, weight: float, kind: str) -> np.ndarray:
    """Return R0 + lambda H (``additive``; Fan et al., 2025) or (1 - lambda) R0 + lambda H.

    Args:
        shared: R0 of each completion.
        personal: H of each completion.
        weight: lambda.
        kind: ``additive`` or ``convex`` (what the paper's published code computes).
    """
    return (shared if kind == ADDITIVE else (1 - weight) * shared) + weight * personal


@dataclass(frozen=True)
class Mixed:
    """A client's whole reward.

    Attributes:
        shared: R0, what all clients want.
        personal: H, what this client's people want.
        kind: See `mix`.
        weight: lambda of this client.
        bound: H_max: H is cut to [-bound, bound]; None: as it is.
        weights: lambda of the persons who have one of their own.
    """

    shared: Score
    personal: Score
    kind: str
    weight: float
    bound: float | None
    weights: Mapping[str, float] = field(default_factory=dict)

    def score(self, prompt: Prompt, completions: Sequence[str], person: str) -> Scores:
        """Score completions; a part of weight 0 is scored all the same, to be measured."""
        shared = self.shared(prompt, completions, person)
        personal = self.personal(prompt, completions, person)
        if self.bound is not None:
            personal = personal.clip(-self.bound, self.bound)
        weight = self.weights.get(person, self.weight)
        return Scores(mix(shared, personal, weight, self.kind), shared, personal)
