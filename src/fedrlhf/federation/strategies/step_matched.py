"""The control that separates clustering from its smaller steps."""

from collections.abc import Sequence

import numpy as np

from fedrlhf.config.schema import StepMatchedFedBis as DEFAULTS
from fedrlhf.errors import ConfigError
from fedrlhf.federation.aggregate import move
from fedrlhf.federation.strategies.fedbis import FedBis
from fedrlhf.federation.strategies.fedbiscuit import SERVER_STEPS


class StepMatchedFedBis(FedBis):
    """FedBis that moves as far in a round as one FedBiscuit selector does in expectation.

    After ``warmup_rounds`` full rounds the selector moves A/(U M) of the way to the cohort's mean
    where FedBiscuit uses ``server_step=paper`` (Eq. 8), and all the way where it is ``normalised``.
    A FedBiscuit selector takes part in R - (U-1) R_pre of R rounds: give this control that many.

    Args:
        selectors: U of the FedBiscuit run.
        warmup_rounds: Its R_pre.
        server_step: Its server step.
        weights: p_m: ``uniform`` or ``size``.
    """

    def __init__(self, *, selectors: int = DEFAULTS.selectors,
                 warmup_rounds: int = DEFAULTS.warmup_rounds,
                 server_step: str = DEFAULTS.server_step, weights: str = DEFAULTS.weights) -> None:
        super().__init__(weights=weights, normalised=True)
        if server_step not in SERVER_STEPS:
            raise ConfigError(f"strategy.server_step must be one of {', '.join(SERVER_STEPS)}, "
                              f"got {server_step!r}")
        self.selectors, self.warmup_rounds, self.server_step = selectors, warmup_rounds, server_step

    def rate(self, server_round: int) -> float:
        """Return the share of the way to the cohort's mean."""
        if self.server_step == "normalised" or server_round <= self.warmup_rounds:
            return 1.0
        return len(self.shares) / (self.selectors * self.clients)

    def combine(self, server_round: int, old: np.ndarray, adapters: Sequence[np.ndarray],
                shares: Sequence[float]) -> np.ndarray:
        """Move towards the mean at the matched rate."""
        mean = super().combine(server_round, old, adapters, shares)
        rate = self.rate(server_round)
        return mean if rate == 1.0 else move(old, mean, rate)
