"""Reject broken or hostile updates before any strategy sees them."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from flwr.app import Array, ArrayRecord, Message, MetricRecord

from fedrlhf.config import schema
from fedrlhf.federation.client_grid import Client, ClientGrid
from fedrlhf.federation.messages import ARRAYS, EXAMPLES, METRICS

_ENOUGH_FOR_A_MEDIAN = 3

Kinds = frozenset[tuple[str, int]]  # names of metrics and, of lists, their lengths


@dataclass(frozen=True)
class Rejection:
    """A client whose reply was not used, and why."""

    client_id: str
    reason: str


def screen(asked: Sequence[Message], replies: Sequence[Message], grid: ClientGrid,
           rules: schema.Screen) -> tuple[list[Message], list[Rejection]]:
    """Split the replies of a training round into usable ones and rejections.

    Args:
        asked: The messages of the round, one for each client of the cohort.
        replies: The reply to each, in any order.
        grid: Knows the clients and what they declared at the roll call.
        rules: The bound on an update's norm.
    """
    sent = {message.metadata.dst_node_id: message.content.array_records[ARRAYS]
            for message in asked}
    usual = _usual_metrics(replies)
    good: list[Message] = []
    rejected: list[Rejection] = []
    for reply in replies:
        node = reply.metadata.src_node_id
        if reason := _fault(reply, sent[node], grid.client(node), usual):
            rejected.append(Rejection(grid.client(node).client_id, reason))
        else:
            good.append(reply)
    norms = {reply.metadata.src_node_id: _update_norm(reply, sent) for reply in good}
    bound = _norm_bound(list(norms.values()), rules.max_norm_ratio)
    for node, norm in norms.items():
        if norm > bound:
            rejected.append(Rejection(grid.client(node).client_id, (
                f"update norm {norm:.3g} is more than {rules.max_norm_ratio:g} times the median")))
    return [reply for reply in good if norms[reply.metadata.src_node_id] <= bound], rejected


def screen_numbers(replies: Sequence[Message], grid: ClientGrid) -> list[Message]:
    """Return the replies of a validation whose numbers can be averaged."""
    usual = _usual_metrics(replies)
    return [reply for reply in replies if not reply.has_error()
            and set(reply.content.metric_records) == {METRICS}
            and not _metric_fault(reply.content.metric_records[METRICS],
                                  grid.client(reply.metadata.src_node_id).validation, usual)]


def _fault(reply: Message, sent: ArrayRecord, client: Client, usual: Kinds) -> str | None:
    if reply.has_error():
        lines = [line.strip() for line in (reply.error.reason or "").splitlines() if line.strip()]
        return f"failed: {lines[-1] if lines else f'error code {reply.error.code}'}"
    found = set(reply.content.array_records), set(reply.content.metric_records)
    if found != ({ARRAYS}, {METRICS}):
        return f"reply has records {sorted(reply.content)}, expected {ARRAYS!r} and {METRICS!r}"
    return (_array_fault(reply.content.array_records[ARRAYS], sent)
            or _metric_fault(reply.content.metric_records[METRICS], client.train, usual))


def _array_fault(found: ArrayRecord, sent: ArrayRecord) -> str | None:
    if not found or not set(found) <= set(sent):
        return f"returned arrays {sorted(found)}, was sent {sorted(sent)}"
    for key, array in found.items():
        values = _values(array)
        if values is None:
            return f"{key} cannot be read as an array"
        if values.dtype != sent[key].dtype:
            return f"{key} has dtype {values.dtype}, expected {sent[key].dtype}"
        if values.shape != tuple(sent[key].shape):
            return f"{key} has shape {values.shape}, expected {tuple(sent[key].shape)}"
        if not np.isfinite(values).all():
            return f"{key} holds values that are not finite"
    return None


def _values(array: Array) -> np.ndarray | None:
    """Read the bytes themselves: what an array declares about them need not be true."""
    try:
        values = array.numpy()
    except Exception:  # noqa: BLE001  whatever bytes a client sends, they end in a rejection
        return None
    return values if isinstance(values, np.ndarray) else None


def _count_fault(count: object, declared: int) -> str | None:
    if isinstance(count, bool) or not isinstance(count, int | float) or not math.isfinite(count):
        return f"{EXAMPLES} is {count!r}, expected a number"
    if not 0 < count <= declared:
        return f"{EXAMPLES} is {count:g}, declared were {declared}"
    return None


def _metric_fault(metrics: MetricRecord, declared: int, usual: Kinds) -> str | None:
    if fault := _count_fault(metrics.get(EXAMPLES), declared):
        return fault
    for name, value in metrics.items():
        if not np.isfinite(value).all():
            return f"{name} is not finite"
    if _kinds(metrics) != usual:
        return f"returned metrics {sorted(metrics)}, other clients others"
    return None


def _usual_metrics(replies: Sequence[Message]) -> Kinds:
    """Return the names and lengths of the metrics that most replies have.

    Flower's strategies stop the run where the replies' metrics differ.
    """
    found = [record for reply in replies if not reply.has_error()
             for record in reply.content.metric_records.values()]
    common = Counter(map(_kinds, found)).most_common(1)
    return common[0][0] if common else frozenset()


def _kinds(metrics: MetricRecord) -> Kinds:
    return frozenset((name, len(value) if isinstance(value, list) else 0)
                     for name, value in metrics.items())


def _update_norm(reply: Message, sent: dict[int, ArrayRecord]) -> float:
    start = sent[reply.metadata.src_node_id]
    return math.sqrt(sum(
        float(np.square(array.numpy() - start[key].numpy(), dtype=np.float64).sum())
        for key, array in reply.content.array_records[ARRAYS].items()))


def _norm_bound(norms: Sequence[float], ratio: float) -> float:
    if ratio == 0 or len(norms) < _ENOUGH_FOR_A_MEDIAN:
        return math.inf
    return ratio * float(np.median(norms))
