"""The baseline without sharing: every client keeps a selector of its own."""

from collections.abc import Mapping, Sequence

import numpy as np
from flwr.app import ArrayRecord

from fedrlhf.federation.client_grid import ClientGrid
from fedrlhf.federation.strategies.base import SelectorStrategy


class LocalOnly(SelectorStrategy):
    """Selector m belongs to client m; the server stores it between rounds and changes nothing.

    Cohorts are drawn as for the other strategies, so that each client trains as much as there.
    """

    shared = False

    def __init__(self) -> None:
        super().__init__(weights="uniform")

    def count(self, clients: int) -> int:
        """Return one selector for each client."""
        return clients

    def selector_of(self, node: int) -> int:
        """Return the client's own selector."""
        return node - 1

    def assignments(self, server_round: int, arrays: ArrayRecord,
                    grid: ClientGrid) -> Mapping[int, Sequence[int]]:
        """Give each client its own selector."""
        return {node: [node - 1] for node in grid.get_node_ids()}

    def combine(self, server_round: int, old: np.ndarray, adapters: Sequence[np.ndarray],
                shares: Sequence[float]) -> np.ndarray:
        """Keep what the client returned."""
        return adapters[0]
