"""A Flower Grid whose nodes are clients.

Flower's node ids are random in each run and a SuperNode may hold several shards. Strategies see
neither: here node n is the n-th client in the order of client ids, so that cohorts, sums and
groups are the same in every run and on either engine.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Error, Message, RecordDict
from flwr.serverapp import Grid

from fedrlhf.errors import RunFailed
from fedrlhf.federation.flower_internals import NODE_UNAVAILABLE
from fedrlhf.federation.messages import (
    ENVELOPE,
    REFERENCE,
    ROLL_CALL,
    envelope,
    number_bytes,
    source_hash,
    tensor_bytes,
    text_bytes,
)
from fedrlhf.federation.request_grid import WrappingGrid

_NO_REPLY = 900  # our own error code
_COUNTED = ("train", "validation", "test", "train-pairs", "validation-pairs", "test-pairs")
_POLL = 1.0  # seconds between two looks for SuperNodes that are not there yet


@dataclass(frozen=True)
class Client:
    """A client that answered the roll call: where it is and how many preferences it has.

    The numbers of pairs are parts of the others; the rest are ratings of single completions.
    """

    client_id: str
    supernode: int
    train: int
    validation: int
    test: int
    train_pairs: int
    validation_pairs: int
    test_pairs: int

    @property
    def test_ratings(self) -> int:
        """How many ratings of single completions it holds out."""
        return self.test - self.test_pairs

    def with_pairs_only(self) -> "Client":
        """Return what the client is to an objective that learns from nothing but pairs."""
        return replace(self, train=self.train_pairs, validation=self.validation_pairs)


@dataclass
class Cost:
    """What one kind of message has cost: bytes of tensors, numbers and texts, seconds, messages."""

    down: int = 0
    up: int = 0
    seconds: float = 0.0
    messages: int = 0
    failures: int = 0


@dataclass
class ClientGrid(WrappingGrid):
    """Sends messages to clients by number and counts what they cost.

    Attributes:
        inner: Flower's grid, or the local one.
        clients: All clients in the order of their ids; client i is node i + 1.
        layout: Digest of the adapter's layout, sent along so that a client can refuse another.
        memory: Under which key clients keep what they send to nobody; another one for each
            federation.
        reference: The reference policy's adapter for every client; None: the base model.
        cohort: The nodes that strategies see at present.
        costs: What each message type has cost so far.
    """

    inner: Grid
    clients: Sequence[Client]
    layout: str = ""
    timeout: float = 3600.0
    memory: str = ""
    reference: ArrayRecord | None = None
    cohort: list[int] = field(default_factory=list)
    costs: dict[str, Cost] = field(default_factory=dict)

    @property
    def nodes(self) -> list[int]:
        """All nodes, in the order of client ids."""
        return list(range(1, len(self.clients) + 1))

    def client(self, node: int) -> Client:
        """Return the client behind a node."""
        return self.clients[node - 1]

    def weight(self, node: int, weights: str) -> float:
        """Return p_m: 1/M (``uniform``) or the client's share of all training pairs (``size``)."""
        training = [client.train for client in self.clients if client.train]
        if weights == "uniform":
            return 1.0 / len(training)
        return self.client(node).train / sum(training)

    def get_node_ids(self) -> list[int]:
        """Return the cohort."""
        return list(self.cohort)

    def send_and_receive(self, messages: Iterable[Message], *,
                         timeout: float | None = None) -> list[Message]:
        """Send messages to clients and return one reply for each, in the order of client ids.

        A client that does not answer in time gets an error reply, so nobody is lost silently.
        """
        asked = sorted(messages, key=lambda message: message.metadata.dst_node_id)
        limit = self.timeout if timeout is None else timeout
        sent = [self._addressed(message, limit) for message in asked]
        started = time.perf_counter()
        received = {reply.metadata.reply_to_message_id: reply
                    for reply in self.inner.send_and_receive(sent, timeout=limit)}
        replies = [_from_client(received.get(wire.metadata.message_id), message, limit)
                   for wire, message in zip(sent, asked, strict=True)]
        self._count(sent, replies, time.perf_counter() - started)
        return replies

    def _addressed(self, message: Message, ttl: float) -> Message:
        client = self.client(message.metadata.dst_node_id)
        content = RecordDict({**message.content, ENVELOPE: envelope(
            client.client_id, self.layout, self.memory)})
        if self.reference is not None:
            content[REFERENCE] = self.reference
        return Message(content, client.supernode, message.metadata.message_type, ttl=ttl,
                       group_id=message.metadata.group_id)

    def _count(self, sent: Sequence[Message], replies: Sequence[Message], seconds: float) -> None:
        if not sent:
            return
        cost = self.costs.setdefault(sent[0].metadata.message_type, Cost())
        cost.messages += len(sent)
        cost.seconds += seconds
        cost.down += sum(tensor_bytes(message.content) + text_bytes(message.content)
                         for message in sent)
        for reply in replies:
            if reply.has_error():
                cost.failures += 1
            else:
                cost.up += tensor_bytes(reply.content) + number_bytes(reply.content)



def _from_client(reply: Message | None, asked: Message, limit: float) -> Message:
    """Re-address a SuperNode's reply, so that it comes from the client's own node."""
    if reply is None:
        return Message(Error(_NO_REPLY, f"no reply within {limit:g} s"), reply_to=asked)
    if reply.has_error():
        return Message(reply.error, reply_to=asked)
    return Message(reply.content, reply_to=asked)


def call_roll(inner: Grid, expected: Sequence[str], timeout: float) -> list[Client]:
    """Ask every SuperNode which clients it holds, until all expected ones have answered.

    Raises:
        RunFailed: Clients are missing at the end of the time, or two nodes hold the same one.
    """
    deadline = time.monotonic() + timeout
    found: dict[str, Client] = {}
    heard: set[int] = set()
    failures: dict[int, str] = {}
    while True:
        new = sorted(set(inner.get_node_ids()) - heard)
        for reply in _ask(inner, new, max(1.0, deadline - time.monotonic())):
            node = reply.metadata.src_node_id
            heard.add(node)
            if reply.has_error() and reply.error.code == NODE_UNAVAILABLE:
                heard.discard(node)  # killed a moment ago; it may come back
                continue
            if reply.has_error():
                failures[node] = reply.error.reason or ""
                continue
            _register(reply, found)
        missing = sorted(set(expected) - set(found))
        if not missing:
            return [found[name] for name in sorted(found) if name in set(expected)]
        if failures or time.monotonic() > deadline:
            raise RunFailed(_roll_call_failure(missing, failures, len(heard), timeout))
        time.sleep(_POLL)


def _ask(inner: Grid, nodes: Sequence[int], timeout: float) -> Iterable[Message]:
    if not nodes:
        return []
    question = ConfigRecord({"client-id": "", "source": source_hash(), "layout": ""})
    return inner.send_and_receive(
        [Message(RecordDict({ENVELOPE: question}), node, ROLL_CALL, ttl=timeout) for node in nodes],
        timeout=timeout)


def _register(reply: Message, found: dict[str, Client]) -> None:
    answer: Mapping[str, Any] = reply.content.config_records[ENVELOPE]
    for index, name in enumerate(answer["client-ids"]):
        node = reply.metadata.src_node_id
        if name in found and found[name].supernode != node:
            raise RunFailed(f"client {name!r} is held by two SuperNodes; give each its own shard")
        found[name] = Client(name, node, *(int(answer[kind][index]) for kind in _COUNTED))


def _roll_call_failure(missing: Sequence[str], failures: dict[int, str], heard: int,
                       timeout: float) -> str:
    text = (f"{len(missing)} clients are missing after the roll call of {heard} SuperNodes "
            f"(waited at most {timeout:g} s): {', '.join(missing[:5])}"
            f"{' …' if len(missing) > 5 else ''}")
    if failures:
        return f"{text}. A node answered with an error: {_last_line(next(iter(failures.values())))}"
    return (f"{text}. Their SuperNodes are not running, not registered, or hold shards of other "
            "client ids")


def _last_line(reason: str) -> str:
    lines = [line.strip() for line in reason.splitlines() if line.strip()]
    return lines[-1] if lines else "unknown"
