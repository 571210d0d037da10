"""SuperNodes that die and come back: what is sent again, to whom, and when it is given up.

The grid below is real but for its wire: a SuperLink in memory with a clock that the test moves.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pytest
from flwr.app import ConfigRecord, Error, Message, RecordDict
from flwr.proto.node_pb2 import NodeInfo
from toy_federation import WIDTH

from fedrlhf.federation.flower_internals import NODE_UNAVAILABLE, server_identity
from fedrlhf.federation.messages import ENVELOPE, ROLL_CALL, envelope
from fedrlhf.federation.returning_grid import ReturningGrid

_CLIENT_ERROR = 2


@dataclass
class SuperLink:
    """Hands each message out once and says who is there; `events` change it at given seconds."""

    nodes: dict[int, str]  # online: node id and when it was started
    holds: dict[int, list[str]]
    working: set[int]  # SuperNodes that answer
    events: dict[float, list[tuple[str, int]]] = field(default_factory=dict)
    time: float = 0.0
    sent: list[tuple[float, int, str]] = field(default_factory=list)
    open: dict[str, Message] = field(default_factory=dict)

    def clock(self) -> float:
        """Return the seconds since the beginning."""
        return self.time

    def sleep(self, seconds: float) -> None:
        """Let time pass and happen what is due."""
        self.time += seconds
        for due in [moment for moment in self.events if moment <= self.time]:
            for what, node in self.events.pop(due):
                getattr(self, what)(node)

    def die(self, node: int) -> None:
        """End a SuperNode without a word; the SuperLink believes in it still."""
        self.working.discard(node)

    def notice(self, node: int) -> None:
        """Let the SuperLink miss its heartbeats."""
        self.nodes.pop(node, None)

    def start(self, node: int) -> None:
        """Start it, again or for the first time."""
        self.nodes[node] = f"at {self.time}"
        self.working.add(node)

    def get_nodes(self) -> list[NodeInfo]:
        """Return the SuperNodes whose heartbeats it hears."""
        return [NodeInfo(node_id=node, last_activated_at=at) for node, at in self.nodes.items()]

    def push_messages(self, messages: Iterable[Message]) -> list[str | None]:
        """Take messages; None for a SuperNode that it has never heard of."""
        keys: list[str | None] = []
        for message in messages:
            node = message.metadata.dst_node_id
            key = f"message {len(self.sent)}"
            self.sent.append((self.time, node, str(
                message.content.config_records[ENVELOPE]["client-id"])))
            message.metadata.__dict__["_message_id"] = key
            keys.append(key if node in self.holds else None)
            if node in self.working:  # it takes the message and answers in the next second
                self.open[key] = message
            elif node in self.holds:
                self.open[key] = message
        return keys

    def pull_messages(self, keys: Iterable[str]) -> list[Message]:
        """Return replies of SuperNodes that took the message, and errors for those away."""
        replies = []
        for key in keys:
            message = self.open[key]
            node = message.metadata.dst_node_id
            if node not in self.nodes:
                replies.append(Message(Error(NODE_UNAVAILABLE, "no heartbeat"), reply_to=message))
            elif node in self.working and self.took(key, node) and self.time > self._when(key):
                replies.append(Message(RecordDict({ENVELOPE: ConfigRecord(
                    {"client-ids": self.holds[node]})}), reply_to=message))
        return replies

    def took(self, key: str, node: int) -> bool:
        """Say whether the SuperNode that runs at present is the one that took the message."""
        started = self.nodes[node].removeprefix("at ")
        return float(started) <= self._when(key)

    def _when(self, key: str) -> float:
        return self.sent[int(key.split()[1])][0]


@pytest.fixture(autouse=True)
def identity() -> Iterator[None]:
    """Let `Message(...)` work outside the processes that Flower starts."""
    with server_identity():
        yield


def question(client: str, node: int, kind: str = "train") -> Message:
    """Return a message to a client."""
    return Message(RecordDict({ENVELOPE: envelope(client, "x" * WIDTH)}), node, kind, ttl=900.0)


def ask(link: SuperLink, asked: list[Message], patience: float = 60,
        timeout: float | None = 600) -> tuple[ReturningGrid, list[Message]]:
    """Send messages through the grid; return it and the replies, in the order of `asked`."""
    grid = ReturningGrid(link, patience, 1.0, link.clock, link.sleep)  # type: ignore[arg-type]
    order = {id(message): place for place, message in enumerate(asked)}
    replies = grid.send_and_receive(asked, timeout=timeout)
    ids = {message.metadata.message_id: order[id(message)] for message in asked}
    return grid, sorted(replies, key=lambda reply: ids[reply.metadata.reply_to_message_id])


def two() -> SuperLink:
    """Return a SuperLink with two SuperNodes that hold ann and bob."""
    return SuperLink({1: "at 0", 2: "at 0"}, {1: ["ann"], 2: ["bob"]}, {1, 2})


def test_nobody_dies() -> None:
    """Each message goes out once; replies belong to the messages that were asked."""
    link = two()
    asked = [question("bob", 2), question("ann", 1)]
    _, replies = ask(link, asked)
    assert link.sent == [(0, 2, "bob"), (0, 1, "ann")]
    assert [r.metadata.reply_to_message_id for r in replies] == [
        m.metadata.message_id for m in asked]
    assert [reply.metadata.src_node_id for reply in replies] == [2, 1]


def test_killed_noticed_and_started_again() -> None:
    """Bob dies, 20 s later the SuperLink knows, at 30 s he is back: asked again and answered.

    Ann is asked once.
    """
    link = two()
    link.working.discard(2)
    link.events = {20: [("notice", 2)], 30: [("start", 2)]}
    _, replies = ask(link, [question("ann", 1), question("bob", 2)])
    assert link.sent == [(0, 1, "ann"), (0, 2, "bob"), (30, 2, "bob")]
    assert not any(reply.has_error() for reply in replies)


def test_back_before_anybody_noticed() -> None:
    """Started again between two looks, so that no error is ever made: the start time betrays it."""
    link = two()
    link.working.discard(2)
    link.events = {5: [("start", 2)]}
    _, replies = ask(link, [question("bob", 2)])
    assert link.sent == [(0, 2, "bob"), (5, 2, "bob")]
    assert not replies[0].has_error()


def test_back_under_a_new_node_id() -> None:
    """Without keys a SuperNode is new each time: 7 is asked whom it holds, then gets bob's message.

    The next message to bob goes to 7 at once.
    """
    link = two()
    link.holds[7] = ["bob"]
    link.working.discard(2)
    link.events = {10: [("notice", 2)], 40: [("start", 7)]}
    grid, replies = ask(link, [question("bob", 2)])
    assert [(node, client) for _, node, client in link.sent] == [(2, "bob"), (7, ""), (7, "bob")]
    assert not replies[0].has_error()
    assert replies[0].metadata.src_node_id == 2
    grid.send_and_receive([question("bob", 2)], timeout=10)
    assert link.sent[-1][1:] == (7, "bob")


def test_given_up() -> None:
    """Away from 10 s on with a patience of 60 s: the error is returned at 70 s, ann's reply too."""
    link = two()
    link.working.discard(2)
    link.events = {10: [("notice", 2)]}
    _, replies = ask(link, [question("ann", 1), question("bob", 2)])
    assert [reply.has_error() for reply in replies] == [False, True]
    assert replies[1].error.code == NODE_UNAVAILABLE
    assert link.time == 70


def test_the_time_is_up_first() -> None:
    """A client that works for ever is left out at the timeout, without a reply."""
    link = two()
    link.working.discard(2)
    _, replies = ask(link, [question("ann", 1), question("bob", 2)], timeout=25)
    assert [reply.metadata.src_node_id for reply in replies] == [1]
    assert link.time == 25


def test_a_supernode_that_left_the_superlink() -> None:
    """The SuperLink takes no message for it: it counts as away, not as an error of ours."""
    link = two()
    del link.holds[2], link.nodes[2]
    _, replies = ask(link, [question("bob", 2)], patience=5)
    assert replies[0].has_error() and link.time == 5


def test_a_roll_call_does_not_wait_for_one_that_is_away() -> None:
    """It asks a SuperNode, not a client: the error comes back as soon as the SuperLink knows."""
    link = two()
    link.working.discard(2)
    link.events = {10: [("notice", 2)]}
    _, replies = ask(link, [question("", 1, ROLL_CALL), question("", 2, ROLL_CALL)])
    assert [reply.has_error() for reply in replies] == [False, True]
    assert link.time == 10
