"""What online objectives maximise, as a client has opened it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fedrlhf.types import Prompt


@dataclass(frozen=True)
class Scores:
    """What completions are worth to a person, each of shape (completion,)."""

    total: np.ndarray
    shared: np.ndarray
    personal: np.ndarray


class Scorer(Protocol):
    """A reward, as a client has opened it."""

    def score(self, prompt: Prompt, completions: Sequence[str], person: str) -> Scores:
        """Score completions of a prompt for the person who asked."""
