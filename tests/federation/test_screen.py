"""What a strategy never sees, each with the reason that the run's record shows.

Flower's own strategies accept or die of most of these: NaN and inf spoil the model silently, a
broadcastable shape is added, a wrong shape or key and zero weights end the run, a negative weight
turns the update round, a huge one is the model.
"""

import io
import re

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Error, Message, MetricRecord, RecordDict
from hypothesis import given
from hypothesis import strategies as st
from toy_federation import client_list, vector

from fedrlhf.config import schema
from fedrlhf.federation.client_grid import ClientGrid
from fedrlhf.federation.local_grid import LocalGrid
from fedrlhf.federation.messages import ARRAYS, EXAMPLES, METRICS, to_arrays
from fedrlhf.federation.screen import Rejection, screen

START = vector(1, 2, 3, 4)


def grid_of(count: int) -> ClientGrid:
    """Return a grid of clients with 10 training pairs each, of which none is ever asked."""
    sizes = {f"c{i}": (10, 4, 5) for i in range(count)}
    return ClientGrid(LocalGrid(lambda message, context: message, 1, {}),  # type: ignore[arg-type]
                      client_list(sizes))


def ask(node: int) -> Message:
    """Return the round's message to a client: selector 0."""
    return Message(RecordDict({ARRAYS: to_arrays({0: START})}), node, "train")


def good(step: float = 0.1, count: float = 10) -> RecordDict:
    """Return an honest reply: each value moved by `step`, so that its norm is 2 `step`."""
    return RecordDict({ARRAYS: to_arrays({0: START + np.float32(step)}),
                       METRICS: MetricRecord({EXAMPLES: count, "train_loss": 0.7})})


def screened(*contents: RecordDict | Error, rules: schema.Screen | None = None,
             ) -> tuple[list[int], list[Rejection]]:
    """Screen one reply for each client; return the nodes of those that passed."""
    asked = [ask(node + 1) for node in range(len(contents))]
    replies = [Message(content, reply_to=message)
               for content, message in zip(contents, asked, strict=True)]
    passed, rejected = screen(asked, replies, grid_of(len(contents)), rules or schema.Screen())
    return [reply.metadata.src_node_id for reply in passed], rejected


def arrays(values: object, key: str = "selector_0") -> ArrayRecord:
    """Return a record of one array."""
    return ArrayRecord({key: Array(np.asarray(values))})


def lying(declared: tuple[int, ...], dtype: str, values: np.ndarray) -> ArrayRecord:
    """Return an array whose header says one shape and dtype and whose bytes hold another."""
    return ArrayRecord({"selector_0": Array(dtype=dtype, shape=declared, stype="numpy.ndarray",
                                            data=Array(values).data)})


def broken(data: bytes) -> ArrayRecord:
    """Return an array of bytes that are no array."""
    return ArrayRecord({"selector_0": Array(dtype="float32", shape=(4,), stype="numpy.ndarray",
                                            data=data)})


def pickled() -> bytes:
    """Return an array of objects, which only a pickle can hold."""
    file = io.BytesIO()
    np.save(file, np.array([{}, {}, {}, {}]), allow_pickle=True)
    return file.getvalue()


def archive() -> bytes:
    """Return a zip of arrays, which numpy reads as another type."""
    file = io.BytesIO()
    np.savez(file, START)
    return file.getvalue()


FAULTS: dict[str, tuple[ArrayRecord, str]] = {
    "nan": (arrays(vector(1, np.nan, 3, 4)), "selector_0 holds values that are not finite"),
    "inf": (arrays(vector(1, 2, -np.inf, 4)), "selector_0 holds values that are not finite"),
    "broadcastable": (arrays(vector(5)), r"selector_0 has shape \(1,\), expected \(4,\)"),
    "scalar": (arrays(np.float32(5)), r"selector_0 has shape \(\), expected \(4,\)"),
    "column": (arrays(START[:, None]), r"selector_0 has shape \(4, 1\), expected \(4,\)"),
    "short": (arrays(START[:3]), r"selector_0 has shape \(3,\), expected \(4,\)"),
    "empty": (arrays(vector()), r"selector_0 has shape \(0,\), expected \(4,\)"),
    "float64": (arrays(START.astype(np.float64)), "selector_0 has dtype float64, expected float32"),
    "integers": (arrays(START.astype(np.int32)), "selector_0 has dtype int32, expected float32"),
    "other selector": (arrays(START, "selector_1"),
                       r"returned arrays \['selector_1'\], was sent \['selector_0'\]"),
    "further selector": (ArrayRecord({"selector_0": Array(START), "x": Array(START)}),
                         r"returned arrays \['selector_0', 'x'\], was sent \['selector_0'\]"),
    "no selector": (ArrayRecord(), r"returned arrays \[\], was sent \['selector_0'\]"),
    "lies about shape": (lying((4,), "float32", vector(5)), r"shape \(1,\), expected \(4,\)"),
    "lies about dtype": (lying((4,), "float32", START.astype(np.float64)), "dtype float64"),
    "lies about nan": (lying((4,), "float32", np.full(4, np.nan)), "selector_0 has dtype float64"),
    "no array": (broken(b"these bytes are no array"), "selector_0 cannot be read"),
    "no bytes": (broken(b""), "selector_0 cannot be read"),
    "a pickle": (broken(pickled()), "selector_0 cannot be read"),
    "an archive": (broken(archive()), "selector_0 cannot be read"),
}


@pytest.mark.parametrize(("record", "reason"), FAULTS.values(), ids=FAULTS)
def test_bad_arrays(record: ArrayRecord, reason: str) -> None:
    """Client c1 sends it between two honest ones: it alone is rejected, with the reason."""
    bad = good()
    bad[ARRAYS] = record
    passed, rejected = screened(good(), bad, good())
    assert passed == [1, 3] and [r.client_id for r in rejected] == ["c1"]
    assert re.search(reason, rejected[0].reason), rejected[0].reason


@pytest.mark.parametrize(("count", "reason"), [
    (0, "num-examples is 0, declared were 10"),
    (0.0, "num-examples is 0, declared were 10"),
    (-5, "num-examples is -5, declared were 10"),
    (11, "num-examples is 11, declared were 10"),
    (10**9, "num-examples is 1e+09, declared were 10"),
    (float("nan"), "num-examples is nan, expected a number"),
    (float("inf"), "num-examples is inf, expected a number"),
    ([10], "num-examples is [10], expected a number"),
])
def test_bad_counts(count: object, reason: str) -> None:
    """A weight of a mean must lie above 0 and within the pairs declared at the roll call."""
    bad = good()
    bad[METRICS] = MetricRecord({EXAMPLES: count, "train_loss": 0.7})  # type: ignore[dict-item]
    passed, rejected = screened(good(), bad, good())
    assert passed == [1, 3] and rejected == [Rejection("c1", reason)]


def test_a_missing_count() -> None:
    """A reply without a weight is no reply."""
    bad = good()
    bad[METRICS] = MetricRecord({"train_loss": 0.7})
    assert screened(bad)[1] == [Rejection("c0", "num-examples is None, expected a number")]


@pytest.mark.parametrize("left_out", [ARRAYS, METRICS])
def test_missing_records(left_out: str) -> None:
    """A reply without arrays or numbers is rejected, not an error of the server's."""
    bad = good()
    del bad[left_out]
    kept, = bad
    assert screened(good(), bad)[1] == [
        Rejection("c1", f"reply has records ['{kept}'], expected 'arrays' and 'metrics'")]


@pytest.mark.parametrize("more", [to_arrays({0: START}), MetricRecord({EXAMPLES: 1})])
def test_further_records(more: ArrayRecord | MetricRecord) -> None:
    """Flower's strategies would take the first record of a kind, or stop the run."""
    bad = good()
    bad["more"] = more
    passed, rejected = screened(good(), bad)
    assert passed == [1] and "expected 'arrays' and 'metrics'" in rejected[0].reason


@pytest.mark.parametrize(("metrics", "reason"), [
    ({"train_loss": float("nan")}, "train_loss is not finite"),
    ({"train_loss": [0.5, float("inf")]}, "train_loss is not finite"),
    ({}, "returned metrics ['num-examples'], other clients others"),
    ({"train_loss": 0.7, "x": 1}, "returned metrics ['num-examples', 'train_loss', 'x'], other"),
    ({"train_loss": [0.7, 0.7]}, "returned metrics ['num-examples', 'train_loss'], other clients"),
])
def test_bad_metrics(metrics: dict[str, float | list[float]], reason: str) -> None:
    """q-FedAvg weighs clients by their loss; Flower's others stop where metrics differ."""
    bad = good()
    bad[METRICS] = MetricRecord({EXAMPLES: 10, **metrics})
    passed, rejected = screened(bad, good(), good())
    assert passed == [2, 3] and rejected[0].reason.startswith(reason)


def test_error_replies() -> None:
    """The last line of a traceback is the reason; without one, the code."""
    passed, rejected = screened(Error(2, "Traceback\n  File x\n\nValueError: no memory\n"),
                                good(), Error(7, ""), good(), Error(8))
    assert passed == [2, 4]
    assert rejected == [Rejection("c0", "failed: ValueError: no memory"),
                        Rejection("c2", "failed: error code 7"),
                        Rejection("c4", "failed: error code 8")]


def test_an_inflated_update() -> None:
    """Norms 0.2, 0.2, 0.2, 20: the median is 0.2, and 20 is more than 10 times that."""
    passed, rejected = screened(good(), good(), good(), good(step=10))
    assert passed == [1, 2, 3]
    assert rejected == [Rejection("c3", "update norm 20 is more than 10 times the median")]


@pytest.mark.parametrize(("ratio", "count", "passes"), [(10, 3, False), (0, 3, True), (10, 2, True),
                                                        (200, 3, True)])
def test_when_the_norm_is_bound(ratio: float, count: int, passes: bool) -> None:
    """A bound of 0 is none, two updates have no honest median, 100 times is under 200 times."""
    contents = [good() for _ in range(count - 1)] + [good(step=10)]
    _, rejected = screened(*contents, rules=schema.Screen(max_norm_ratio=ratio))
    assert (rejected == []) == passes


def test_an_overflowing_update_is_inflated() -> None:
    """Each value is finite, but not its distance in float32: the norm is infinite, not NaN."""
    start = np.full(4, -3e38, np.float32)
    asked = [Message(RecordDict({ARRAYS: to_arrays({0: start})}), node, "train")
             for node in (1, 2, 3)]
    contents = [good(), good(), good()]
    for content, value in zip(contents, (start, start, -start), strict=True):
        content[ARRAYS] = to_arrays({0: value * np.float32(0.99)})
    replies = [Message(content, reply_to=message)
               for content, message in zip(contents, asked, strict=True)]
    with np.errstate(over="ignore"):
        passed, rejected = screen(asked, replies, grid_of(3), schema.Screen())
    assert len(passed) == 2 and [r.client_id for r in rejected] == ["c2"]


@given(order=st.permutations(range(4)))
def test_the_order_of_replies_does_not_matter(order: list[int]) -> None:
    """Whoever answers first, the same clients are rejected for the same reasons."""
    nan = good()
    nan[ARRAYS] = arrays(vector(1, 2, 3, np.nan))
    contents = [good(), nan, good(step=0.2), good(count=0)]
    asked = [ask(node) for node in (1, 2, 3, 4)]
    replies = [Message(content, reply_to=message)
               for content, message in zip(contents, asked, strict=True)]
    passed, rejected = screen(asked, [replies[i] for i in order], grid_of(4), schema.Screen())
    assert sorted(reply.metadata.src_node_id for reply in passed) == [1, 3]
    assert sorted(r.client_id for r in rejected) == ["c1", "c3"]


def test_a_client_may_return_one_of_several() -> None:
    """Clustering by choice: three selectors go down, the chosen one comes up."""
    message = Message(RecordDict({ARRAYS: to_arrays({u: START for u in range(3)})}), 1, "train")
    content = good()
    content[ARRAYS] = to_arrays({2: START + 1})
    passed, rejected = screen([message], [Message(content, reply_to=message)], grid_of(1),
                              schema.Screen())
    assert len(passed) == 1 and rejected == []
