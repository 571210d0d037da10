"""A federation whose clients compute with numpy, over the real grids, apps and messages."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from flwr.app import ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from fedrlhf.config import schema
from fedrlhf.federation.client_grid import Client, ClientGrid, call_roll
from fedrlhf.federation.local_grid import LocalGrid
from fedrlhf.federation.messages import (
    ARRAYS,
    CONFIG,
    ENVELOPE,
    EXAMPLES,
    METRICS,
    from_arrays,
    reply,
    to_arrays,
)
from fedrlhf.seeding import generator

WIDTH = 4
Sizes = tuple[int, int, int]  # pairs in train, validation, test


@dataclass(frozen=True)
class Seen:
    """What a client found in a message."""

    kind: str
    server_round: int
    client: str
    selectors: tuple[int, ...]


def noisy(client: str, server_round: int, adapter: np.ndarray) -> np.ndarray:
    """Train: add noise that depends on the client and the round, on what it started from too."""
    noise = generator(0, "toy", server_round, client).normal(size=adapter.shape)
    return (adapter * 0.9 + noise).astype(np.float32)


@dataclass
class Toy:
    """Clients by id, on a number of SuperNodes.

    Attributes:
        sizes: Pairs of each client.
        trained: What a client returns, from its id, the round and the adapter it was sent.
        losses: A client's loss of each selector, by client id; by default the distance of the
            adapter to a point of the client's own.
        failing: Client ids that raise in training and ranking.
        seen: All messages in the order in which they arrived.
    """

    sizes: Mapping[str, Sizes]
    supernodes: int = 1
    trained: Callable[[str, int, np.ndarray], np.ndarray] = noisy
    losses: Mapping[str, list[float]] = field(default_factory=dict)
    failing: set[str] = field(default_factory=set)
    seen: list[Seen] = field(default_factory=list)

    def rounds(self, kind: str = "train") -> dict[int, dict[str, tuple[int, ...]]]:
        """Return by round which selectors each client received."""
        found: dict[int, dict[str, tuple[int, ...]]] = {}
        for seen in self.seen:
            if seen.kind == kind:
                found.setdefault(seen.server_round, {})[seen.client] = seen.selectors
        return found

    def app(self) -> ClientApp:
        """Return a ClientApp that answers as fedrlhf.client_app does."""
        app = ClientApp()

        @app.query("roll_call")
        def roll_call(message: Message, context: Context) -> Message:
            held = self.held(context)
            return Message(RecordDict({ENVELOPE: ConfigRecord({
                "client-ids": held, **{split: [self.sizes[name][i] for name in held]
                for i, split in enumerate(("train", "validation", "test"))}})}), reply_to=message)

        @app.train()
        def train(message: Message, context: Context) -> Message:
            client, server_round, adapters = self.receive("train", message)
            losses = self.losses_of(client, adapters)
            chosen = list(adapters)[int(np.argmin(losses))]
            adapter = self.trained(client, server_round, adapters[chosen])
            metrics = {EXAMPLES: self.sizes[client][0],
                       "train_loss": float(np.abs(adapter).mean()), "steps": 3.0}
            return reply(message, MetricRecord(metrics), to_arrays({chosen: adapter}))

        @app.evaluate()
        def validate(message: Message, context: Context) -> Message:
            client, _, adapters = self.receive("evaluate", message)
            return reply(message, MetricRecord({
                EXAMPLES: self.sizes[client][1],
                "validation_loss": self.losses_of(client, adapters)[0]}))

        @app.evaluate("rank")
        def rank(message: Message, context: Context) -> Message:
            client, _, adapters = self.receive("rank", message)
            return reply(message, MetricRecord({EXAMPLES: self.sizes[client][1],
                                                "losses": self.losses_of(client, adapters)}))

        return app

    def held(self, context: Context) -> list[str]:
        """Return the clients of a SuperNode: every n-th of them."""
        place = context.node_config
        return list(self.sizes)[int(place["partition-id"])::int(place["num-partitions"])]

    def receive(self, kind: str, message: Message) -> tuple[str, int, dict[int, np.ndarray]]:
        """Note and unpack a message; fail where the client is told to."""
        client = str(message.content.config_records[ENVELOPE]["client-id"])
        arrays = message.content.array_records[ARRAYS]
        # The names of another strategy's arrays may be anything; here they are always ours.
        adapters = from_arrays(arrays)
        server_round = int(message.content.config_records[CONFIG]["server-round"])
        self.seen.append(Seen(kind, server_round, client, tuple(adapters)))
        if client in self.failing:
            raise RuntimeError(f"{client} was told to fail")
        return client, server_round, adapters

    def losses_of(self, client: str, adapters: Mapping[int, np.ndarray]) -> list[float]:
        """Return the losses given for the client, or distances to its point."""
        if client in self.losses:
            return [self.losses[client][index] for index in adapters]
        target = generator(0, "target", client).normal(size=WIDTH)
        return [float(np.linalg.norm(adapter - target)) for adapter in adapters.values()]

    def grid(self, inner: type[LocalGrid] = LocalGrid) -> ClientGrid:
        """Call the roll and return the grid of clients."""
        local = inner(self.app(), self.supernodes, {})
        return ClientGrid(local, call_roll(local, sorted(self.sizes), timeout=1.0))


class Reversed(LocalGrid):
    """Replies arrive in the opposite order."""

    def send_and_receive(self, messages: Iterable[Message], *,
                         timeout: float | None = None) -> list[Message]:
        """Deliver in order, return in reverse."""
        return super().send_and_receive(messages, timeout=timeout)[::-1]


def clients(count: int, train: int = 10) -> dict[str, Sizes]:
    """Return c0, c1, … with `train`, `train` + 1, … training pairs, 4 validation, 5 test."""
    return {f"c{i}": (train + i, 4, 5) for i in range(count)}


def client_list(toy: Mapping[str, Sizes]) -> list[Client]:
    """Return the clients as a roll call on one SuperNode would."""
    return [Client(name, 1, *toy[name], *toy[name]) for name in sorted(toy)]


def vector(*values: float) -> np.ndarray:
    """Return a float32 adapter."""
    return np.array(values, np.float32)


def bank(count: int) -> dict[int, np.ndarray]:
    """Return adapters that differ: selector u is filled with u."""
    return {u: np.full(WIDTH, u, np.float32) for u in range(count)}


def settings(rounds: int, per_round: int = 4, **others: object) -> schema.Rounds:
    """Return the configuration of the federated stage."""
    return schema.Rounds(rounds=rounds, clients_per_round=per_round, **others)  # type: ignore[arg-type]


__all__ = ["METRICS", "WIDTH", "Reversed", "Seen", "Toy", "bank", "client_list", "clients",
           "noisy", "settings", "vector"]
