"""What every judge of completions offers."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from fedrlhf.models.slot import Slot
from fedrlhf.types import CompletionPair


class Judge(Protocol):
    """Compares completions with whichever adapter was written to its slot last."""

    @property
    def slot(self) -> Slot:
        """Return where the active adapter is read and written."""

    def judge(self, pairs: Sequence[CompletionPair]) -> np.ndarray:
        """Judge each pair in both orders.

        Returns:
            Log-odds that ``pair.first`` is better, shape (pair, 2): as shown, and with the
            completions swapped (its sign turned back). NaN where the pair does not fit.
        """
