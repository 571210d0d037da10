"""The real ClientApp on the embedded tutor, over the local grid: what it answers and keeps."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.common.serde import message_to_proto

from fedrlhf.client_app import app
from fedrlhf.config import load
from fedrlhf.data.population import Population, Shard, write_population
from fedrlhf.errors import DataError, RunFailed, UserError
from fedrlhf.federation.client_grid import Client, ClientGrid, call_roll
from fedrlhf.federation.flower_internals import server_identity
from fedrlhf.federation.local_grid import LocalGrid
from fedrlhf.federation.messages import (
    AGREEMENT,
    ARRAYS,
    CONFIG,
    ENVELOPE,
    METRICS,
    RANK,
    ROLL_CALL,
    envelope,
    from_arrays,
    to_arrays,
)
from fedrlhf.federation.rounds import Progress, RoundRecord, run_rounds
from fedrlhf.federation.screen import Rejection
from fedrlhf.federation.strategies import FedBis, FedBiscuit
from fedrlhf.selectors.selector import open_selector
from fedrlhf.types import PreferencePair, Turn

NAMES = ("anna", "ben", "cleo")
SIZES = {"train": 6, "validation": 3, "test": 4}


def pair(client: str, split: str, number: int) -> PreferencePair:
    """Return a pair whose three texts occur nowhere else; each split ends with a tie."""
    mark = f"{client} {split} {number}"
    prompt = f"Explain the recall of {mark}." if number else (
        Turn(role="user", content=f"What does {mark} mean?"),)
    return PreferencePair(prompt, f"For {mark}, a share of 45 in 50.", f"No idea about {mark}.",
                          client, "made", tie=number == SIZES[split] - 1,
                          columns={"note": f"secret note of {mark}"})


def shard(client: str) -> Shard:
    """Return a client's pairs."""
    return Shard(client, *(tuple(pair(client, split, i) for i in range(size))
                           for split, size in SIZES.items()))


SHARDS = {name: shard(name) for name in NAMES}


@dataclass
class Recording(LocalGrid):
    """Keeps what crosses the network, in the bytes in which it does."""

    wire: list[bytes] = field(default_factory=list)

    def send_and_receive(self, messages: Iterable[Message], *,
                         timeout: float | None = None) -> list[Message]:
        """Deliver and note both directions."""
        sent = list(messages)
        replies = super().send_and_receive(sent, timeout=timeout)
        self.wire += [message_to_proto(m).SerializeToString() for m in (*sent, *replies)]
        return replies


@pytest.fixture(autouse=True)
def identity() -> Iterator[None]:
    """Let `Message(...)` work outside the processes that Flower starts."""
    with server_identity():
        yield


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the shards where a simulated client finds them."""
    folder = tmp_path_factory.mktemp("run")
    write_population(folder / "partition", Population(tuple(SHARDS.values())), {})
    return folder


@dataclass
class Federation:
    """The real app over a recording grid."""

    run_dir: Path
    more: str = ""
    supernodes: int = 2

    def __post_init__(self) -> None:
        """Call the roll."""
        self.overrides = (f"run.dir={self.run_dir} objective.local_steps=2 objective.batch_size=2 "
                          f"runtime.autocast=off {self.more}")
        self.config = load(self.overrides)
        self.slot = open_selector(self.config).slot
        self.wire = Recording(app, self.supernodes, {"overrides": self.overrides})
        self.grid = ClientGrid(self.wire, call_roll(self.wire, NAMES, 1.0), self.slot.layout.digest)

    def bank(self, count: int) -> dict[int, np.ndarray]:
        """Return different selectors that change the model's judgements."""
        return {u: np.random.default_rng(u).normal(0, 0.05, self.slot.layout.size).astype(
            np.float32) for u in range(count)}

    def message(self, kind: str, adapters: dict[int, np.ndarray], node: int = 1,
                **request: int) -> Message:
        """Return a message to a client."""
        return Message(RecordDict({ARRAYS: to_arrays(adapters), CONFIG: ConfigRecord(
            {"server-round": 1, **request})}), node, kind)

    def ask(self, kind: str, adapters: dict[int, np.ndarray], node: int = 1,
            **request: int) -> RecordDict:
        """Return what a client answers."""
        reply, = self.grid.send_and_receive([self.message(kind, adapters, node, **request)])
        assert not reply.has_error(), reply.error.reason
        return reply.content


@pytest.fixture(scope="module")
def federation(run_dir: Path) -> Federation:
    """Return the federation that most tests share."""
    with server_identity():
        return Federation(run_dir)


def numbers(content: RecordDict) -> dict[str, float | list[float]]:
    """Return the numbers of a reply."""
    return dict(content.metric_records[METRICS])  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------- what it answers


def test_roll_call(federation: Federation) -> None:
    """Three clients on two SuperNodes; ties count where they are no use: not in training."""
    assert list(federation.grid.clients) == [
        Client(name, node, *(5, 2, 4) * 2) for name, node in (("anna", 1), ("ben", 2), ("cleo", 1))]


def test_train(federation: Federation) -> None:
    """It moves the selector, counts its pairs without the tie, and repeats itself bit for bit.

    Another round draws other batches; another client has other pairs.
    """
    start = federation.bank(1)
    content = federation.ask("train", start)
    found = from_arrays(content.array_records[ARRAYS])
    assert list(found) == [0] and found[0].dtype == np.float32
    assert found[0].shape == start[0].shape and not np.array_equal(found[0], start[0])
    assert numbers(content)["num-examples"] == 5 and numbers(content)["steps"] == 2
    assert set(numbers(content)) == {"num-examples", "train_loss", "steps", "cut_pairs",
                                     "left_out_pairs"}

    def again(node: int, server_round: int) -> np.ndarray:
        answer = federation.ask("train", start, node, **{"server-round": server_round})
        return from_arrays(answer.array_records[ARRAYS])[0]

    assert again(1, 1).tobytes() == found[0].tobytes()
    assert again(1, 2).tobytes() != found[0].tobytes()
    assert again(2, 1).tobytes() != found[0].tobytes()


def test_rank_and_validate_agree(federation: Federation) -> None:
    """A ranking of three selectors is three validations: the mean over both orders of two pairs."""
    adapters = federation.bank(3)
    losses = numbers(federation.ask(RANK, adapters))["losses"]
    assert isinstance(losses, list) and len(set(losses)) == 3
    for u, adapter in adapters.items():
        alone = numbers(federation.ask("evaluate", {u: adapter}))
        assert alone == {"num-examples": 2, "validation_loss": pytest.approx(losses[u], abs=1e-6)}


def test_of_several_selectors_it_trains_the_best(federation: Federation) -> None:
    """It returns only the one with its lowest validation loss, as trained alone."""
    adapters = federation.bank(3)
    losses = numbers(federation.ask(RANK, adapters))["losses"]
    best = int(np.argmin(losses))
    content = federation.ask("train", adapters)
    alone = federation.ask("train", {best: adapters[best]})
    found = from_arrays(content.array_records[ARRAYS])
    assert list(found) == [best]
    assert found[best].tobytes() == from_arrays(alone.array_records[ARRAYS])[best].tobytes()


def test_fedprox_pulls_back(federation: Federation) -> None:
    """With a huge mu the adapter ends nearer to where it started than without."""
    start = federation.bank(1)
    distances = []
    for mu in (0, 1000):
        content = federation.ask("train", start, **{"proximal-mu": mu})
        distances.append(np.linalg.norm(from_arrays(content.array_records[ARRAYS])[0] - start[0]))
    assert distances[1] < distances[0]


def test_agreement(federation: Federation) -> None:
    """Counts of the three held-out pairs that are no tie; `own` is the selector it is told."""
    adapters = federation.bank(2)
    found = [numbers(federation.ask(AGREEMENT, adapters, own=own)) for own in (0, 1)]
    for own, counts in enumerate(found):
        selectors = counts["selectors"]
        assert isinstance(selectors, list) and counts["own"] == selectors[own]
        assert (counts["num-examples"], counts["ties"], counts["left_out"]) == (3, 1, 0)
        assert 0 <= counts["vote"] <= 3 and counts["length"] == 3  # type: ignore[operator]


# ------------------------------------------------------------------------------------ what it keeps


def texts() -> set[str]:
    """Return every text of every shard: prompts, completions, notes."""
    found = set()
    for one in SHARDS.values():
        for p in one.preferences:
            prompt = p.prompt if isinstance(p.prompt, str) else p.prompt[0]["content"]
            found |= {prompt, p.chosen, p.rejected, p.columns["note"]}
    return found


def leaks(wire: Iterable[bytes]) -> set[str]:
    """Return the texts that occur in serialised messages, in any of three encodings."""
    everything = b"\n".join(wire)
    return {text for text in texts() for code in ("utf-8", "utf-16-le", "utf-32-le")
            if text.encode(code) in everything}


def test_no_text_of_a_shard_crosses_the_network(run_dir: Path) -> None:
    """Every kind of message in both directions, as serialised bytes, holds none of 156 texts.

    The roll call, training, ranking, validation and agreement are all among them; and the search
    does find a text that is in a message.
    """
    federation = Federation(run_dir)
    progress = Progress(to_arrays(federation.bank(2)))
    settings = load("select.rounds=1 select.clients_per_round=3 select.evaluate_every=1").select
    strategy = FedBiscuit(selectors=2, warmup_rounds=0)
    records = list(run_rounds(federation.grid, strategy, progress, settings, 0))
    federation.ask(AGREEMENT, federation.bank(2), own=0)
    assert [record.rejected for record in records] == [[]]
    assert set(federation.grid.costs) == {"train", "evaluate", RANK, AGREEMENT}
    wire = federation.wire.wire
    assert len(texts()) == 3 * 13 * 4 and len(wire) == 2 * (2 + 3 + 3 + 3 + 1)
    assert leaks(wire) == set()
    assert leaks([*wire, b"..." + pair("ben", "test", 1).rejected.encode() + b"..."]) == {
        pair("ben", "test", 1).rejected}
    record = ConfigRecord({"x": pair("ben", "test", 0).chosen})
    message = Message(RecordDict({"x": record}), 1, RANK)
    assert leaks([message_to_proto(message).SerializeToString()])


def test_an_error_does_not_quote_the_shard(run_dir: Path, tmp_path: Path) -> None:
    """A client none of whose pairs fits, or that fails otherwise, says so without the texts."""
    federation = Federation(run_dir, more="+faults.anna=raise selector.max_tokens=16")
    asked = [federation.message("train", federation.bank(1), node) for node in (1, 2, 3)]
    replies = federation.grid.send_and_receive(asked)
    assert all(reply.has_error() for reply in replies)
    assert "selector.max_tokens=16" in replies[1].error.reason
    assert leaks(federation.wire.wire) == set()


@pytest.mark.parametrize("damage", [
    lambda row: {key: value for key, value in row.items() if key != "chosen"},
    lambda row: {**row, "more": row["chosen"]},
    lambda row: {**row, "split": row["chosen"]},
    lambda row: {**row, "prompt": [row["chosen"]]},
    lambda row: {**row, "shard": [row["chosen"]]},
])
def test_a_broken_row_is_not_quoted_to_the_server(run_dir: Path, tmp_path: Path,
                                                  damage: Callable[[dict], dict]) -> None:
    """A node whose file has a bad row fails the roll call, and names the file, not the texts."""
    (tmp_path / "partition" / "shards").mkdir(parents=True)
    for path in (run_dir / "partition").rglob("*.json*"):
        lines = path.read_text("utf-8").splitlines()
        if path.name == "0001.jsonl":
            lines[2] = json.dumps(damage(json.loads(lines[2])))
        (tmp_path / path.relative_to(run_dir)).write_text("\n".join(lines), "utf-8")
    wire = Recording(app, 2, {"overrides": f"run.dir={tmp_path}"})
    with pytest.raises(RunFailed, match="0001.jsonl"):
        call_roll(wire, NAMES, 1.0)
    assert leaks(wire.wire) == set()


def test_a_new_shard_is_read(run_dir: Path, tmp_path: Path) -> None:
    """The population is divided again in the same process: the clients see the new pairs."""
    def held() -> list[int]:
        wire = LocalGrid(app, 1, {"overrides": f"run.dir={tmp_path}"})
        return [client.train for client in call_roll(wire, ["anna"], 1.0)]

    for pairs in (6, 4):
        anna = Shard("anna", *(tuple(pair("anna", split, i) for i in range(pairs))
                               for split in SIZES))
        write_population(tmp_path / "partition", Population((anna,)), {})
        assert held() == [sum(not p.tie for p in anna.train)]


# ---------------------------------------------------------------------------------- what it refuses


@pytest.mark.parametrize(("fault", "reason"), [
    ("raise", "failed: RuntimeError: this client was told to fail (faults)"),
    ("nan", "selector_0 holds values that are not finite"),
    ("shape", "selector_0 has shape"),
    ("inflate", "times the median"),
])
def test_faults_end_as_rejections(run_dir: Path, fault: str, reason: str) -> None:
    """ben alone is rejected, by name and with the reason; the round goes on without him."""
    federation = Federation(run_dir, more=f"+faults.ben={fault}")
    progress = Progress(to_arrays(federation.bank(1)))
    settings = load("select.rounds=1 select.clients_per_round=3").select
    record: RoundRecord = next(run_rounds(federation.grid, FedBis(), progress, settings, 0))
    assert record.rejected == [Rejection("ben", record.rejected[0].reason)]
    assert reason in record.rejected[0].reason
    assert set(record.client_metrics) == {"anna", "cleo"} and progress.bad_rounds == 0
    assert np.isfinite(from_arrays(progress.arrays)[0]).all()


def test_other_adapters_are_refused(run_dir: Path) -> None:
    """The server sends a layout of another rank: no client trains, and says what differs."""
    federation = Federation(run_dir)
    federation.grid.layout = "another"
    replies = federation.grid.send_and_receive(
        [federation.message(kind, federation.bank(1)) for kind in ("train",)])
    assert replies[0].error.reason == (
        f"UserError: this client's adapter layout is {federation.slot.layout.digest}, the server's "
        "another: selector.model or selector.adapter differ between the two")


@pytest.mark.parametrize("kind", ["train", "evaluate", RANK, AGREEMENT, ROLL_CALL])
def test_other_code_is_refused(federation: Federation, kind: str) -> None:
    """Whatever is asked, a server with another source hash gets an error."""
    record = ConfigRecord({**envelope("anna", ""), "source": "0" * 16})
    message = federation.message(kind, federation.bank(1))
    message.content[ENVELOPE] = record
    reply, = federation.wire.send_and_receive([message])
    assert reply.has_error() and "the server 0000000000000000: install" in reply.error.reason


def test_a_client_that_is_not_here(federation: Federation) -> None:
    """Node 2 holds ben; it names whom it holds, and does not answer for anna."""
    message = federation.message("train", federation.bank(1), node=2)
    message.content[ENVELOPE] = envelope("anna", "")
    reply, = federation.wire.send_and_receive([message])
    assert reply.error.reason == "UserError: this SuperNode holds ben, not 'anna'"


# --------------------------------------------------------------------------------------- deployment


def roll(node_config: dict[str, str | int], overrides: str = "") -> list[str]:
    """Ask a SuperNode with this node configuration which clients it holds."""
    context = Context(run_id=1, node_id=1, node_config=node_config, state=RecordDict(),
                      run_config={"overrides": overrides})
    message = Message(RecordDict({ENVELOPE: envelope("", "")}), 1, ROLL_CALL)
    message.metadata.__dict__["_message_id"] = "1"
    answer = app(message, context).content.config_records[ENVELOPE]
    return list(answer["client-ids"])  # type: ignore[arg-type]


def test_a_deployed_node_needs_only_its_shards(run_dir: Path, tmp_path: Path) -> None:
    """One file or two, given in the node's configuration; the run's folder is not read."""
    files = [run_dir / "partition" / "shards" / f"{i:04d}.jsonl" for i in range(3)]
    elsewhere = f"run.dir={tmp_path}"
    assert roll({"shard": str(files[1])}, elsewhere) == ["ben"]
    assert roll({"shard": f"{files[2]},{files[0]}"}, elsewhere) == ["cleo", "anna"]


def test_a_node_without_shards_says_what_to_do(run_dir: Path, tmp_path: Path) -> None:
    """Neither a shard nor a number; a shard that is absent; a population that is absent."""
    cases: list[tuple[Callable[[], object], str]] = [
        (lambda: roll({}), "--node-config 'shard="),
        (lambda: roll({"shard": str(tmp_path / "x.jsonl")}), "x.jsonl"),
        (lambda: roll({"partition-id": 0, "num-partitions": 1}, f"run.dir={tmp_path}"),
         "population.json"),
    ]
    for ask, message in cases:
        with pytest.raises(DataError, match=message) as refusal:
            ask()
        assert isinstance(refusal.value, UserError)


def test_every_client_is_on_one_of_the_nodes(run_dir: Path) -> None:
    """For 1 to 4 SuperNodes each client is on exactly one; a fourth node holds nobody."""
    for count in (1, 2, 3, 4):
        held = [roll({"partition-id": i, "num-partitions": count}, f"run.dir={run_dir}")
                for i in range(count)]
        assert sorted(sum(held, [])) == list(NAMES) and max(map(len, held)) == -(-3 // count)
