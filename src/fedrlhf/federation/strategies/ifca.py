"""IFCA: U selectors, each client trains the one that fits it best."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from flwr.app import ArrayRecord, Message, MetricRecord

from fedrlhf.config.schema import Ifca as DEFAULTS
from fedrlhf.errors import ConfigError
from fedrlhf.federation.aggregate import weighted_mean
from fedrlhf.federation.client_grid import ClientGrid
from fedrlhf.federation.messages import ARRAYS, from_arrays
from fedrlhf.federation.strategies.base import SelectorStrategy
from fedrlhf.federation.strategies.fedbiscuit import rank


class Ifca(SelectorStrategy):
    """Iterative federated clustering (Ghosh et al., 2020) without any balance.

    After the same warm-up as FedBiscuit's, a sampled client receives all selectors, trains the one
    with its lowest validation loss and returns that one. It costs U times FedBiscuit's bytes down.

    Args:
        selectors: U.
        warmup_rounds: Rounds for each selector before clients choose.
        weights: p_m: ``uniform`` or ``size``.
    """

    def __init__(self, *, selectors: int = DEFAULTS.selectors,
                 warmup_rounds: int = DEFAULTS.warmup_rounds,
                 weights: str = DEFAULTS.weights) -> None:
        super().__init__(weights)
        if selectors < 1 or warmup_rounds < 0:
            raise ConfigError("strategy.selectors must be at least 1 and strategy.warmup_rounds at "
                              f"least 0, got {selectors} and {warmup_rounds}")
        self.selectors, self.warmup_rounds = selectors, warmup_rounds

    def count(self, clients: int) -> int:
        """Return U."""
        return self.selectors

    def least_rounds(self) -> int:
        """Return the rounds of the warm-up and one more."""
        return self.selectors * self.warmup_rounds + 1

    def assignments(self, server_round: int, arrays: ArrayRecord,
                    grid: ClientGrid) -> Mapping[int, Sequence[int]]:
        """Give the selector in warm-up to everybody; later, all selectors."""
        warming_up = server_round <= self.selectors * self.warmup_rounds
        given = ([(server_round - 1) // self.warmup_rounds] if warming_up
                 else list(range(self.selectors)))
        return {node: given for node in grid.get_node_ids()}

    def aggregate_train(self, server_round: int, replies: Iterable[Message],
                        ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Note which selector each client chose, then average."""
        replies = list(replies)
        if server_round > self.selectors * self.warmup_rounds:
            self.grouping |= {reply.metadata.src_node_id: min(from_arrays(
                reply.content.array_records[ARRAYS])) for reply in replies}
        return super().aggregate_train(server_round, replies)

    def place_clients(self, arrays: ArrayRecord, grid: ClientGrid, server_round: int) -> None:
        """Let every client choose among the final selectors; who cannot keeps its last choice."""
        for node, losses in rank(grid.nodes, arrays, grid, server_round, self.selectors).items():
            if not np.isnan(losses).all():
                self.grouping[node] = int(np.nanargmin(losses))

    def combine(self, server_round: int, old: np.ndarray, adapters: Sequence[np.ndarray],
                shares: Sequence[float]) -> np.ndarray:
        """Average those who chose the selector."""
        return weighted_mean(adapters, shares)
