"""The federated loop: one round after another, from any round on."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message
from flwr.serverapp.strategy import Strategy

from fedrlhf.config import schema
from fedrlhf.errors import RunFailed
from fedrlhf.federation.client_grid import ClientGrid
from fedrlhf.federation.cohort import draw_cohort
from fedrlhf.federation.messages import METRICS
from fedrlhf.federation.screen import Rejection, screen, screen_numbers

Metrics = dict[str, float]


@dataclass
class Progress:
    """All that a federated stage has reached; a checkpoint holds it and the strategy's state.

    Attributes:
        arrays: The current selectors.
        server_round: The last finished round; 0 before the first.
        bad_rounds: How many rounds in a row had too few good replies.
    """

    arrays: ArrayRecord
    server_round: int = 0
    bad_rounds: int = 0


@dataclass
class RoundRecord:
    """What happened in a round."""

    server_round: int
    cohort: list[str]
    metrics: Metrics
    client_metrics: dict[str, Metrics]
    rejected: list[Rejection] = field(default_factory=list)
    seconds: float = 0.0
    client_validation: dict[str, Metrics] = field(default_factory=dict)


def run_rounds(grid: ClientGrid, strategy: Strategy, progress: Progress, settings: schema.Rounds,
               seed: int) -> Iterator[RoundRecord]:
    """Run the rounds that are left, updating `progress` in place before each record is yielded.

    Raises:
        RunFailed: Too many clients failed in several rounds one after the other.
    """
    for server_round in range(progress.server_round + 1, settings.rounds + 1):
        started = time.perf_counter()
        record = _train(grid, strategy, progress, settings, seed, server_round)
        if settings.evaluate_every and server_round % settings.evaluate_every == 0:
            found, record.client_validation = _validate(grid, strategy, progress, server_round)
            record.metrics |= found
        progress.server_round = server_round
        record.seconds = time.perf_counter() - started
        yield record
        if progress.bad_rounds >= settings.screen.patience:
            raise RunFailed(_too_many_failures(record, progress.bad_rounds))


def _train(grid: ClientGrid, strategy: Strategy, progress: Progress, settings: schema.Rounds,
           seed: int, server_round: int) -> RoundRecord:
    """Ask the cohort, screen its replies and let the strategy make the next adapters of them."""
    trainable = [node for node in grid.nodes if grid.client(node).train]
    grid.cohort = draw_cohort(trainable, settings.clients_per_round, seed, server_round)
    asked = list(strategy.configure_train(server_round, progress.arrays, ConfigRecord(), grid))
    replies = grid.send_and_receive(asked)
    good, rejected = screen(asked, replies, grid, settings.screen)
    metrics: Metrics = {}
    if good and len(rejected) <= settings.screen.max_failures * len(asked):
        arrays, aggregated = strategy.aggregate_train(server_round, good)
        progress.arrays = _as_float32(arrays) if arrays is not None else progress.arrays
        metrics = _numbers(aggregated)
        progress.bad_rounds = 0
    else:
        progress.bad_rounds += 1
    return RoundRecord(server_round, [grid.client(node).client_id for node in grid.cohort],
                       metrics, _by_client(grid, good), rejected)


def _validate(grid: ClientGrid, strategy: Strategy, progress: Progress,
              server_round: int) -> tuple[Metrics, dict[str, Metrics]]:
    """Let every client measure the selector that it would use, as the strategy sends it.

    Returns:
        The means over clients, and each client's own numbers.
    """
    grid.cohort = [node for node in grid.nodes if grid.client(node).validation]
    asked = list(strategy.configure_evaluate(server_round, progress.arrays, ConfigRecord(), grid))
    replies = screen_numbers(grid.send_and_receive(asked), grid)
    means = _numbers(strategy.aggregate_evaluate(server_round, replies)) if replies else {}
    return means, _by_client(grid, replies)


def _as_float32(arrays: ArrayRecord) -> ArrayRecord:
    """Return the arrays as adapters travel: some of Flower's strategies compute float64 ones."""
    return ArrayRecord({key: Array(array.numpy().astype(np.float32))
                        for key, array in arrays.items()})


def _by_client(grid: ClientGrid, replies: Sequence[Message]) -> dict[str, Metrics]:
    return {grid.client(reply.metadata.src_node_id).client_id:
            _numbers(reply.content.metric_records[METRICS]) for reply in replies}


def _numbers(record: object) -> Metrics:
    """Return the single numbers of a metric record."""
    items = record.items() if record is not None else ()  # type: ignore[attr-defined]
    return {key: float(value) for key, value in items if isinstance(value, int | float)}


def _too_many_failures(record: RoundRecord, rounds: int) -> str:
    reasons = "; ".join(f"{r.client_id}: {r.reason}" for r in record.rejected[:3])
    return (f"in {rounds} rounds one after the other, too many of the sampled clients failed or "
            f"were rejected (screen.max_failures). Last round: {reasons}")
