"""FedBiscuit: U selectors over balanced clusters of clients."""

from collections.abc import Mapping, Sequence

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict

from fedrlhf.config.schema import FedBiscuit as DEFAULTS
from fedrlhf.errors import ConfigError
from fedrlhf.federation.aggregate import residual_step, weighted_mean
from fedrlhf.federation.client_grid import ClientGrid
from fedrlhf.federation.grouping import METHODS, assign
from fedrlhf.federation.messages import ARRAYS, CONFIG, METRICS, RANK
from fedrlhf.federation.strategies.base import SelectorStrategy

SERVER_STEPS = ("normalised", "paper")


class FedBiscuit(SelectorStrategy):
    """Warm up U selectors one after the other, then train each on its own cluster of clients.

    Rounds (u R_pre, (u+1) R_pre] train selector u with every sampled client. From then on, every
    tau rounds, all clients rank the selectors by validation loss and are assigned to clusters
    whose sizes differ by at most one; a sampled client receives and trains its cluster's selector.

    Args:
        selectors: U.
        warmup_rounds: R_pre, for each selector.
        regroup_every: tau.
        grouping: How clusters are formed, see `grouping.assign`.
        weights: p_m: ``uniform`` or ``size``.
        server_step: ``paper`` is Eq. 8, in which an adapter keeps the weight of all who did not
            train it and so moves about A/(U M) of the way; ``normalised`` moves fully to the mean
            of those who trained it, as FedBis does.
    """

    def __init__(self, *, selectors: int = DEFAULTS.selectors,
                 warmup_rounds: int = DEFAULTS.warmup_rounds,
                 regroup_every: int = DEFAULTS.regroup_every, grouping: str = DEFAULTS.grouping,
                 weights: str = DEFAULTS.weights, server_step: str = DEFAULTS.server_step) -> None:
        super().__init__(weights)
        for name, value, least in (("selectors", selectors, 1), ("warmup_rounds", warmup_rounds, 0),
                                   ("regroup_every", regroup_every, 1)):
            if value < least:
                raise ConfigError(f"strategy.{name} must be at least {least}, got {value}")
        if grouping not in METHODS:
            raise ConfigError(f"strategy.grouping must be one of {', '.join(METHODS)}, "
                              f"got {grouping!r}")
        if server_step not in SERVER_STEPS:
            raise ConfigError(f"strategy.server_step must be one of {', '.join(SERVER_STEPS)}, "
                              f"got {server_step!r}")
        self.selectors, self.warmup_rounds = selectors, warmup_rounds
        self.regroup_every = regroup_every
        self.method, self.server_step = grouping, server_step

    def count(self, clients: int) -> int:
        """Return U."""
        return self.selectors

    def least_rounds(self) -> int:
        """Return the rounds of the warm-up and one more."""
        return self.selectors * self.warmup_rounds + 1

    def warming_up(self, server_round: int) -> bool:
        """Say whether the round belongs to the warm-up."""
        return server_round <= self.selectors * self.warmup_rounds

    def assignments(self, server_round: int, arrays: ArrayRecord,
                    grid: ClientGrid) -> Mapping[int, Sequence[int]]:
        """Give the selector in warm-up to everybody; later, to each client its cluster's."""
        if self.warming_up(server_round):
            index = (server_round - 1) // self.warmup_rounds
            return {node: [index] for node in grid.get_node_ids()}
        clustered_round = server_round - self.selectors * self.warmup_rounds
        if (clustered_round - 1) % self.regroup_every == 0:
            self._regroup(server_round, arrays, grid)
        return {node: [self.grouping[node]] for node in grid.get_node_ids()}

    def combine(self, server_round: int, old: np.ndarray, adapters: Sequence[np.ndarray],
                shares: Sequence[float]) -> np.ndarray:
        """Average in the warm-up; then apply Eq. 8 or its normalised form."""
        if self.server_step == "paper" and not self.warming_up(server_round):
            return residual_step(old, adapters, shares)
        return weighted_mean(adapters, shares)

    def _regroup(self, server_round: int, arrays: ArrayRecord, grid: ClientGrid) -> None:
        """Assign the clients that answered; one that did not answer keeps its cluster."""
        members = [node for node in grid.nodes if grid.client(node).train]
        losses = rank(members, arrays, grid, server_round, self.selectors)
        placed = [node for node in members if node in losses or node not in self.grouping]
        if not placed:
            return
        unknown = np.full(self.selectors, np.nan)
        matrix = np.stack([losses.get(node, unknown) for node in placed])
        found = assign(matrix, self.method, seed=server_round)
        self.grouping |= {node: int(u) for node, u in zip(placed, found, strict=True)}


def rank(nodes: Sequence[int], arrays: ArrayRecord, grid: ClientGrid, server_round: int,
         selectors: int) -> dict[int, np.ndarray]:
    """Ask clients for their validation loss of every selector.

    Returns:
        Losses of shape (selector,) for each client that answered as asked; a client without
        validation pairs is not asked and has unknown (NaN) losses.
    """
    able = [node for node in nodes if grid.client(node).validation]
    replies = grid.send_and_receive([Message(RecordDict({
        ARRAYS: arrays, CONFIG: ConfigRecord({"server-round": server_round})}),
        node, RANK, group_id=str(server_round)) for node in able])
    losses = {node: np.full(selectors, np.nan) for node in nodes if node not in able}
    for reply in replies:
        records = {} if reply.has_error() else reply.content.metric_records
        answer = records[METRICS].get("losses") if METRICS in records else None
        if isinstance(answer, list) and len(answer) == selectors:
            losses[reply.metadata.src_node_id] = np.array(answer, np.float64)
    return losses
