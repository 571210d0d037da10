"""FedBis: one selector by federated averaging."""

from collections.abc import Mapping, Sequence

import numpy as np
from flwr.app import ArrayRecord

from fedrlhf.config.schema import FedBis as DEFAULTS
from fedrlhf.federation.aggregate import scaled_sum, weighted_mean
from fedrlhf.federation.client_grid import ClientGrid
from fedrlhf.federation.strategies.base import SelectorStrategy


class FedBis(SelectorStrategy):
    """Every sampled client trains the one selector; its next value is their mean (Eq. 4).

    Args:
        weights: p_m: ``uniform`` (1/M) or ``size`` (by training pairs).
        normalised: Divide by the cohort's weight. False: (M/A) sum p_m phi_m as printed, whose
            weights add up to one only in expectation unless all p_m are equal.
    """

    def __init__(self, *, weights: str = DEFAULTS.weights,
                 normalised: bool = DEFAULTS.normalised) -> None:
        super().__init__(weights)
        self.normalised = normalised

    def assignments(self, server_round: int, arrays: ArrayRecord,
                    grid: ClientGrid) -> Mapping[int, Sequence[int]]:
        """Give everybody selector 0."""
        return {node: [0] for node in grid.get_node_ids()}

    def combine(self, server_round: int, old: np.ndarray, adapters: Sequence[np.ndarray],
                shares: Sequence[float]) -> np.ndarray:
        """Apply Eq. 4."""
        if self.normalised:
            return weighted_mean(adapters, shares)
        return scaled_sum(adapters, shares, self.clients)
