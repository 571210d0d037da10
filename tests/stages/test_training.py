"""What TRL makes of the tutor: losses by hand, references, continued trainings."""

import math
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from jobs import BAD, GOOD, QUESTIONS, job, policy_hashable, run, token_ids, tutor
from safetensors.numpy import load_file

from fedrlhf.config import schema
from fedrlhf.models.adapters import attach
from fedrlhf.models.load import load_base
from fedrlhf.stages.training import read_job


@pytest.fixture(scope="module")
def imitator(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fine-tune the random Llama strongly; return the folder with its policy."""
    folder = tmp_path_factory.mktemp("sft")
    run(job("sft", folder, tutor(tiny_llama), steps=6, learning_rate=0.05))
    return folder


@torch.no_grad()
def log_probability(model: torch.nn.Module, path: Path, question: str, text: str,
                    ) -> tuple[float, int]:
    """Return log p(answer | question), the end token included, and how many tokens that are."""
    asked, whole = token_ids(path, question, text)
    logits = model(input_ids=torch.tensor([whole])).logits[0].log_softmax(-1)
    places = range(len(asked), len(whole))
    return sum(logits[i - 1, whole[i]].item() for i in places), len(places)


def test_sft_is_the_mean_over_completion_tokens(tiny_llama: Path, tmp_path: Path) -> None:
    """Loss of step 1 = -sum log p / tokens, over the answers of the batch and not the questions.

    All eight rows are one batch, in four passes of two: a mean over tokens of the whole batch, not
    of the passes' means.
    """
    (_, first), = run(job("sft", tmp_path, tutor(tiny_llama), steps=1, batch_size=8))
    model = load_base(schema.Model(path=str(tiny_llama))).model
    found = [log_probability(model, tiny_llama, q, a) for q, a in zip(QUESTIONS, GOOD, strict=True)]
    by_hand = -sum(value for value, _ in found) / sum(count for _, count in found)
    assert first["loss"] == pytest.approx(by_hand, rel=1e-5)


def test_dpo_begins_at_the_start_policy_and_refers_to_it(imitator: Path, tiny_llama: Path,
                                                         tmp_path: Path) -> None:
    """Policy = reference: rewards are exactly 0 and the loss is ln 2; log p is the imitator's.

    One batch of all rows, so that the mean log-probability of the chosen can be worked out.
    """
    (_, first), = run(job("align", tmp_path, tutor(tiny_llama), steps=1,
                          start=imitator / "policy", batch_size=8, micro_batch_size=8))
    assert first["loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert first["rewards/chosen"] == first["rewards/rejected"] == first["rewards/margins"] == 0
    base = load_base(schema.Model(path=str(tiny_llama)))
    slot = attach(base, schema.Adapter(rank=2), 0)
    slot.write(slot.load(imitator / "policy"))
    for name, texts in (("chosen", GOOD), ("rejected", BAD)):
        found = [log_probability(slot.model, tiny_llama, q, a)[0]
                 for q, a in zip(QUESTIONS, texts, strict=True)]
        assert first[f"logps/{name}"] == pytest.approx(sum(found) / 8, rel=1e-4)


def test_dpo_moves_away_from_the_start(imitator: Path, tiny_llama: Path, tmp_path: Path) -> None:
    """The reference stays where it was: after steps, margins are those against the imitator."""
    seen = run(job("align", tmp_path, tutor(tiny_llama), steps=4, start=imitator / "policy"))
    assert seen[-1][1]["rewards/margins"] > 0
    assert seen[-1][1]["loss"] < math.log(2)
    policy = load_file(tmp_path / "policy" / "adapter_model.safetensors")
    assert set(policy) == set(load_file(imitator / "policy" / "adapter_model.safetensors"))


@pytest.mark.parametrize("stage", ["sft", "align"])
def test_a_continued_training_is_an_uninterrupted_one(stage: str, imitator: Path, tiny_llama: Path,
                                                      tmp_path: Path) -> None:
    """Stopped in its third step, after the checkpoint of the second: the same adapter."""
    start = imitator / "policy" if stage == "align" else None
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    run(job(stage, whole, tutor(tiny_llama), start=start))
    again = job(stage, halves, tutor(tiny_llama), start=start)
    steps = []

    def stop(step: int, values: Mapping[str, float]) -> None:
        steps.append(step)
        if steps == [1, 2, 3]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(again, stop)
    run(again, stop)
    assert steps == [1, 2, 3, 3, 4]
    assert policy_hashable(halves) == policy_hashable(whole)


@pytest.mark.parametrize("stage", ["sft", "align"])
def test_a_job_travels_as_json(stage: str, tiny_llama: Path, tmp_path: Path) -> None:
    """What another process reads is what was written."""
    made = job(stage, tmp_path, tutor(tiny_llama, quantization="nf4"), start=tmp_path)
    made.write(tmp_path / "job.json")
    assert read_job(tmp_path / "job.json") == made


@pytest.mark.parametrize("stage", ["sft", "align"])
def test_checkpointing_changes_no_training(stage: str, tiny_llama: Path, tmp_path: Path) -> None:
    """Activations are computed again instead of kept: the same numbers."""
    ends = []
    for on in (False, True):
        folder = tmp_path / str(on)
        run(job(stage, folder, tutor(tiny_llama, gradient_checkpointing=on), steps=2))
        ends.append(load_file(folder / "policy" / "adapter_model.safetensors"))
    for name, value in ends[0].items():
        torch.testing.assert_close(torch.from_numpy(ends[1][name]), torch.from_numpy(value),
                                   rtol=1e-5, atol=1e-7)
