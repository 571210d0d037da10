"""How strongly an online objective pulls the policy back to its reference."""

from collections.abc import Mapping

import numpy as np

_NAME = "kl_control.beta"
_GAIN = 0.1  # K_beta
_MOST_ERROR = 0.2  # of the relative error that one step answers to


class KlControl:
    """A fixed beta, or one that moves until the divergence from the reference is at a target.

    Ziegler et al., 2019 (arXiv 1909.08593), section 2.2: after each step
    beta <- beta (1 + 0.1 clip(KL / target - 1, -0.2, 0.2)). The present beta is the client's own
    and goes on from round to round.

    Args:
        beta: To begin with.
        target: KL in nats a completion; None keeps beta.
        kept: What the client kept of earlier rounds.
    """

    def __init__(self, beta: float, target: float | None, kept: Mapping[str, np.ndarray]) -> None:
        self.target = target
        self.beta = float(kept[_NAME][0]) if target is not None and _NAME in kept else beta

    def observe(self, kl: float) -> None:
        """Move beta after a step in which the mean divergence was `kl`."""
        if self.target is not None:
            error = min(max(kl / self.target - 1, -_MOST_ERROR), _MOST_ERROR)
            self.beta *= 1 + _GAIN * error

    def kept(self) -> dict[str, np.ndarray]:
        """Return what the client keeps for its next round."""
        return {} if self.target is None else {_NAME: np.array([self.beta])}
