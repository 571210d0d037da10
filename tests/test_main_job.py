"""The main job as its user meets it, on the local engine and the embedded tutor."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from safetensors.numpy import load_file
from small_runs import adapter_hashes, small

import fedrlhf
from fedrlhf.errors import RunFailed, UserError

pytestmark = pytest.mark.slow


def test_the_names_that_other_tools_rely_on(small_run: Path) -> None:
    """Files, result names and adapters are where the documentation says."""
    for name in ("config.yaml", "manifest.json", "metrics.jsonl", "results.json", "report.html",
                 "label/pairs.parquet"):
        assert (small_run / name).stat().st_size > 0, name
    for folder in ("select/selector_0", "select/selector_1", "align/policy"):
        assert {path.name for path in (small_run / folder).iterdir()} == {
            "adapter_config.json", "adapter_model.safetensors", "README.md"}
    results = json.loads((small_run / "results.json").read_text())
    wanted = {"selector.agreement", "selector.agreement_oracle", "selector.agreement_length_rule",
              "grouping.ari", "policy.utility_before", "policy.utility_after",
              "policy.utility_gain_low", "policy.utility_gain_high", "policy.win_rate",
              "seconds.total", "bytes.up", "bytes.down"}
    assert wanted <= results.keys()
    assert all(isinstance(value, float | int) and math.isfinite(value)
               for value in results.values())


def test_the_manifest_says_what_made_the_run(small_run: Path) -> None:
    """Versions, seed, how it ended and hashes that a reader can check."""
    manifest = json.loads((small_run / "manifest.json").read_text())
    assert manifest["status"] == "completed"
    assert manifest["seed"] == 0
    assert manifest["error"] is None
    assert {"flwr", "torch", "transformers", "peft", "trl"} <= manifest["versions"].keys()
    assert adapter_hashes(small_run).items() <= manifest["hashes"].items()


def test_metrics_are_records_of_stage_step_name_value(small_run: Path) -> None:
    """Each round and each DPO step is there once, in order."""
    records = [json.loads(line) for line in (small_run / "metrics.jsonl").read_text().splitlines()]
    assert all(record.keys() == {"stage", "step", "name", "value"} for record in records)
    def steps(stage: str, name: str) -> list[int]:
        return [r["step"] for r in records if (r["stage"], r["name"]) == (stage, name)]
    assert steps("select", "train_loss") == [1, 2, 3, 4, 5]
    assert steps("align", "loss") == [1, 2, 3, 4, 5, 6]


def test_the_reference_is_the_start_policy(small_run: Path) -> None:
    """At DPO's first step policy and reference are equal, so the loss is -log sigmoid(0) = ln 2."""
    records = [json.loads(line) for line in (small_run / "metrics.jsonl").read_text().splitlines()]
    first = {r["name"]: r["value"] for r in records if (r["stage"], r["step"]) == ("align", 1)}
    assert first["loss"] == pytest.approx(math.log(2), abs=1e-3)
    assert first["rewards/margins"] == pytest.approx(0, abs=1e-3)


def test_pairs_have_trls_columns_votes_and_provenance(small_run: Path) -> None:
    """Each row's votes follow from its selectors' log-odds."""
    rows = pq.read_table(small_run / "label" / "pairs.parquet").to_pylist()
    assert rows
    for row in rows:
        assert row["prompt"][0]["role"] == "user"
        assert row["chosen"][0]["content"] != row["rejected"][0]["content"]
        assert row["log_odds"] == pytest.approx(np.mean(row["selector_log_odds"]))
        decided = sum((np.sign(value) + 1) / 2 for value in row["selector_log_odds"])
        assert row["votes"] == pytest.approx(decided)
        assert 0 <= row["instruction"] < 6


def test_adapters_hold_what_peft_expects(small_run: Path) -> None:
    """PEFT loads each of them onto the base model, and training has moved B away from zero."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from fedrlhf.models.load import resolve

    for name in ("select/selector_0", "align/policy"):
        base = AutoModelForCausalLM.from_pretrained(resolve("tiny_tutor"))
        model = PeftModel.from_pretrained(base, small_run / name)
        saved = load_file(small_run / name / "adapter_model.safetensors")
        loaded = dict(model.named_parameters())
        key = next(iter(saved))
        weight = loaded[key.replace(".weight", ".default.weight")].detach().numpy()
        np.testing.assert_array_equal(weight, saved[key])
        assert any(np.abs(value).max() > 0 for k, value in saved.items() if "lora_B" in k)


def test_bytes_are_those_of_adapters_and_numbers(small_run: Path) -> None:
    """Each of 5 rounds sends 2 clients one adapter and gets one back; the rest is counted too.

    Two selectors go to all 4 clients at each regrouping (after the warm-up's 2 rounds, before
    rounds 3, 4 and 5) and again for the final agreement: (10 + 3 * 8 + 8) adapters down.
    """
    results = json.loads((small_run / "results.json").read_text())
    size = sum(v.nbytes for v in load_file(
        small_run / "select/selector_0/adapter_model.safetensors").values())
    assert results["bytes.down"] == (10 + 3 * 8 + 8) * size
    assert 10 * size < results["bytes.up"] < 10 * size + 10_000


def test_the_same_command_again_changes_nothing(small_run: Path, tmp_path: Path) -> None:
    """A finished run is recognised stage by stage: results and adapters stay as they are."""
    copy = tmp_path / "run"
    shutil.copytree(small_run, copy)
    before = {path: path.stat().st_mtime_ns for path in copy.glob("*/*.safetensors")}
    fedrlhf.run(small(copy))
    assert adapter_hashes(copy) == adapter_hashes(small_run)
    assert before == {path: path.stat().st_mtime_ns for path in copy.glob("*/*.safetensors")}
    old, new = (json.loads((p / "results.json").read_text()) for p in (small_run, copy))
    assert old == new


def test_changed_settings_are_refused_by_name(small_run: Path, tmp_path: Path) -> None:
    """The message names key, both values and the way out; nothing is lost."""
    copy = tmp_path / "run"
    shutil.copytree(small_run, copy)
    with pytest.raises(UserError, match=r"select\.rounds: 5 -> 6.*run\.redo_changed=true"):
        fedrlhf.run(small(copy, "select.rounds=6"))
    for name in (*adapter_hashes(small_run), "config.yaml", "manifest.json", "metrics.jsonl"):
        assert (copy / name).read_bytes() == (small_run / name).read_bytes(), name


@pytest.mark.parametrize("stage", ["label", "evaluate"])
def test_a_stage_without_what_it_builds_on(stage: str, tmp_path: Path) -> None:
    """Labelling or evaluating selectors that were never trained: said in one sentence."""
    with pytest.raises(UserError, match=f"{stage} needs select"):
        fedrlhf.run(small(tmp_path / "run", f"run.stages=[{stage}]"))


def test_another_strategy_object_is_another_setting(tmp_path: Path) -> None:
    """FedBis objects that differ in an argument: the second does not pass for the first."""
    from fedrlhf.federation.strategies import FedBis

    few = [word for word in small(tmp_path / "run", "run.stages=[partition,select]",
                                  "select.rounds=1") if not word.startswith("strategy.")]
    fedrlhf.run(few, strategy=FedBis())
    fedrlhf.run(few, strategy=FedBis())
    with pytest.raises(UserError, match=r"normalised: True -> False"):
        fedrlhf.run(few, strategy=FedBis(normalised=False))


def test_a_failed_run_fails_again(tmp_path: Path) -> None:
    """With every client failing no repetition ever ends in selectors that nobody trained."""
    broken = small(tmp_path / "run", *(f"+faults.student_00{n}=raise" for n in range(4)))
    for _ in range(3):
        with pytest.raises(RunFailed, match="told to fail"):
            fedrlhf.run(broken)
    assert not (tmp_path / "run" / "select" / "selector_0").exists()


def test_redo_changed_makes_later_stages_again(small_run: Path, tmp_path: Path) -> None:
    """Other label settings keep the selectors and make pairs and policy anew."""
    copy = tmp_path / "run"
    shutil.copytree(small_run, copy)
    fedrlhf.run(small(copy, "label.completions=2", "run.redo_changed=true"))
    old, new = adapter_hashes(small_run), adapter_hashes(copy)
    assert [name for name in old if old[name] == new[name]] == [
        "select/selector_0/adapter_model.safetensors",
        "select/selector_1/adapter_model.safetensors"]
    config = yaml.safe_load((copy / "config.yaml").read_text())
    assert config["label"]["completions"] == 2


def test_one_stage_of_a_finished_run(small_run: Path, tmp_path: Path) -> None:
    """Naming the last stage alone finds it done; without its own folder it is made again, alike."""
    copy = tmp_path / "run"
    shutil.copytree(small_run, copy)
    fedrlhf.run(small(copy, "run.stages=[evaluate]"))
    shutil.rmtree(copy / "evaluate")
    fedrlhf.run(small(copy, "run.stages=[evaluate]"))
    old, new = (json.loads((p / "results.json").read_text()) for p in (small_run, copy))
    assert {k: v for k, v in old.items() if not k.startswith("seconds")} == {
        k: v for k, v in new.items() if not k.startswith("seconds")}


@pytest.mark.parametrize(("more", "message"), [
    (["select.rounds=2"], "set at least 3"),
    (["+faults.nobody=nan"], "faults names nobody"),
])
def test_refused_before_the_first_round(more: list[str], message: str, tmp_path: Path) -> None:
    """Two selectors with one warm-up round each need a third round; a fault needs a client."""
    with pytest.raises(UserError, match=message):
        fedrlhf.run(small(tmp_path / "run", *more))
    assert not (tmp_path / "run" / "select" / "rounds.jsonl").exists()


def test_missing_instructions_are_found_before_any_training(tmp_path: Path) -> None:
    """A file of preferences alone cannot align a tutor: said at once, with both ways out."""
    file = tmp_path / "mine.jsonl"
    file.write_text("".join(json.dumps({
        "prompt": f"q{i}", "chosen": "a", "rejected": "b", "client_id": f"c{i % 2}"}) + "\n"
        for i in range(40)))
    with pytest.raises(UserError, match="data.instructions"):
        fedrlhf.run(["data=jsonl", f"data.path={file}", f"run.dir={tmp_path / 'run'}",
                     "runtime.engine=local"])
    assert not (tmp_path / "run" / "select").exists()


def test_clients_in_another_order_give_the_same_adapters(tmp_path: Path) -> None:
    """The same rows in a file, sorted the other way round: clients and their pairs are the same.

    Rows of one client keep their order, whole clients change places.
    """
    from fedrlhf.config import build, load

    pairs = build(load(small(tmp_path / "x")).data, "data").preferences()
    rows = [{"prompt": p.prompt, "chosen": p.chosen, "rejected": p.rejected,
             "client_id": p.client_id} for p in pairs]
    found = []
    for name, clients in (("one", sorted({r["client_id"] for r in rows})),
                          ("two", sorted({r["client_id"] for r in rows}, reverse=True))):
        file = tmp_path / f"{name}.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for client in clients
                                for row in rows if row["client_id"] == client))
        run = fedrlhf.run([
            "data=jsonl", f"data.path={file}", "objective.local_steps=2", "objective.batch_size=4",
            "strategy.selectors=2", "strategy.warmup_rounds=1", "strategy.regroup_every=1",
            "select.rounds=4", "select.clients_per_round=2", f"run.dir={tmp_path / name}",
            "run.stages=[partition,select]", "runtime.engine=local"])
        found.append(adapter_hashes(run.path))
    assert found[0] == found[1]
    assert len(found[0]) == 2
