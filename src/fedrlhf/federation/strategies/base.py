"""What the strategies of this project share: who gets which selector."""

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy

from fedrlhf.errors import ConfigError
from fedrlhf.federation.client_grid import ClientGrid
from fedrlhf.federation.messages import (
    ARRAYS,
    CONFIG,
    EXAMPLES,
    METRICS,
    from_arrays,
    selector_key,
    to_arrays,
)

WEIGHTS = ("uniform", "size")


class SelectorStrategy(Strategy):
    """A strategy over a bank of selectors in which a client receives only what it needs.

    A subclass says which selectors each client of a round gets (`assignments`) and how the
    replies to one selector become its next value (`combine`).

    Attributes:
        weights: p_m of a client: ``uniform`` or by ``size`` of its training split.
        shares: p_m of the cohort's clients by node; they add up to 1 over all clients.
        grouping: The selector of each node that has one.
        shared: Whether clients may see each other's selectors, so that their vote can be measured.
    """

    shared = True

    def __init__(self, weights: str) -> None:
        if weights not in WEIGHTS:
            raise ConfigError(f"strategy.weights must be one of {', '.join(WEIGHTS)}, "
                              f"got {weights!r}")
        self.weights = weights
        self.shares: dict[int, float] = {}
        self.grouping: dict[int, int] = {}
        self.clients = 0
        self._bank: dict[int, np.ndarray] = {}

    def count(self, clients: int) -> int:
        """Return how many selectors there are for this number of clients."""
        return 1

    def least_rounds(self) -> int:
        """Return how many rounds it takes until every selector has trained as meant."""
        return 1

    def selector_of(self, node: int) -> int:
        """Return the selector that a client uses."""
        return self.grouping.get(node, 0)

    @abstractmethod
    def assignments(self, server_round: int, arrays: ArrayRecord,
                    grid: ClientGrid) -> Mapping[int, Sequence[int]]:
        """Return the selectors that each client of the cohort receives in this round."""

    @abstractmethod
    def combine(self, server_round: int, old: np.ndarray, adapters: Sequence[np.ndarray],
                shares: Sequence[float]) -> np.ndarray:
        """Return a selector's next value from the replies of those who trained it."""

    def configure_train(self, server_round: int, arrays: ArrayRecord, config: ConfigRecord,
                        grid: Grid) -> Iterable[Message]:
        """Send each client of the cohort its selectors."""
        assert isinstance(grid, ClientGrid)
        self.clients = sum(client.train > 0 for client in grid.clients)
        self.shares = {node: grid.weight(node, self.weights) for node in grid.get_node_ids()}
        given = self.assignments(server_round, arrays, grid)
        self._bank = from_arrays(arrays)
        return self._messages(MessageType.TRAIN, given, arrays, config, server_round)

    def aggregate_train(self, server_round: int, replies: Iterable[Message],
                        ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Move each selector by the replies of the clients that trained it; others keep theirs."""
        replies = list(replies)
        trained: dict[int, list[tuple[int, np.ndarray]]] = defaultdict(list)
        for reply in replies:
            for index, adapter in from_arrays(reply.content.array_records[ARRAYS]).items():
                trained[index].append((reply.metadata.src_node_id, adapter))
        bank = dict(self._bank)
        for index, updates in trained.items():
            bank[index] = self.combine(server_round, bank[index], [a for _, a in updates],
                                       [self.shares[node] for node, _ in updates])
        return to_arrays(bank), mean_metrics(replies)

    def configure_evaluate(self, server_round: int, arrays: ArrayRecord, config: ConfigRecord,
                           grid: Grid) -> Iterable[Message]:
        """Send each client the selector that it uses."""
        own = {node: [self.selector_of(node)] for node in grid.get_node_ids()}
        return self._messages(MessageType.EVALUATE, own, arrays, config, server_round)

    def aggregate_evaluate(self, server_round: int,
                           replies: Iterable[Message]) -> MetricRecord | None:
        """Average the clients' numbers by their examples."""
        return mean_metrics(list(replies))

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs: who belongs to which selector."""
        return {"grouping": dict(self.grouping)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        self.grouping = dict(state["grouping"])

    def summary(self) -> None:
        """Say nothing: the run's report describes the strategy."""

    def _messages(self, message_type: str, given: Mapping[int, Sequence[int]],
                  arrays: ArrayRecord, config: ConfigRecord, server_round: int) -> list[Message]:
        return [Message(RecordDict({
            ARRAYS: ArrayRecord({selector_key(u): arrays[selector_key(u)] for u in selectors}),
            CONFIG: ConfigRecord({**config, "server-round": server_round})}),
            node, message_type, group_id=str(server_round)) for node, selectors in given.items()]


def mean_metrics(replies: Sequence[Message]) -> MetricRecord | None:
    """Average single numbers over replies, weighted by their examples."""
    records = [reply.content.metric_records[METRICS] for reply in replies]
    weights = np.array([float(record[EXAMPLES]) for record in records])  # type: ignore[arg-type]
    if not records or not weights.sum() > 0:
        return None
    names = [name for name, value in records[0].items()
             if name != EXAMPLES and isinstance(value, int | float)
             and all(name in record for record in records)]
    return MetricRecord({name: float(np.average([record[name] for record in records],
                                                weights=weights)) for name in names})
