"""What a client optimises on its own shard."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fedrlhf.config import schema
from fedrlhf.types import PreferencePair


@dataclass(frozen=True)
class LocalTask:
    """What the server asks of a client in one round.

    Attributes:
        adapter: The vector to start from.
        seed: Seed of everything random in this client's round.
        proximal_mu: FedProx's pull towards ``adapter``, mu/2 |w - w0|^2; 0 for none.
    """

    adapter: np.ndarray
    seed: int
    proximal_mu: float = 0.0


@dataclass(frozen=True)
class LocalResult:
    """A client's trained adapter and numbers about the training."""

    adapter: np.ndarray
    examples: int
    metrics: dict[str, float]


class Objective(Protocol):
    """Local training and its loss on held-out pairs; one file of this package for each."""

    def train(self, config: schema.Config, pairs: Sequence[PreferencePair],
              task: LocalTask) -> LocalResult:
        """Train the task's adapter on a client's pairs."""

    def losses(self, config: schema.Config, pairs: Sequence[PreferencePair],
               adapters: Sequence[np.ndarray]) -> np.ndarray:
        """Return each adapter's mean loss on the pairs, shape (adapter,); NaN without pairs."""
