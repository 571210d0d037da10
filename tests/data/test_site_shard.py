"""A site's own shard: the bytes that a simulation with everybody's preferences gives it."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from fedrlhf.cli import main
from fedrlhf.config import build, load
from fedrlhf.config.schema import Partition
from fedrlhf.data.partition import partition
from fedrlhf.data.population import read_shard, write_population
from fedrlhf.data.site_shard import site_shard
from fedrlhf.data.summary import summarise
from fedrlhf.errors import ConfigError, DataError
from fedrlhf.types import PreferencePair


def rows(client: str, count: int) -> list[dict[str, object]]:
    """Make choices of a client over 20 prompts that all clients share; the first is a tie."""
    return [{"prompt": f"question {n % 20}", "chosen": f"{client} {n}", "rejected": "other",
             "client_id": client, "tie": n == 0, "site": f"site of {client}"}
            for n in range(count)]


def write(path: Path, content: Sequence[dict[str, object]]) -> Path:
    """Write rows in a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in content), "utf-8")
    return path


def simulated(folder: Path, overrides: str) -> dict[str, bytes]:
    """Return the shard files, by client, of a partition of everybody's preferences."""
    config = load(overrides)
    population = partition(build(config.data, "data").preferences(), config.partition,
                           config.run.seed)
    write_population(folder, population, summarise(population))
    return {read_shard(path).client_id: path.read_bytes() for path in folder.glob("shards/*")}


@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.parametrize("named", [True, False])
def test_the_bytes_of_the_simulation(named: bool, seed: int, tmp_path: Path,
                                     capsys: pytest.CaptureFixture[str]) -> None:
    """Three sites with a file each, with and without a client_id in its rows; two seeds."""
    people = {"ann": 40, "bob": 25, "cleo": 31}
    everyone = write(tmp_path / "choices.jsonl",
                     [row for name, count in people.items() for row in rows(name, count)])
    expected = simulated(tmp_path / "run", f"data=jsonl data.path={everyone} run.seed={seed}")
    for name, count in people.items():
        local = write(tmp_path / name / "choices.jsonl",
                      [{key: value for key, value in row.items() if named or key != "client_id"}
                       for row in rows(name, count)])
        out = tmp_path / name / "private" / "shard.jsonl"
        assert main(["shard", "data=jsonl", f"data.path={local}", f"run.seed={seed}",
                     "--client-id", name, "--out", str(out)]) == 0
        assert out.read_bytes() == expected[name]
        assert f"{name}: " in (text := capsys.readouterr().out) and str(out) in text
    other = simulated(tmp_path / "other", f"data=jsonl data.path={everyone} run.seed={seed + 1}")
    assert all(expected[name] != other[name] for name in people)


def test_any_source_and_any_column(tmp_path: Path) -> None:
    """A simulated student; several people of one site as one client; rows of others left out."""
    tutor = simulated(tmp_path / "tutor", "data.clients=3 data.pairs_per_client=30")
    out = tmp_path / "one.jsonl"
    assert main(["shard", "data.clients=3", "data.pairs_per_client=30",
                 "--client-id", "student_001", "--out", str(out)]) == 0
    assert out.read_bytes() == tutor["student_001"]

    file = write(tmp_path / "all.jsonl", [*rows("ann", 30), *rows("bob", 30)])
    by_site = f"data=jsonl data.path={file} partition.column=site"
    expected = simulated(tmp_path / "sites", by_site)
    assert main(["shard", *by_site.split(), "--client-id", "site of bob", "--out", str(out)]) == 0
    assert out.read_bytes() == expected["site of bob"]


def pairs(count: int, client: str = "") -> list[PreferencePair]:
    """Make choices on different prompts."""
    return [PreferencePair(f"q{n}", "a", "b", client, "s") for n in range(count)]


def test_a_column_that_the_rows_lack_is_the_clients() -> None:
    """With partition.column=hospital and rows without one, the client is the hospital."""
    found = site_shard(pairs(12), "north", Partition(column="hospital"), 0)
    assert found.client_id == "north" and len(found.preferences) == 12
    assert {pair.columns["hospital"] for pair in found.preferences} == {"north"}


@pytest.mark.parametrize(("settings", "key"), [
    (Partition(by="iid", clients=2), "partition.by=iid"),
    (Partition(split_scope="global"), "partition.split_scope=global"),
    (Partition(pool_training=True), "partition.pool_training=True"),
])
def test_what_a_site_cannot_know(settings: Partition, key: str) -> None:
    """Partitions that need everybody's preferences are refused by name."""
    with pytest.raises(ConfigError, match=key):
        site_shard(pairs(20), "ann", settings, 0)


def test_what_the_site_does_not_hold() -> None:
    """Another client's rows, and too few of them, are refused with what there is."""
    with pytest.raises(DataError, match="no preference has 'ann' in the column 'client_id'; it "
                                        "holds bob"):
        site_shard(pairs(20, "bob"), "ann", Partition(), 0)
    with pytest.raises(DataError, match=r"lower partition\.min_pairs"):
        site_shard(pairs(3), "ann", Partition(), 0)
    with pytest.raises(DataError, match="no preferences"):
        site_shard([], "ann", Partition(), 0)
