"""A run with the stage sft: what later stages start from, on the local engine."""

import json
import math
from pathlib import Path

import pytest
from safetensors.numpy import load_file
from small_runs import small

import fedrlhf
from fedrlhf.config import build, load
from fedrlhf.errors import UserError
from fedrlhf.models.adapters import attach
from fedrlhf.models.generate import complete
from fedrlhf.models.load import load_base
from fedrlhf.seeding import seed_for
from fedrlhf.tracking.metrics import read_metrics

pytestmark = pytest.mark.slow
PROMPTS = ("Explain recall.", "What is a mean?", "Why split data?", "What is bias?")
STAGES = "run.stages=[partition,sft,select,label,align,evaluate]"


def settings(folder: Path, demonstrations: Path, *more: str) -> list[str]:
    return small(folder, STAGES, "select.rounds=3", "align.max_steps=2",
                 f"sft.path={demonstrations}",
                 "sft.max_steps=12", "sft.batch_size=4",
                 "sft.micro_batch_size=4", "sft.learning_rate=1e-2", "sft.checkpoint_steps=6",
                 "label.sampling.max_new_tokens=16", "evaluate.sampling.max_new_tokens=16", *more)


@pytest.fixture(scope="module")
def demonstrations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sft") / "demonstrations.jsonl"
    path.write_text("".join(json.dumps({"prompt": prompt, "completion": "No. No. No."}) + "\n"
                            for prompt in PROMPTS))
    return path


@pytest.fixture(scope="module")
def run(demonstrations: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run every stage once."""
    return fedrlhf.run(settings(tmp_path_factory.mktemp("sft") / "run", demonstrations)).path


def test_the_fine_tuned_tutor_writes_what_is_labelled(run: Path) -> None:
    """The first batch on disk is what the base model writes with sft's adapter, and not without."""
    config = load(settings(run, run))
    written = json.loads((run / "label" / "completions" / "00000.json").read_text())
    prompts = build(config.data, "data").instructions().label[:2]
    base = load_base(config.tutor.model)
    seed = seed_for(config.run.seed, "label", 0)
    plain = complete(base, prompts, config.label.sampling, config.label.completions, seed, "off")
    slot = attach(base, config.tutor.adapter, 0)
    slot.write(slot.load(run / "sft" / "policy"))
    tuned = complete(base, prompts, config.label.sampling, config.label.completions, seed, "off")
    assert written == tuned != plain
    assert sum("No." in text for texts in written for text in texts) > 0


def test_dpo_starts_at_the_fine_tuned_tutor(run: Path) -> None:
    """At its first step policy and reference are one: the loss is ln 2, the margin 0."""
    first = {r["name"]: r["value"] for r in read_metrics(run / "metrics.jsonl")
             if (r["stage"], r["step"]) == ("align", 1)}
    assert first["loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert first["rewards/margins"] == 0
    losses = [r["value"] for r in read_metrics(run / "metrics.jsonl")
              if (r["stage"], r["name"]) == ("sft", "loss")]
    assert len(losses) == 12 and losses[-1] < losses[0]
    start, end = (load_file(run / place / "policy" / "adapter_model.safetensors")
                  for place in ("sft", "align"))
    moved = max(abs(end[name] - start[name]).max() for name in start)
    assert 0 < moved < max(abs(value).max() for value in start.values())


def test_the_report_measures_against_the_fine_tuned_tutor(run: Path) -> None:
    """Before = the start policy: what it writes is what was demonstrated."""
    samples = json.loads((run / "evaluate" / "samples.json").read_text())
    assert any("No." in sample["before"] for sample in samples)
    card = (run / "align" / "policy" / "README.md").read_text()
    assert "| supervised fine-tuning before | demonstrations: 4, steps: 12 |" in card


def test_changed_demonstrations_are_noticed(run: Path, demonstrations: Path) -> None:
    """The file's content is part of the stage's settings, as a source's is."""
    before = demonstrations.read_text()
    demonstrations.write_text(before.replace("No. No. No.", "Yes."))
    try:
        with pytest.raises(UserError, match="sft made with other settings: files.path"):
            fedrlhf.run(settings(run, demonstrations))
    finally:
        demonstrations.write_text(before)
