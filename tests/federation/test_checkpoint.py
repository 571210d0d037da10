"""A resumed run is the uninterrupted one, bit for bit, whatever the strategy."""

from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAdam, FedAvg, Strategy
from safetensors import safe_open
from toy_federation import Reversed, Toy, bank, clients, settings

import fedrlhf
from fedrlhf.config import build, load
from fedrlhf.errors import UserError
from fedrlhf.federation.checkpoint import load_checkpoint, save_checkpoint, strategy_state
from fedrlhf.federation.client_grid import ClientGrid
from fedrlhf.federation.local_grid import LocalGrid
from fedrlhf.federation.messages import from_arrays, to_arrays
from fedrlhf.federation.rounds import Progress, RoundRecord, run_rounds
from fedrlhf.federation.strategies import FedBiscuit

CONF = Path(fedrlhf.__file__).parents[2] / "conf" / "strategy"
NAMES = sorted(path.stem for path in CONF.glob("*.yaml") if not path.stem.startswith("_")
               and path.stem != "custom")


class Momentum(Strategy):
    """A strategy of a user's own, with arrays, numpy numbers and nested data in attributes."""

    def __init__(self, rate: float = 0.5) -> None:
        self.rate = rate
        self.velocity: np.ndarray | None = None
        self.rounds = np.int64(0)
        self.scale = np.float64(1.0)
        self.history: list[tuple[int, dict[str, np.ndarray]]] = []
        self.hook = lambda: None  # no data: not saved, and kept as it is

    def configure_train(self, server_round: int, arrays: ArrayRecord, config: ConfigRecord,
                        grid: Grid) -> Iterable[Message]:
        """Ask the cohort."""
        self.arrays = from_arrays(arrays)
        return FedBiscuit(selectors=1, warmup_rounds=99).configure_train(
            server_round, arrays, config, grid)

    def aggregate_train(self, server_round: int, replies: Iterable[Message],
                        ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Move with momentum, at a scale that each round changes."""
        found = [from_arrays(reply.content.array_records["arrays"])[0] for reply in replies]
        step = np.mean(found, axis=0) - self.arrays[0]
        self.velocity = step if self.velocity is None else self.rate * self.velocity + step
        self.rounds += 1
        self.scale = self.scale * np.float64(0.9)
        self.history.append((int(self.rounds), {"step": step}))
        return to_arrays({0: self.arrays[0] + self.scale * self.velocity}), None

    def configure_evaluate(self, server_round: int, arrays: ArrayRecord, config: ConfigRecord,
                           grid: Grid) -> Iterable[Message]:
        """Ask nobody."""
        return []

    def aggregate_evaluate(self, server_round: int,
                           replies: Iterable[Message]) -> MetricRecord | None:
        """Return nothing."""
        return None

    def summary(self) -> None:
        """Say nothing."""


class Wrapper(Momentum):
    """A strategy around another one, as Flower's privacy strategies are."""

    def __init__(self) -> None:
        super().__init__()
        self.strategy = Momentum(rate=0.9)

    def configure_train(self, *args: Any) -> Iterable[Message]:
        """Ask as the inner one does."""
        return self.strategy.configure_train(*args)

    def aggregate_train(self, *args: Any) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Aggregate as the inner one does."""
        return self.strategy.aggregate_train(*args)


@lru_cache
def node(name: str) -> Any:
    """Return the composed section of a file in conf/strategy."""
    return load(f"strategy={name}").strategy


MAKERS: dict[str, Callable[[], Strategy]] = {
    **{name: (lambda name=name: build(node(name), "strategy")) for name in NAMES},
    "fedbiscuit paper": lambda: FedBiscuit(selectors=2, warmup_rounds=1, regroup_every=2,
                                           server_step="paper", weights="size", grouping="greedy"),
    "momentum": Momentum, "wrapper": Wrapper}


def count(strategy: Strategy) -> int:
    """Return how many selectors the strategy has for seven clients."""
    return int(getattr(strategy, "count", lambda clients: 1)(7))


def toy() -> Toy:
    """Return seven clients on two SuperNodes; one of them fails throughout."""
    return Toy(clients(7), supernodes=2, failing={"c6"})


def fresh(strategy: Strategy) -> Progress:
    """Return a run before its first round."""
    return Progress(to_arrays(bank(count(strategy))))


def run(make: Callable[[], Strategy], rounds: int, inner: type[LocalGrid] = LocalGrid,
        ) -> tuple[Progress, list[RoundRecord], Strategy, dict[str, Any]]:
    """Run from the first round on without a break."""
    strategy, grid = make(), toy().grid(inner)
    progress = fresh(strategy)
    records = list(run_rounds(grid, strategy, progress, settings(rounds, 6, evaluate_every=2), 0))
    return progress, records, strategy, costs(grid)


def costs(grid: ClientGrid) -> dict[str, Any]:
    """Return bytes and messages by kind; seconds differ."""
    return {kind: (cost.down, cost.up, cost.messages) for kind, cost in grid.costs.items()}


def bits(progress: Progress) -> dict[str, bytes]:
    """Return the selectors' exact values."""
    return {key: array.numpy().tobytes() for key, array in progress.arrays.items()}


def facts(records: list[RoundRecord]) -> list[tuple[Any, ...]]:
    """Return what rounds recorded, except for how long they took."""
    return [(r.server_round, r.cohort, r.metrics, r.client_metrics, r.rejected) for r in records]


def equal(one: Any, other: Any) -> bool:
    """Compare nested data with arrays in it, types included."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())
    if isinstance(one, dict):
        return list(one) == list(other) and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    if isinstance(one, ArrayRecord):
        return equal([(key, array.numpy()) for key, array in one.items()],
                     [(key, array.numpy()) for key, array in other.items()])
    return bool(one == other)


def test_every_strategy_is_here() -> None:
    """At least ours and Flower's of conf/strategy."""
    assert {"fedbiscuit", "fedavg", "fedadam", "fedavgm", "local_only"} <= set(NAMES)


@pytest.mark.parametrize("name", MAKERS)
def test_resumed_equals_uninterrupted(name: str, tmp_path: Path) -> None:
    """Six rounds at once, or three, a checkpoint, and three with new objects: the same bits in the
    selectors, the strategy's state, the records and the costs. A client fails in each round.
    """
    make = MAKERS[name]
    whole, records, strategy, expected = run(make, 6)
    first, grid = make(), toy().grid()
    progress, before = fresh(first), []
    for record in run_rounds(grid, first, progress, settings(6, 6, evaluate_every=2), 0):
        before.append(record)
        if record.server_round == 3:
            break
    save_checkpoint(tmp_path / "checkpoint.safetensors", progress, first, grid)

    second, new_grid = make(), toy().grid()
    resumed = load_checkpoint(tmp_path / "checkpoint.safetensors", second, new_grid)
    assert resumed.server_round == 3 and bits(resumed) == bits(progress)
    after = list(run_rounds(new_grid, second, resumed, settings(6, 6, evaluate_every=2), 0))
    assert bits(resumed) == bits(whole)
    assert facts(before + after) == facts(records) and len(records) == 6
    assert costs(new_grid) == expected
    assert equal(strategy_state(second), strategy_state(strategy))


@pytest.mark.parametrize("name", MAKERS)
def test_the_order_of_replies_changes_nothing(name: str) -> None:
    """Sums are over replies sorted by client: the same bits in whatever order they arrive."""
    assert bits(run(MAKERS[name], 4)[0]) == bits(run(MAKERS[name], 4, Reversed)[0])


@pytest.mark.parametrize("name", ["fedbiscuit", "fedadam"])
def test_the_number_of_supernodes_changes_nothing(name: str) -> None:
    """All clients in one process or each on a node of its own."""
    found = []
    for supernodes in (1, 7):
        federation, strategy = Toy(clients(7), supernodes=supernodes), MAKERS[name]()
        progress = fresh(strategy)
        list(run_rounds(federation.grid(), strategy, progress, settings(4, 3), 0))
        found.append(bits(progress))
    assert found[0] == found[1]


# --------------------------------------------------------------------------------- the file itself


def saved(strategy: Strategy, folder: Path) -> Path:
    """Save a checkpoint of a run that has not begun."""
    path = folder / "checkpoint.safetensors"
    save_checkpoint(path, fresh(strategy), strategy, toy().grid())
    return path


def test_one_safetensors_file(tmp_path: Path) -> None:
    """Any safetensors reader opens it; nothing else lies beside it."""
    path = saved(FedAvg(), tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.safetensors"]
    with safe_open(path, framework="numpy") as file:
        assert [file.get_tensor(name).shape for name in file.keys()] == [(4,)]  # noqa: SIM118


def test_a_failed_save_keeps_the_old_round(tmp_path: Path) -> None:
    """An error in round 2's save leaves round 1's file whole."""
    strategy, grid = Momentum(), toy().grid()
    path = saved(strategy, tmp_path)
    before = path.read_bytes()
    strategy.hook = None  # type: ignore[assignment]
    strategy.bad = {1, 2}  # type: ignore[attr-defined]
    with pytest.raises(UserError):
        save_checkpoint(path, fresh(strategy), strategy, grid)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_a_kill_between_record_and_checkpoint_loses_one_round(tmp_path: Path) -> None:
    """Round 3 is recorded but not saved: the resumed run makes it again, and it is the same."""
    make = MAKERS["fedbiscuit"]
    strategy, grid = make(), toy().grid()
    progress, records, path = fresh(strategy), [], tmp_path / "checkpoint.safetensors"
    for record in run_rounds(grid, strategy, progress, settings(6, 6), 0):
        records.append(record)
        if record.server_round == 3:
            break
        save_checkpoint(path, progress, strategy, grid)
    again, new_grid = make(), toy().grid()
    resumed = load_checkpoint(path, again, new_grid)
    assert resumed.server_round == 2
    record = next(run_rounds(new_grid, again, resumed, settings(6, 6), 0))
    assert facts([record]) == facts(records[-1:]) and bits(resumed) == bits(progress)


@pytest.mark.parametrize("value", [
    {1, 2}, object(), np.random.default_rng(0), Path("x"), 1j, np.array(["text"]),
    np.array([None]), np.array([1j]), {(1, 2): 3}, {np.int64(1): 3}],
    ids=lambda value: type(value).__name__)
def test_what_cannot_be_saved_is_named(value: object, tmp_path: Path) -> None:
    """The message names the attribute and the two methods that mend it."""
    strategy = Momentum()
    strategy.history = [(1, {"bad": value})]  # type: ignore[dict-item]
    message = (r"strategy\.history\.0\.1\.bad is a .*that cannot be checkpointed.*"
               r"state_dict\(\) and load_state_dict\(state\)")
    with pytest.raises(UserError, match=message):
        saved(strategy, tmp_path)


VALUES: dict[str, Any] = {
    "none": None, "text": "Zürich", "flags": [True, False], "numbers": (1, 2.5, -0.0, 1e-300),
    "infinite": float("inf"), "array": np.arange(6, dtype=np.int16).reshape(2, 3),
    "bool": np.array([True]), "empty": np.zeros((0, 3), np.float32), "scalar": np.float32(0.1),
    "double": np.float64(0.1), "zero_dimensional": np.array(7.0), "fortran": np.asfortranarray(
        np.arange(6.0).reshape(2, 3)), "view": np.arange(10)[::3],
    "nested": {"a": {"b": [({"c": np.ones(2)},)]}, 3: {"x": np.zeros(1)}},
    "collision": {"a.b": np.zeros(1), "a": {"b": np.ones(1)}, 1: np.ones(2), "1": np.ones(3)},
    "record": to_arrays(bank(2)), "empty_dict": {}, "empty_list": [], "pairs": {"dict": [[1, 2]]},
}


@pytest.mark.parametrize("name", VALUES)
def test_state_round_trips(name: str, tmp_path: Path) -> None:
    """Types, shapes, keys and bits come back."""
    strategy = Momentum()
    strategy.history = VALUES[name]
    path, other = saved(strategy, tmp_path), Momentum()
    load_checkpoint(path, other, toy().grid())
    assert equal(other.history, VALUES[name]), other.history
    assert callable(other.hook)


def test_an_array_is_not_shared_with_the_file(tmp_path: Path) -> None:
    """A strategy that adds in place to a restored array may do so."""
    strategy = Momentum()
    strategy.velocity = np.ones(4)
    other = Momentum()
    load_checkpoint(saved(strategy, tmp_path), other, toy().grid())
    assert other.velocity is not None
    other.velocity += 1
    np.testing.assert_array_equal(other.velocity, 2)


def test_own_methods_come_first(tmp_path: Path) -> None:
    """A strategy with `state_dict` decides alone what is saved."""
    strategy = FedBiscuit(selectors=2)
    strategy.grouping = {1: 0, 2: 1}
    assert strategy_state(strategy) == {"grouping": {1: 0, 2: 1}}
    other = FedBiscuit(selectors=2)
    load_checkpoint(saved(strategy, tmp_path), other, toy().grid())
    assert other.grouping == {1: 0, 2: 1}


def test_adaptive_moments_are_saved(tmp_path: Path) -> None:
    """FedAdam without its moments would take another step: they are in the state."""
    strategy = FedAdam(min_available_nodes=1)
    strategy.m_t = {"selector_0": np.ones(4)}
    other = FedAdam(min_available_nodes=1)
    load_checkpoint(saved(strategy, tmp_path), other, toy().grid())
    assert other.m_t is not None
    np.testing.assert_array_equal(other.m_t["selector_0"], np.ones(4))
