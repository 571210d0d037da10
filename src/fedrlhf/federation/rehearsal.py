"""Rehearse a federated stage: the real strategy, rounds and messages, and no training.

Adapters are one value long, so that counting messages counts adapters.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from flwr.app import Context, Message, MessageType, MetricRecord
from flwr.clientapp import ClientApp
from flwr.serverapp.strategy import Strategy

from fedrlhf.config import schema
from fedrlhf.federation.client_grid import Client, ClientGrid, Cost
from fedrlhf.federation.flower_internals import server_identity
from fedrlhf.federation.local_grid import LocalGrid
from fedrlhf.federation.messages import (
    ARRAYS,
    ENVELOPE,
    EXAMPLES,
    from_arrays,
    reply,
    to_arrays,
)
from fedrlhf.federation.rounds import Progress, run_rounds

_VALUE = 4  # bytes of a float32


@dataclass
class Traffic:
    """What one kind of message would carry in the whole stage.

    Attributes:
        messages: How many the server sends.
        adapters_down: Adapters in them.
        adapters_up: Adapters in the replies.
        numbers_up: Bytes of numbers in the replies.
    """

    messages: int = 0
    adapters_down: int = 0
    adapters_up: int = 0
    numbers_up: int = 0

    def down(self, adapter: int) -> int:
        """Return the bytes to the clients for adapters of so many values."""
        return _VALUE * adapter * self.adapters_down

    def up(self, adapter: int) -> int:
        """Return the bytes from the clients for adapters of so many values."""
        return _VALUE * adapter * self.adapters_up + self.numbers_up


def _pretending(clients: Sequence[Client]) -> ClientApp:
    """Return clients that give back what they got and have losses that depend on who they are."""
    app = ClientApp()
    places = {client.client_id: place for place, client in enumerate(clients)}

    def asked(message: Message) -> tuple[int, list[int]]:
        name = str(message.content.config_records[ENVELOPE]["client-id"])
        return places[name], sorted(from_arrays(message.content.array_records[ARRAYS]))

    @app.train()
    def train(message: Message, context: Context) -> Message:
        place, adapters = asked(message)
        chosen = min(adapters, key=lambda u: (u - place) % len(adapters))
        return reply(message, MetricRecord({
            EXAMPLES: clients[place].train, "train_loss": 0.5, "steps": 1.0, "cut_pairs": 0.0,
            "left_out_pairs": 0.0}), to_arrays({chosen: np.ones(1, np.float32)}))

    @app.evaluate("rank")
    def rank(message: Message, context: Context) -> Message:
        place, adapters = asked(message)
        return reply(message, MetricRecord({
            EXAMPLES: clients[place].validation,
            "losses": [float((u - place) % len(adapters)) for u in adapters]}))

    @app.evaluate()
    def validate(message: Message, context: Context) -> Message:
        return reply(message, MetricRecord({EXAMPLES: clients[asked(message)[0]].validation,
                                            "validation_loss": 0.5}))

    return app


def rehearse(clients: Sequence[Client], strategy: Strategy, settings: schema.Rounds,
             seed: int, reference: bool = False) -> dict[str, Traffic]:
    """Run all rounds with clients that only pretend, and count what travels.

    Args:
        clients: Sorted by id, with the numbers of their pairs.
        strategy: The strategy; it is used up.
        settings: Rounds and cohort.
        seed: Of the cohorts.
        reference: Whether each message brings the reference policy's adapter too.

    Returns:
        The traffic of each type of message.
    """
    everybody = [replace(client, supernode=1) for client in clients]
    with server_identity():
        grid = ClientGrid(LocalGrid(_pretending(everybody), 1, {}), everybody)
        grid.reference = to_arrays({0: np.zeros(1, np.float32)}) if reference else None
        count = getattr(strategy, "count", lambda clients: 1)(len(clients))
        progress = Progress(to_arrays({u: np.zeros(1, np.float32) for u in range(count)}))
        for _ in run_rounds(grid, strategy, progress, settings, seed):
            pass
        place = getattr(strategy, "place_clients", None)
        if place is not None:
            place(progress.arrays, grid, progress.server_round + 1)
    return {kind: _traffic(kind, cost) for kind, cost in grid.costs.items()}


def _traffic(kind: str, cost: Cost) -> Traffic:
    # A reply to `train` brings one adapter, a reply to any other message none.
    adapters = cost.messages if kind == MessageType.TRAIN else 0
    return Traffic(cost.messages, cost.down // _VALUE, adapters, cost.up - _VALUE * adapters)
