"""Which changes of settings and files are noticed, and what a stage goes on from."""

import json
import shutil
from pathlib import Path

import pytest
from safetensors.numpy import load_file

import fedrlhf
from fedrlhf.errors import UserError
from fedrlhf.stages.pipeline import _judge_folders
from fedrlhf.tracking.run_directory import model_digest

pytestmark = pytest.mark.slow
TINY = ["data.clients=4", "data.groups=2", "data.pairs_per_client=20", "objective.local_steps=1",
        "objective.batch_size=2", "select.clients_per_round=2", "select.evaluate_every=2",
        "evaluate.resamples=100", "runtime.engine=local"]
STRATEGIES = {
    "fedbis": [],
    "fedbiscuit": ["strategy.selectors=2", "strategy.warmup_rounds=1", "strategy.regroup_every=2"],
    "fedadam": [],
}


def made(run: Path) -> tuple[dict[str, bytes], list[str], list[object]]:
    """Return what a run has made of its rounds, without times: adapters, numbers, results."""
    adapters = {path.parent.name: path.read_bytes()
                for path in run.glob("select/selector_*/adapter_model.safetensors")}
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    numbers = [repr(row) for row in rows if row["name"] != "seconds"]
    records = [json.loads(line) for line in (run / "select/rounds.jsonl").read_text().splitlines()]
    for record in records:
        del record["seconds"]
    results = json.loads((run / "results.json").read_text())
    others = [records, json.loads((run / "select/grouping.json").read_text()),
              {name: value for name, value in results.items() if not name.startswith("seconds")}]
    return adapters, numbers, others


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_more_rounds_go_on_from_the_checkpoint(strategy: str, tmp_path: Path) -> None:
    """3 rounds and then 4 are 4 rounds bit for bit, moments and groups included.

    An evaluation is made anew: all results but times are those of the longer run.
    """
    stages = ["partition", "select"] + (["evaluate"] if strategy == "fedbiscuit" else [])
    words = [*TINY, f"strategy={strategy}", *STRATEGIES[strategy],
             f"run.stages=[{','.join(stages)}]"]
    grown, whole = ([*words, f"run.dir={tmp_path / name}"] for name in ("grown", "whole"))
    fedrlhf.run([*grown, "select.rounds=3"])
    first = (tmp_path / "grown/select/rounds.jsonl").read_text()
    with pytest.raises(UserError, match=r"rounds: 3 -> 4.*redo_changed=true to go on with select"):
        fedrlhf.run([*grown, "select.rounds=4"])
    fedrlhf.run([*grown, "select.rounds=4", "run.redo_changed=true"])
    assert (tmp_path / "grown/select/rounds.jsonl").read_text().startswith(first)
    fedrlhf.run([*whole, "select.rounds=4"])
    assert made(tmp_path / "grown") == made(tmp_path / "whole")


def test_fewer_rounds_or_another_change_start_anew(tmp_path: Path) -> None:
    """1 round after 2, or 2 rounds with another optimiser, share no round with the first run."""
    words = [*TINY, "strategy=fedbis", "run.stages=[partition,select]", "run.redo_changed=true",
             f"run.dir={tmp_path / 'run'}"]
    rounds = tmp_path / "run/select/rounds.jsonl"
    fedrlhf.run([*words, "select.rounds=2"])
    seen = [rounds.read_text().splitlines()[0]]
    for more in (["select.rounds=1"], ["select.rounds=2", "objective.optimizer=sgd"]):
        fedrlhf.run([*words, *more])
        seen.append(rounds.read_text().splitlines()[0])
    assert len(rounds.read_text().splitlines()) == 2
    assert len(set(seen)) == 3  # another time, at least


def test_an_edited_model_is_noticed(tiny_llama: Path, tmp_path: Path) -> None:
    """A copy in the same place is the same model; one changed weight makes it another one."""
    model = tmp_path / "model"
    shutil.copytree(tiny_llama, model)
    words = [*TINY, "strategy=fedbis", "select.rounds=1", "run.stages=[partition,select]",
             f"selector.model.path={model}", f"run.dir={tmp_path / 'run'}"]
    fedrlhf.run(words)
    shutil.rmtree(model)
    shutil.copytree(tiny_llama, model)
    fedrlhf.run(words)
    weights = model / "model.safetensors"
    assert load_file(weights)
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(UserError, match=r"models\.selector\.model: \w+ -> \w+"):
        fedrlhf.run(words)


def test_a_judge_that_was_trained_anew_is_noticed(tmp_path: Path) -> None:
    """The digest of each trained judge that a reward names, wherever it is a folder here."""
    adapter = tmp_path / "select" / "selector_0" / "adapter_model.safetensors"
    adapter.parent.mkdir(parents=True)
    seen = []
    for content in (b"one", b"two"):
        adapter.write_bytes(content)
        seen.append(_judge_folders({"shared": {"adapter": str(tmp_path / "select")},
                                    "personal": {"folder": "/at/the/sites"}}))
    assert [set(found) for found in seen] == [{"shared.adapter"}] * 2 and seen[0] != seen[1]


def test_which_files_make_a_model(tmp_path: Path) -> None:
    """Both ends and the size of a large file, all of a small one, and names; no hidden file."""
    folder = tmp_path / "model"
    folder.mkdir()
    large, size = folder / "large.safetensors", 65 * 2**20
    with large.open("wb") as file:
        file.truncate(size)
    (folder / "config.json").write_text("{}")
    seen = [model_digest(folder)]
    for place in (0, size - 1, size + 5):
        with large.open("r+b") as file:
            file.seek(place)
            file.write(b"x")
        seen.append(model_digest(folder))
    (folder / "config.json").write_text('{"a": 1}')
    seen.append(model_digest(folder))
    (folder / "config.json").rename(folder / "other.json")
    seen.append(model_digest(folder))
    assert len(set(seen)) == 6
    (folder / ".cache").mkdir()
    (folder / ".cache" / "download.lock").write_text("x")
    assert model_digest(folder) == seen[-1]
