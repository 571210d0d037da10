"""The plan beside what a run then does, and beside published sizes."""

from pathlib import Path

import pytest
from small_runs import SMALL

from fedrlhf.config import load
from fedrlhf.deploy.plan import plan, show
from fedrlhf.errors import ConfigError, DataError
from fedrlhf.files import read_json


def lines(*overrides: str) -> dict[str, tuple[str, str]]:
    """Return the plan's values and notes by part and name."""
    return {f"{part.title}: {line.name}": (line.value, line.note)
            for part in plan(load(list(overrides))) for line in part.lines}


@pytest.mark.slow
def test_bytes_are_those_that_the_run_sent(small_run: Path) -> None:
    """The rehearsal sends what the run sends, to the byte: training, ranking, agreement."""
    results = read_json(small_run / "results.json")
    found = lines(*SMALL)
    assert found["Stage select: bytes to clients"][0] == f"{results['bytes.down']:,.0f}"
    assert found["Stage select: bytes from clients"][0] == f"{results['bytes.up']:,.0f}"


@pytest.mark.slow
def test_shards_are_those_of_the_run(small_run: Path) -> None:
    """Clients and pairs are those of the partition that the run made."""
    index = read_json(small_run / "partition" / "population.json")
    found = lines(*SMALL)
    assert found["Data: clients"][0] == str(len(index["shards"]))
    assert found["Data: pairs to test"][0] == str(sum(s["sizes"]["test"] for s in index["shards"]))


def test_nothing_is_written_or_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan leaves the run's folder as it is and asks for no weights."""
    from fedrlhf.models import load as loading

    monkeypatch.setattr(loading, "load_base", None)
    lines(*SMALL, f"run.dir={tmp_path / 'run'}")
    assert not (tmp_path / "run").exists()


def test_data_that_are_elsewhere() -> None:
    """Without the data, partition.clients says how many there are; without that it is an error."""
    away = ("data=hh_rlhf", "data.path=/no/such/file.jsonl", "partition.by=iid")
    found = lines(*away, "partition.clients=53", "strategy=fedbis")
    assert found["Data: clients"] == ("53", "as the configuration says")
    assert "are not here" in found["Data: pairs"][1]
    with pytest.raises(DataError, match="set partition.clients, or data.path to a local copy"):
        lines("data=tulu_human_eval", "data.path=/no/such/file.jsonl")


def test_a_policy_stage_and_other_strategies() -> None:
    """FedBis: 24 rounds x 4 clients are 96 adapters each way, and each of 12 clients gets two.

    One for agreement, one for rewards, which planted truth tells with any objective. The tutor's
    adapter has 81,920 values: (96 + 12 + 12) x 81,920 x 4 bytes down.
    """
    found = lines("objective=dpo", "strategy=fedbis", "run.stages=[partition,rlhf,evaluate]")
    assert found["Stage rlhf: bytes to clients"][0] == f"{120 * 81_920 * 4:,}"
    assert "Models: selector" not in found


def test_the_reference_after_sft_travels_too() -> None:
    """After sft the reference is an adapter, which every message brings: twice the bytes down."""
    found = lines("objective=dpo", "strategy=fedbis", "run.stages=[partition,sft,rlhf,evaluate]",
                  "sft.path=demonstrations.jsonl")
    assert found["Stage rlhf: bytes to clients"][0] == f"{2 * 120 * 81_920 * 4:,}"


AWAY = ("data=hh_rlhf", "data.path=/no/such/file.jsonl", "partition.by=iid",
        "partition.clients=10", "strategy=fedbis", "run.stages=[partition,rlhf]")


def operations(*overrides: str) -> float:
    """Return the operations that the plan expects of all local training."""
    stage = "rlhf" if "run.stages=[partition,rlhf]" in overrides else "select"
    return float(lines(*overrides)[f"Stage {stage}: training"][0].split()[0])


def test_operations_are_those_of_the_objective() -> None:
    """Texts as long as they may be, 24 rounds x 4 clients x 10 steps x 8 pairs = 7,680 pairs.

    SFT reads one sequence of 1,024 tokens of a pair, at 4 operations a weight and token. DPO reads
    two, and in each of 96 trainings the 2 x 100 sequences of the client under the reference, at 2
    operations.
    """
    one = operations(*AWAY, "objective=sft")
    weights = one / (4 * 7_680 * 1_024)
    assert 1e6 < weights < 4e6
    assert operations(*AWAY, "objective=dpo") == pytest.approx(
        2 * one + 2 * weights * 96 * 2 * 100 * 1_024, rel=0.02)


def test_completions_are_counted_where_they_are_written() -> None:
    """24 rounds x 4 clients x 10 steps x 8 prompts x 4 completions, twice trained on.

    Prompts as long as they may be, so each reads 1,024 tokens: 2 x 4 operations a weight and token
    with a gradient, and 3 x 2 without (writing, under the policy, under the reference). Ditto's
    own model takes 5 steps beside the 10.
    """
    online = (*AWAY, "objective=rloo", "objective.iterations=2", "reward/shared=everyone")
    each = operations(*AWAY, "objective=sft") / (4 * 7_680)  # weights x 1,024 tokens
    assert operations(*online) == pytest.approx(14 * each * 30_720, rel=0.02)
    assert operations(*online, "personal=ditto", "personal.local_steps=5") == pytest.approx(
        1.5 * 14 * each * 30_720, rel=0.02)
    written = lines(*online)["Stage rlhf: completions"]
    assert written == ("30,720", "written by the clients to learn from, at most 96 tokens each")


def test_a_pool_trains_alone() -> None:
    """One pool instead of a cohort of four: a quarter of the operations."""
    select = [*AWAY[:-1], "run.stages=[partition,select]"]
    assert operations(*select, "partition.pool_training=true") == pytest.approx(
        operations(*select) / 4, rel=0.02)


def test_align_alone() -> None:
    """The stage has no selectors to count: DPO stands there, judging does not."""
    found = lines("run.stages=[align]")
    assert "Stages label and align: DPO" in found
    assert "Stages label and align: judging" not in found


def test_unknown_models_are_named() -> None:
    """A model that is neither here nor built in is an error that lists those that are."""
    with pytest.raises(ConfigError, match="'no/model' are unknown.*Qwen/Qwen2-0.5B"):
        lines("tutor.model.path=no/model")


def test_the_text_is_a_table() -> None:
    """Every line stands under a heading, in columns."""
    text = show(plan(load(list(SMALL))))
    assert text.startswith("Data\n  source")
    assert all(line.startswith("  ") for line in text.splitlines() if ":" in line[:4])


def test_data_that_are_here_and_bad(tmp_path: Path) -> None:
    """What `fedrlhf run` would refuse, the plan refuses: it does not say that it is elsewhere."""
    file = tmp_path / "mine.jsonl"
    file.write_text('{"prompt": "a", "chosen": "b"}\n')
    with pytest.raises(DataError, match="line 1: rejected is missing"):
        lines("data=jsonl", f"data.path={file}", "partition.clients=3")
    with pytest.raises(DataError, match="partition.clients=99, but only 12"):
        lines("partition.clients=99")


def test_a_deployment_plans_for_its_clients() -> None:
    """The sites hold the data; the server knows whom it waits for."""
    found = lines("data=sites", "runtime.engine=deployment", "runtime.clients=[ann,bob]",
                  "strategy=fedbis", "run.stages=[partition,select]")
    assert found["Data: clients"][0] == "2"


def test_a_speed_that_is_none() -> None:
    """Zero operations a second would take forever."""
    with pytest.raises(ConfigError, match="--teraflops must be greater than 0, got 0"):
        plan(load(list(SMALL)), 0.0)
