"""A Flower grid that waits for SuperNodes which are killed and started again.

Flower hands a message to a SuperNode once. Of a SuperNode that dies with it, the server hears an
error (nobody sent a heartbeat), or nothing at all where the SuperNode was back in time. A
client's answer depends on the message alone, so the same message sent again gets the same answer.
"""

import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from flwr.app import ConfigRecord, Error, Message, RecordDict
from flwr.serverapp import Grid

from fedrlhf.federation.flower_internals import NODE_UNAVAILABLE, activations
from fedrlhf.federation.messages import ENVELOPE, ROLL_CALL, source_hash
from fedrlhf.federation.request_grid import WrappingGrid

_ROLL_CALL_TIME = 120.0  # seconds for a new SuperNode to say whom it holds


@dataclass
class _Sent:
    """A message on its way.

    Attributes:
        message: As it was asked for.
        node: The SuperNode it went to.
        activated: When that SuperNode was started, as the SuperLink says.
        gone: When it was last found to be away.
        error: The answer if it never comes back.
    """

    message: Message
    node: int
    activated: str | None = None
    gone: float = 0.0
    error: Message | None = None

    @property
    def client_id(self) -> str:
        """The client that is asked; "" in a roll call, which asks a SuperNode."""
        return str(self.message.content.config_records[ENVELOPE]["client-id"])


@dataclass
class ReturningGrid(WrappingGrid):
    """Sends a message again to a SuperNode that came back, under its old node id or a new one.

    A SuperNode that authenticates by a key keeps its node id; another gets a new one, and is asked
    whom it holds.

    Attributes:
        inner: Flower's grid.
        patience: Seconds to wait for a SuperNode that is away.
        poll: Seconds between two looks for answers.
        clock: Monotonic seconds.
        sleep: Waits for a number of seconds.
    """

    inner: Grid
    patience: float
    poll: float = 1.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _homes: dict[str, int] = field(default_factory=dict)
    _known: set[int] = field(default_factory=set)

    def get_node_ids(self) -> Iterable[int]:
        """Return the SuperNodes that are there."""
        return self.inner.get_node_ids()

    def send_and_receive(self, messages: Iterable[Message], *,
                         timeout: float | None = None) -> list[Message]:
        """Send messages, again where a SuperNode came back, and return the replies so far.

        Args:
            messages: Each with our envelope.
            timeout: Seconds to wait in all; None: for ever.
        """
        deadline = self.clock() + (float("inf") if timeout is None else timeout)
        waiting = [_sent(message, self._homes) for message in messages]
        nodes = activations(self.inner)
        self._known |= {sent.node for sent in waiting} | set(nodes)
        away: list[_Sent] = []
        replies: list[Message] = []
        flying = self._push(waiting, away, nodes, deadline)
        while True:
            replies += self._pull(flying, away)
            nodes = activations(self.inner)
            restarted = [key for key, sent in flying.items()
                         if nodes.get(sent.node, sent.activated) != sent.activated]
            again = [flying.pop(key) for key in restarted]
            if away:
                self._ask_new_nodes(nodes)
                again += self._returned(away, nodes)
                replies += self._given_up(away)
            flying |= self._push(again, away, nodes, deadline)
            if not (flying or away) or self.clock() >= deadline:
                return replies
            self.sleep(self.poll)

    def _push(self, waiting: Sequence[_Sent], away: list[_Sent], nodes: dict[int, str],
              deadline: float) -> dict[str, _Sent]:
        """Send messages; return them by the id under which they travel.

        Those that the SuperLink does not take, because their SuperNode left it, are put in `away`.
        """
        if not waiting:
            return {}
        keys = self.inner.push_messages([_copy(sent, deadline - self.clock()) for sent in waiting])
        flying = {}
        for key, sent in zip(keys, waiting, strict=True):
            sent.activated = nodes.get(sent.node)
            if key:
                flying[key] = sent
            else:
                self._miss(sent, away, Error(NODE_UNAVAILABLE, "its SuperNode left the SuperLink"))
        return flying

    def _pull(self, flying: dict[str, _Sent], away: list[_Sent]) -> list[Message]:
        """Take answers in; a message whose SuperNode is away moves from `flying` to `away`."""
        replies = []
        for reply in self.inner.pull_messages(list(flying)) if flying else ():
            sent = flying.pop(reply.metadata.reply_to_message_id)
            if sent.client_id and reply.has_error() and reply.error.code == NODE_UNAVAILABLE:
                self._miss(sent, away, reply.error)
            else:
                replies.append(Message(reply.error if reply.has_error() else reply.content,
                                       reply_to=sent.message))
        return replies

    def _miss(self, sent: _Sent, away: list[_Sent], error: Error) -> None:
        sent.gone, sent.error = self.clock(), Message(error, reply_to=sent.message)
        away.append(sent)

    def _ask_new_nodes(self, nodes: dict[int, str]) -> None:
        """Ask SuperNodes that nobody asked yet whom they hold: one of them may be back as new."""
        new = sorted(set(nodes) - self._known)
        if not new:
            return
        question = ConfigRecord({"client-id": "", "source": source_hash(), "layout": ""})
        for reply in self.send_and_receive(
                [Message(RecordDict({ENVELOPE: question}), node, ROLL_CALL, ttl=_ROLL_CALL_TIME)
                 for node in new], timeout=_ROLL_CALL_TIME):
            if not reply.has_error():
                held = reply.content.config_records[ENVELOPE]["client-ids"]
                for client_id in held:  # type: ignore[union-attr]
                    self._homes[str(client_id)] = reply.metadata.src_node_id

    def _returned(self, away: list[_Sent], nodes: dict[int, str]) -> list[_Sent]:
        """Take out the messages whose SuperNode is there again."""
        back = []
        for sent in list(away):
            home = self._homes.get(sent.client_id, sent.node)
            if home in nodes:
                sent.node = home
                away.remove(sent)
                back.append(sent)
        return back

    def _given_up(self, away: list[_Sent]) -> list[Message]:
        """Take out the messages whose SuperNode stayed away too long; return their errors."""
        errors = []
        for sent in list(away):
            if sent.error is not None and self.clock() - sent.gone >= self.patience:
                away.remove(sent)
                errors.append(sent.error)
        return errors



def _sent(message: Message, homes: dict[str, int]) -> _Sent:
    """Address a message to where its client was last found; give it an id to reply to."""
    message.metadata.__dict__["_message_id"] = str(uuid.uuid4())
    sent = _Sent(message, message.metadata.dst_node_id)
    sent.node = homes.get(sent.client_id, sent.node)
    return sent


def _copy(sent: _Sent, left: float) -> Message:
    """Return the message as it travels, so that each time it has an id of its own."""
    asked = sent.message
    return Message(asked.content, sent.node, asked.metadata.message_type,
                   ttl=max(1.0, min(left, asked.metadata.ttl)), group_id=asked.metadata.group_id)
