"""A federation of real processes, by the commands of docs/deploy.md: TLS, keys, two sites.

In one story a stranger knocks, a SuperNode is killed in the first round and started again, the run
is stopped in the second round and continued by its own command.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from deployed_sites import Hosts, hosts, status, wait_until
from small_runs import adapter_hashes

import fedrlhf
from fedrlhf.config import build, load
from fedrlhf.data.population import read_index

pytestmark = pytest.mark.slow

# The tutor's students, as two people who live at two sites.
STUDENTS = {"student_000": "ann", "student_001": "bob"}
SMALL = ("select.rounds=2", "select.clients_per_round=2", "objective.local_steps=2",
         "objective.batch_size=4", "evaluate.resamples=200")


@dataclass
class Story:
    """What happened."""

    hosts: Hosts
    run: Path
    simulation: Path
    refused: str
    stopped_code: int
    stopped_status: str
    rounds_when_stopped: int
    code: int

    def log(self, name: str) -> str:
        """Return what a command of the server has written."""
        return self.hosts.log("server", name).read_text()


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Let everything happen once; the tests look at what came of it."""
    root = tmp_path_factory.mktemp("hosts")
    everyone = preferences(root)
    with hosts(root) as there:
        begin_federation(there)
        stranger = start_node(there, "stranger")
        run = there.folder("server") / "runs" / "one"
        first = there.start("server: a run", "server", SMALL, name="first")
        there.wait_for_training("bob", 1, first)
        there.kill("bob", "the_SuperNode")
        simulation = fedrlhf.run([
            *SMALL, "strategy=fedbis", "data=jsonl", f"data.path={everyone}",
            "run.stages=[partition,select,evaluate]", f"run.dir={root / 'simulation'}",
            "runtime.engine=local"]).path
        restart(there, "bob")
        there.wait_for_training("ann", 2, first)
        run_id, = re.findall(r"flwr stop (\d+)", there.log("server", "first").read_text())
        there.do("server: stop", "server", RUN_ID=run_id)
        stopped = first.wait(timeout=120), status_after_stop(run), rounds(run)
        second = there.start("server: a run", "server", SMALL, name="second")
        code = second.wait(timeout=300)
        assert stranger.poll() is not None
        yield Story(there, run, simulation, there.log("stranger", "the_SuperNode").read_text(),
                    *stopped, code)


def preferences(root: Path) -> Path:
    """Write each site's preferences to its own file, and all of them to the simulation's."""
    pairs = build(load("data.clients=2 data.groups=2 data.pairs_per_client=24").data,
                  "data").preferences()
    lines: dict[str, list[str]] = {"ann": [], "bob": [], "everyone": []}
    for pair in pairs:
        person = STUDENTS[pair.client_id]
        row = {"prompt": pair.prompt, "chosen": pair.chosen, "rejected": pair.rejected}
        lines[person].append(json.dumps(row))
        lines["everyone"].append(json.dumps({**row, "client_id": person}))
    for folder, rows in lines.items():
        (root / folder).mkdir()
        (root / folder / "preferences.jsonl").write_text("\n".join(rows) + "\n", "utf-8")
    return root / "everyone" / "preferences.jsonl"


def begin_federation(there: Hosts) -> None:
    """Make certificates, keys and shards; start the SuperLink and both SuperNodes."""
    there.do("server: certificates", "server")
    there.start("server: the SuperLink", "server")
    keys = there.folder("server") / "keys"
    keys.mkdir()
    for site in ("ann", "bob"):
        there.do("ann: key and shard", site)
        (keys / f"{site}.pub").write_bytes((there.folder(site) / "fedrlhf/key.pub").read_bytes())
    wait_until(lambda: "startup complete" in there.log("server", "the_SuperLink").read_text())
    there.do("server: the sites", "server")
    for site in ("ann", "bob"):
        start_node(there, site)


def start_node(there: Hosts, site: str):  # type: ignore[no-untyped-def]  # noqa: ANN201
    """Start a site's SuperNode; a stranger has a key of its own that nobody registered."""
    folder = there.folder(site) / "fedrlhf"
    if not folder.exists():
        (there.folder(site)).mkdir()
        (there.folder(site) / "preferences.jsonl").write_bytes(
            (there.folder("ann") / "preferences.jsonl").read_bytes())
        there.do("ann: key and shard", site)
    (folder / "ca.crt").write_bytes((there.folder("server") / "certificates/ca.crt").read_bytes())
    return there.start("ann: the SuperNode", site)


def restart(there: Hosts, site: str) -> None:
    """Start a SuperNode again until the SuperLink takes it, as a supervisor does."""
    log = there.log(site, "the_SuperNode")
    starts = log.read_text().count("SuperNode ID")
    process = start_node(there, site)

    def up() -> bool:
        nonlocal process
        if process.poll() is not None:
            process = start_node(there, site)
        return log.read_text().count("SuperNode ID") > starts

    wait_until(up, 120)


def rounds(run: Path) -> int:
    """Count the finished rounds."""
    return len((run / "select" / "rounds.jsonl").read_text().splitlines())


def status_after_stop(run: Path) -> str:
    """Wait until the ServerApp has written how it ended."""
    wait_until(lambda: status(run) != "running", 60)
    return status(run)


def test_the_adapters_of_the_simulation(story: Story) -> None:
    """After a kill, a restart, a stop and a continuation: every adapter has the same bits."""
    assert story.code == 0, story.log("second")
    assert adapter_hashes(story.run) == adapter_hashes(story.simulation)
    assert len(adapter_hashes(story.run)) == 1


def test_the_same_agreement(story: Story) -> None:
    """Held-out agreement and all other results equal the simulation's, but for times and bytes."""
    found, expected = (json.loads((run / "results.json").read_text())
                       for run in (story.run, story.simulation))
    def measured(results: dict[str, float]) -> dict[str, float]:
        return {name: value for name, value in results.items()
                if not name.startswith(("seconds", "bytes"))}
    assert measured(found) == measured(expected)
    assert found["selector.held_out_pairs"] > 0


def test_no_update_was_lost(story: Story) -> None:
    """The killed SuperNode's client is in every round; nobody was rejected."""
    found = [json.loads(line) for line in
             (story.run / "select" / "rounds.jsonl").read_text().splitlines()]
    assert [sorted(row["client_metrics"]) for row in found] == [["ann", "bob"]] * 2
    assert [row["rejected"] for row in found] == [[], []]


def test_the_server_holds_names_and_numbers(story: Story) -> None:
    """Its index has both clients' sizes and no statistics of choices; no shard lies beside it."""
    folder = story.run / "partition"
    index, other = read_index(folder), read_index(story.simulation / "partition")
    assert [(e.client_id, e.sizes) for e in index.shards] == [
        (e.client_id, e.sizes) for e in other.shards]
    assert set(index.summary) == {"clients", "pairs", "sizes", "rows"}
    assert {path.name for path in folder.iterdir()} == {"population.json", "stage.json"}
    pair = json.loads((story.hosts.folder("ann") / "preferences.jsonl").open().readline())
    kept = b"".join(path.read_bytes() for path in story.run.rglob("*") if path.is_file())
    assert pair["chosen"].encode() not in kept
    assert "selector.agreement" in (story.run / "results.json").read_text()
    assert "The shards" in (story.run / "report.html").read_text()


def test_an_unregistered_key_is_refused(story: Story) -> None:
    """The stranger's SuperNode ends with Flower's code 305."""
    assert "Failed to activate SuperNode" in story.refused
    assert "SuperNode ID" not in story.refused


def test_a_stopped_run_says_so(story: Story) -> None:
    """`flwr stop` in the second round: exit code 1, one sentence, the manifest, a true attempt."""
    assert story.stopped_code == 1
    assert "it was stopped; the same command continues it" in story.log("first")
    assert "Traceback" not in story.log("first")
    assert (story.stopped_status, story.rounds_when_stopped) == ("interrupted", 1)
    manifest = json.loads((story.run / "manifest.json").read_text())
    assert (manifest["status"], manifest["attempts"]) == ("completed", 2)
