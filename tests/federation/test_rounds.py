"""The loop: what it records, when it keeps the old adapters, when it stops."""

from typing import Any

import numpy as np
import pytest
from flwr.app import ArrayRecord
from toy_federation import Toy, bank, clients, settings

from fedrlhf.config import schema
from fedrlhf.errors import RunFailed
from fedrlhf.federation.cohort import draw_cohort
from fedrlhf.federation.messages import from_arrays, to_arrays
from fedrlhf.federation.rounds import Progress, RoundRecord, run_rounds
from fedrlhf.federation.strategies import FedBis


def add_number(client: str, server_round: int, adapter: np.ndarray) -> np.ndarray:
    """Train: add the client's number."""
    return adapter + np.float32(client[1:])


def run(toy: Toy, select: schema.Rounds, seed: int = 0) -> tuple[Progress, list[RoundRecord]]:
    """Run all rounds with FedBis."""
    progress = Progress(to_arrays(bank(1)))
    return progress, list(run_rounds(toy.grid(), FedBis(), progress, select, seed))


def test_a_round_by_hand() -> None:
    """All of c0, c1, c2 add 0, 1, 2 to zeros: the mean is 1; after two rounds 2.

    Mean train_loss over 10, 11, 12 pairs: the mean |value| of 0, 1, 2 in round 1 is
    (0 x 10 + 1 x 11 + 2 x 12) / 33 = 35/33.
    """
    toy = Toy(clients(3), trained=add_number)
    progress, records = run(toy, settings(2, 3))
    np.testing.assert_array_equal(from_arrays(progress.arrays)[0], 2)
    assert [record.server_round for record in records] == [1, 2]
    assert records[0].cohort == ["c0", "c1", "c2"] and records[0].rejected == []
    assert records[0].metrics["train_loss"] == pytest.approx(35 / 33)
    assert records[0].client_metrics["c2"] == {"num-examples": 12, "train_loss": 2, "steps": 3}
    assert progress.server_round == 2 and progress.bad_rounds == 0 and records[0].seconds > 0


def test_the_cohort_is_drawn_by_seed_and_round() -> None:
    """The record names whom `draw_cohort` draws, and only they get a message."""
    toy = Toy(clients(6))
    _, records = run(toy, settings(4, 2), seed=3)
    for record in records:
        drawn = draw_cohort([1, 2, 3, 4, 5, 6], 2, 3, record.server_round)
        assert record.cohort == [f"c{node - 1}" for node in drawn]
        assert list(toy.rounds()[record.server_round]) == record.cohort


def test_clients_without_training_pairs_are_not_drawn() -> None:
    """They validate, because they have something to validate on."""
    toy = Toy({"a": (0, 4, 5), "b": (10, 0, 5), "c": (10, 4, 5)})
    _, records = run(toy, settings(2, 3, evaluate_every=1))
    assert [record.cohort for record in records] == [["b", "c"]] * 2
    assert {seen.client for seen in toy.seen if seen.kind == "evaluate"} == {"a", "c"}


def test_a_failing_client_is_named_and_left_out() -> None:
    """c2 fails: the mean of c0 and c1 is 0.5, and the record says why."""
    toy = Toy(clients(3), trained=add_number, failing={"c2"})
    progress, (record,) = run(toy, settings(1, 3))
    np.testing.assert_array_equal(from_arrays(progress.arrays)[0], 0.5)
    assert [(r.client_id, r.reason) for r in record.rejected] == [
        ("c2", "failed: RuntimeError: c2 was told to fail")]
    assert set(record.client_metrics) == {"c0", "c1"}


def test_too_few_good_replies_keep_the_arrays_and_stop_the_run() -> None:
    """2 of 3 fail, more than a half: nothing moves; after `patience` = 2 such rounds it stops."""
    toy = Toy(clients(3), trained=add_number, failing={"c0", "c1"})
    progress = Progress(to_arrays(bank(1)))
    select = settings(9, 3, screen=schema.Screen(patience=2))
    records = []
    with pytest.raises(RunFailed, match=r"in 2 rounds one after.*max_failures.*c0: failed"):
        for record in run_rounds(toy.grid(), FedBis(), progress, select, 0):
            records.append(record)
            np.testing.assert_array_equal(from_arrays(progress.arrays)[0], 0)
    assert len(records) == 2 and progress.bad_rounds == 2 and progress.server_round == 2


@pytest.mark.parametrize(("allowed", "moved"), [(0.5, False), (0.67, True), (1.0, True)])
def test_the_share_of_failures(allowed: float, moved: bool) -> None:
    """2 of 3 fail: that is too many up to a limit of 2/3."""
    toy = Toy(clients(3), trained=add_number, failing={"c0", "c1"})
    progress, _ = run(toy, settings(1, 3, screen=schema.Screen(max_failures=allowed)))
    assert from_arrays(progress.arrays)[0].tolist() == [2.0 if moved else 0.0] * 4


def test_nobody_answers() -> None:
    """Even where all may fail, a round without any good reply keeps the adapters and counts."""
    toy = Toy(clients(2), failing={"c0", "c1"})
    progress, _ = run(toy, settings(1, 2, screen=schema.Screen(max_failures=1.0)))
    assert from_arrays(progress.arrays)[0].tolist() == [0.0] * 4 and progress.bad_rounds == 1


def test_a_good_round_forgives() -> None:
    """Bad, good, bad, good with a patience of 2: the run goes on to its end."""
    def odd_rounds_are_nan(client: str, server_round: int, adapter: np.ndarray) -> np.ndarray:
        return adapter * np.float32(np.nan if server_round % 2 else 1)

    toy = Toy(clients(3), trained=odd_rounds_are_nan)
    progress, records = run(toy, settings(4, 3, screen=schema.Screen(patience=2)))
    assert [len(record.rejected) for record in records] == [3, 0, 3, 0] and progress.bad_rounds == 0


def test_validation_rounds() -> None:
    """Every second round all clients validate; losses 1 and 3 over 4 and 12 pairs average 2.5."""
    toy = Toy({"a": (10, 4, 5), "b": (10, 12, 5)}, losses={"a": [1.0], "b": [3.0]})
    _, records = run(toy, settings(5, 1, evaluate_every=2))
    assert ["validation_loss" in record.metrics for record in records] == [
        False, True, False, True, False]
    assert records[1].metrics["validation_loss"] == 2.5
    assert "train_loss" in records[1].metrics


def test_a_client_that_fails_to_validate_is_left_out() -> None:
    """The other's loss is the mean; where all fail, there is no number."""
    toy = Toy({"a": (10, 4, 5), "b": (10, 12, 5)}, losses={"a": [1.0], "b": [3.0]}, failing={"b"})
    lenient = schema.Screen(max_failures=1.0)
    _, (record,) = run(toy, settings(1, 2, evaluate_every=1, screen=lenient))
    assert record.metrics["validation_loss"] == 1.0
    toy.failing = {"a", "b"}
    _, (record,) = run(toy, settings(1, 2, evaluate_every=1, screen=lenient))
    assert record.metrics == {}


def test_numbers_that_cannot_be_averaged_are_left_out() -> None:
    """b finds no pair that fits, so that its loss is no number; c claims more pairs than it has."""
    toy = Toy({"a": (10, 4, 5), "b": (10, 12, 5), "c": (10, 4, 5)},
              losses={"a": [1.0], "b": [float("nan")], "c": [3.0]})
    grid, progress = toy.grid(), Progress(to_arrays(bank(1)))
    toy.sizes = {**toy.sizes, "c": (10, 4000, 5)}
    (record,) = run_rounds(grid, FedBis(), progress, settings(1, 3, evaluate_every=1), 0)
    assert record.metrics["validation_loss"] == 1.0


def test_the_loop_starts_anywhere() -> None:
    """From round 3 of 4 on, two rounds are left; from 4 on, none."""
    toy = Toy(clients(3), trained=add_number)
    for done, left in ((2, [3, 4]), (4, []), (9, [])):
        progress = Progress(to_arrays(bank(1)), server_round=done)
        records = list(run_rounds(toy.grid(), FedBis(), progress, settings(4, 3), 0))
        assert [record.server_round for record in records] == left


class Nothing(FedBis):
    """A strategy that gives no arrays, as Flower's do where they have nothing to aggregate."""

    def aggregate_train(self, server_round: int, replies: Any) -> tuple[ArrayRecord | None, None]:
        """Return nothing."""
        return None, None


def test_a_strategy_may_return_nothing() -> None:
    """The old adapters stay; there are no numbers."""
    progress = Progress(to_arrays(bank(1)))
    (record,) = run_rounds(Toy(clients(3)).grid(), Nothing(), progress, settings(1), 0)
    assert from_arrays(progress.arrays)[0].tolist() == [0.0] * 4 and record.metrics == {}
