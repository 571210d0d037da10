"""partition in a deployment, over sites that hold only their own shards: the real apps, no wire."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from flwr.app import Context as FlowerContext
from flwr.app import RecordDict

from fedrlhf.client_app import app
from fedrlhf.config import build, load, split_overrides
from fedrlhf.data.partition import partition
from fedrlhf.data.population import read_index, write_shard
from fedrlhf.errors import DataError, FedrlhfError, RunFailed
from fedrlhf.federation.flower_internals import server_identity
from fedrlhf.federation.local_grid import LocalGrid
from fedrlhf.server_app import execute
from fedrlhf.tracking.progress import ProgressReport
from fedrlhf.tracking.run_directory import RunDirectory

SMALL = ("strategy=fedbis select.rounds=1 select.clients_per_round=2 objective.local_steps=1 "
         "objective.batch_size=2 evaluate.resamples=100 select.reply_timeout=1 data=sites")


@dataclass
class SiteGrid(LocalGrid):
    """SuperNode i holds the i-th file, as its node configuration says."""

    files: tuple[Path, ...] = ()

    def _context(self, node: int) -> FlowerContext:
        return FlowerContext(
            run_id=1, node_id=node, state=RecordDict(), run_config=dict(self.run_config),
            node_config={"shard": str(self.files[node - 1])})


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """Write the shards of three students, each in a folder of its own."""
    config = load("data.clients=3 data.groups=3 data.pairs_per_client=24")
    population = partition(build(config.data, "data").preferences(), config.partition, 0)
    folder = tmp_path_factory.mktemp("sites")
    files = []
    for shard in population.shards:
        files.append(folder / shard.client_id / "shard.jsonl")
        files[-1].parent.mkdir()
        write_shard(files[-1], shard)
    return tuple(files)


def run(folder: Path, shards: tuple[Path, ...], clients: str, more: str = "") -> RunDirectory:
    """Run the server's stages with a SuperNode for each file."""
    overrides = (f"{SMALL} run.dir={folder} runtime.engine=deployment "
                 f"'runtime.clients=[{clients}]' 'run.stages=[partition,select,evaluate]' {more}")
    words = split_overrides(overrides)
    with server_identity():
        grid = SiteGrid(app, len(shards), {"overrides": overrides}, files=shards)
        return execute(load(words), words, grid, ProgressReport())


def test_the_population_is_made_of_the_answers(shards: tuple[Path, ...], tmp_path: Path) -> None:
    """Ids and sizes of the expected clients alone; a report without statistics of choices."""
    found = run(tmp_path / "run", shards, "student_002,student_000")
    index = read_index(found.path / "partition")
    assert [entry.client_id for entry in index.shards] == ["student_000", "student_002"]
    for entry, file in zip(index.shards, (shards[0], shards[2]), strict=True):
        rows = file.read_text().splitlines()
        assert sum(entry.sizes.values()) == len(rows) == 24
        assert (entry.file, entry.ties) == (None, None)
    assert set(index.summary) == {"clients", "pairs", "sizes", "rows"}
    assert index.summary["pairs"] == 48
    assert not (found.path / "partition" / "shards").exists()
    page = (found.path / "report.html").read_text()
    assert "The shards" in page and "Nothing was left out." not in page
    assert "prefer the longer completion" not in page


def test_missing_clients_are_named(shards: tuple[Path, ...], tmp_path: Path) -> None:
    """Two of three never register: the run ends with their names after the time."""
    with pytest.raises(RunFailed, match=r"2 clients are missing .*: carl, dora.*not running"):
        run(tmp_path / "run", shards, "student_000,carl,dora")
    assert RunDirectory(tmp_path / "run").manifest()["status"] == "failed"
    assert not (tmp_path / "run" / "partition" / "population.json").exists()


def shrink(file: Path) -> None:
    """Take a training pair out of a shard."""
    lines = file.read_text().splitlines()
    assert '"split": "train"' in lines[0]
    file.write_text("\n".join(lines[1:]) + "\n", "utf-8")


@pytest.mark.parametrize(("change", "more", "error", "message"), [
    (shrink, "select.rounds=1", DataError, "shards changed since this run began: student_000"),
    (lambda file: None, "run.seed=1", FedrlhfError, "run.seed: 0 -> 1"),
])
def test_what_a_continued_run_refuses(change: Callable[[Path], None], more: str,
                                      error: type[FedrlhfError], message: str,
                                      shards: tuple[Path, ...], tmp_path: Path) -> None:
    """Another shard at a site, another seed: the run is not the same any more."""
    own = []
    for file in shards[:2]:
        own.append(tmp_path / file.parent.name)
        shutil.copy(file, own[-1])
    clients = "student_000,student_001"
    run(tmp_path / "run", tuple(own), clients)
    shutil.rmtree(tmp_path / "run" / "select")  # as if it had been stopped before its first round
    change(own[0])
    with pytest.raises(error, match=message):
        run(tmp_path / "run", tuple(own), clients, more)


def test_a_run_of_sites_is_no_simulation(shards: tuple[Path, ...], tmp_path: Path) -> None:
    """The same folder on another engine: the stage's settings differ, and are named."""
    run(tmp_path / "run", shards, "student_000,student_001")
    words = split_overrides(f"{SMALL} run.dir={tmp_path / 'run'} runtime.engine=local")
    with server_identity(), pytest.raises(FedrlhfError, match="made with other settings"):
        execute(load(words), words, LocalGrid(app, 1, {"overrides": " ".join(words)}),
                ProgressReport())


def test_sites_have_no_preferences_for_the_server() -> None:
    """data=sites has prompts at most; a simulation with it is refused in words."""
    source = build(load("data=sites").data, "data")
    assert source.instructions().label == () and source.truth() is None
    with pytest.raises(DataError, match=r"the preferences are at the sites"):
        source.preferences()


def test_the_servers_prompts(tmp_path: Path) -> None:
    """data.instructions is read as with data=jsonl: every fourth prompt is for evaluation."""
    file = tmp_path / "prompts.jsonl"
    file.write_text("".join(f'{{"prompt": "q{n}"}}\n' for n in range(8)), "utf-8")
    found = build(load(f"data=sites data.instructions={file}").data, "data").instructions()
    assert (len(found.label), len(found.evaluate)) == (6, 2)
