"""Nodes that are clients: numbering, addressing, errors, cost and the roll call."""

from collections.abc import Iterable

import numpy as np
import pytest
from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from toy_federation import Toy, clients

from fedrlhf.errors import RunFailed
from fedrlhf.federation.client_grid import ClientGrid, call_roll
from fedrlhf.federation.local_grid import LocalGrid
from fedrlhf.federation.messages import ARRAYS, CONFIG, METRICS, RANK, from_arrays, to_arrays


def question(node: int, kind: str = "train", width: int = 4) -> Message:
    """Return a message of a strategy to a node, with one selector of `width` values."""
    return Message(RecordDict({ARRAYS: to_arrays({0: np.zeros(width, np.float32)}),
                               CONFIG: ConfigRecord({"server-round": 1})}), node, kind)


def test_nodes_are_clients_in_the_order_of_their_ids() -> None:
    """Five clients on two SuperNodes, given in another order: node 1 is "a", wherever it is."""
    toy = Toy({"e": (1, 1, 1), "b": (2, 1, 1), "a": (3, 1, 1), "d": (4, 1, 1), "c": (5, 1, 1)},
              supernodes=2)
    grid = toy.grid()
    assert grid.nodes == [1, 2, 3, 4, 5]
    assert [grid.client(node).client_id for node in grid.nodes] == ["a", "b", "c", "d", "e"]
    assert [grid.client(node).train for node in grid.nodes] == [3, 2, 5, 4, 1]
    # Node 1 of the local grid holds e, a, c; node 2 holds b, d.
    assert [grid.client(node).supernode for node in grid.nodes] == [1, 2, 1, 2, 1]


def test_strategies_see_the_cohort() -> None:
    """`get_node_ids` is what a strategy samples from; its list is its own."""
    grid = Toy(clients(3)).grid()
    grid.cohort = [1, 3]
    assert grid.get_node_ids() == [1, 3]
    grid.get_node_ids().append(2)
    assert grid.cohort == [1, 3]


def test_weights() -> None:
    """10, 11 and 0 pairs: uniform 1/2 over those who can train; by size 10/21, 11/21, 0."""
    grid = Toy({"a": (10, 4, 5), "b": (11, 4, 5), "c": (0, 4, 5)}).grid()
    assert [grid.weight(node, "uniform") for node in (1, 2)] == [0.5, 0.5]
    assert [grid.weight(node, "size") for node in (1, 2, 3)] == [10 / 21, 11 / 21, 0]


def test_replies_come_from_the_clients_nodes_in_order() -> None:
    """Asked in the order 3, 1, 2, several on one SuperNode: one reply each, sorted by node."""
    toy = Toy(clients(3), trained=lambda name, _, adapter: adapter + int(name[1:]))
    grid = toy.grid()
    replies = grid.send_and_receive([question(node) for node in (3, 1, 2)])
    assert [reply.metadata.src_node_id for reply in replies] == [1, 2, 3]
    for index, reply in enumerate(replies):
        np.testing.assert_array_equal(from_arrays(reply.content.array_records[ARRAYS])[0], index)
    assert [seen.client for seen in toy.seen] == ["c0", "c1", "c2"]


def test_what_a_client_changes_stays_with_it() -> None:
    """A ClientApp that empties its message does not reach the server's records."""
    app = ClientApp()

    @app.train()
    def empty(message: Message, context: Context) -> Message:
        for record in message.content.array_records.values():
            record.clear()
        message.content.clear()
        return Message(RecordDict(), reply_to=message)

    asked = question(1)
    LocalGrid(app, 1, {}).send_and_receive([asked])
    assert list(from_arrays(asked.content.array_records[ARRAYS])) == [0]


class Losing(LocalGrid):
    """Loses the reply of the second message; adds one that nobody asked for."""

    def send_and_receive(self, messages: Iterable[Message], *,
                         timeout: float | None = None) -> list[Message]:
        """Deliver, lose, add."""
        replies = super().send_and_receive(messages, timeout=timeout)
        if len(replies) < 2:
            return replies
        stray = super().send_and_receive([question(1, width=9)], timeout=timeout) if (
            replies[0].metadata.message_type == "train") else []
        return [replies[0], *replies[2:], *stray]


def test_a_client_that_does_not_answer_is_not_lost() -> None:
    """It gets an error reply from its own node that says how long was waited."""
    grid = Toy(clients(3)).grid(Losing)
    grid.timeout = 2.0
    replies = grid.send_and_receive([question(node) for node in (1, 2, 3)])
    assert [reply.metadata.src_node_id for reply in replies] == [1, 2, 3]
    assert [reply.has_error() for reply in replies] == [False, True, False]
    assert replies[1].error.reason == "no reply within 2 s"
    assert (grid.costs["train"].failures, grid.costs["train"].messages) == (1, 3)


def test_a_client_that_raises_becomes_an_error_reply() -> None:
    """Its error is its own; the others' replies arrive."""
    grid = Toy(clients(3), failing={"c1"}).grid()
    replies = grid.send_and_receive([question(node) for node in (1, 2, 3)])
    assert [reply.has_error() for reply in replies] == [False, True, False]
    assert replies[1].error.reason == "RuntimeError: c1 was told to fail"
    assert replies[1].metadata.src_node_id == 2


def test_costs_by_hand() -> None:
    """Two train messages of 4 float32 values: 32 bytes down; one fails, so up comes one adapter
    of 16 bytes and three numbers of 8: 40. A ranking of one selector: 16 down; one number and one
    loss up: 16 bytes.
    """
    grid = Toy(clients(2), failing=set()).grid()
    toy_failing = Toy(clients(2), failing={"c1"}).grid()
    toy_failing.send_and_receive([question(1), question(2)])
    cost = toy_failing.costs["train"]
    assert (cost.down, cost.up, cost.messages, cost.failures) == (32, 40, 2, 1)
    assert cost.seconds > 0
    grid.send_and_receive([question(1, RANK)])
    cost = grid.costs[RANK]
    assert (cost.down, cost.up, cost.messages, cost.failures) == (16, 16, 1, 0)
    grid.send_and_receive([question(2, RANK)])
    assert (cost.down, cost.up, cost.messages) == (32, 32, 2)


def test_no_messages_cost_nothing() -> None:
    """An empty round has no entry."""
    grid = Toy(clients(2)).grid()
    assert grid.send_and_receive([]) == [] and grid.costs == {}


def test_other_ways_are_refused() -> None:
    """They would pass by names, costs and order."""
    grid = Toy(clients(2)).grid()
    for refused in (lambda: grid.push_messages([]), lambda: grid.pull_messages([]),
                    grid.create_message, lambda: grid.inner.push_messages([]),
                    lambda: grid.inner.pull_messages([]), grid.inner.create_message):
        with pytest.raises(NotImplementedError):
            refused()


# ------------------------------------------------------------------------------------- roll call


def test_only_expected_clients_are_taken() -> None:
    """Three answer, two are expected, sorted by id whatever the order of the question."""
    toy = Toy(clients(3), supernodes=3)
    found = call_roll(LocalGrid(toy.app(), 3, {}), ["c2", "c0"], timeout=1)
    assert [(client.client_id, client.supernode) for client in found] == [("c0", 1), ("c2", 3)]
    assert (found[1].train, found[1].validation, found[1].test) == (12, 4, 5)


def test_a_missing_client_is_named() -> None:
    """After the time has passed the run fails with its name."""
    toy = Toy(clients(2))
    with pytest.raises(RunFailed, match=r"1 clients are missing after the roll call of 1 SuperNodes"
                                        r" \(waited at most 0.1 s\): zoe"):
        call_roll(LocalGrid(toy.app(), 1, {}), ["c0", "c1", "zoe"], timeout=0.1)


def test_a_client_on_two_nodes_is_refused() -> None:
    """Two SuperNodes that hold the same shard would count it twice."""
    class Both(Toy):
        def held(self, context: object) -> list[str]:
            return list(self.sizes)

    toy = Both(clients(2), supernodes=2)
    with pytest.raises(RunFailed, match="client 'c0' is held by two SuperNodes"):
        call_roll(LocalGrid(toy.app(), 2, {}), ["c0", "c1"], timeout=1)


def test_a_node_that_fails_is_quoted() -> None:
    """What the node said is in the message, so that nobody has to look for its log."""
    class Broken(Toy):
        def held(self, context: object) -> list[str]:
            raise ValueError("no shard here")

    toy = Broken(clients(2))
    with pytest.raises(RunFailed, match="answered with an error: ValueError: no shard here"):
        call_roll(LocalGrid(toy.app(), 1, {}), ["c0"], timeout=1)


class Late(LocalGrid):
    """Its second node appears after the first question."""

    asked = 0

    def get_node_ids(self) -> list[int]:
        """Return one node, later both."""
        self.asked += 1
        return [1] if self.asked == 1 else [1, 2]


def test_nodes_may_come_late() -> None:
    """The roll call goes on until everybody is there, and asks nobody twice."""
    toy = Toy(clients(2), supernodes=2)
    grid = Late(toy.app(), 2, {})
    assert [client.client_id for client in call_roll(grid, ["c0", "c1"], timeout=5)] == ["c0", "c1"]


def test_metrics_travel() -> None:
    """Numbers arrive under their names, lists as lists."""
    grid = Toy(clients(1), losses={"c0": [0.25]}).grid()
    assert isinstance(grid, ClientGrid)
    reply, = grid.send_and_receive([question(1, RANK)])
    assert dict(reply.content.metric_records[METRICS]) == {"num-examples": 4, "losses": [0.25]}
