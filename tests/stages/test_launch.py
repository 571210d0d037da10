"""Several processes train what one trains, and go on where they were stopped."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from jobs import job, rows, run, tutor
from safetensors.numpy import load_file

from fedrlhf.config import load
from fedrlhf.errors import ConfigError, RunFailed
from fedrlhf.stages.context import Context
from fedrlhf.stages.launch import launcher, train_tutor, without_launcher
from fedrlhf.stages.training import TRAINER, Job
from fedrlhf.tracking.metrics import Metrics, read_metrics
from fedrlhf.tracking.progress import Event, ProgressReport
from fedrlhf.tracking.run_directory import RunDirectory


def context(folder: Path, *overrides: str, stop_at: int | None = None) -> Context:
    """Return a run whose progress ends it at a step, as Ctrl-C would."""
    def sink(event: Event) -> None:
        if event["kind"] == "advance" and event["done"] == stop_at:
            raise KeyboardInterrupt

    return Context(load(list(overrides)), RunDirectory.at(str(folder)),
                   Metrics(folder / "metrics.jsonl"), ProgressReport(sink))


def adapter(folder: Path) -> np.ndarray:
    tensors = load_file(folder / "policy" / "adapter_model.safetensors")
    return np.concatenate([tensors[name].ravel() for name in sorted(tensors)])


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="on GPUs accelerate launches, on CPUs gloo")
def test_two_processes_do_what_one_does(tiny_llama: Path, tmp_path: Path) -> None:
    """DPO from a fine-tuned start: 2 processes x 1 pass of 2 pairs = 1 process x 2 passes of 2.

    A process's gradient is the mean over its pairs and the processes' mean is taken, so the sum is
    the same up to the order of additions. The two are stopped in their third step, after the
    checkpoint of the second, and started again.
    """
    start = tmp_path / "start"
    run(job("sft", start, tutor(tiny_llama), steps=2))
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    settings = {"start": start / "policy", "optimizer": "rmsprop", "learning_rate": 1e-3}
    seen = run(job("align", alone, tutor(tiny_llama), **settings))
    again = job("align", shared, tutor(tiny_llama), **settings)
    with pytest.raises(KeyboardInterrupt):
        train_tutor(context(shared, "runtime.trainer_processes=2", stop_at=3), again, rows("align"))
    assert (shared / TRAINER / "checkpoint-2").is_dir()
    train_tutor(context(shared, "runtime.trainer_processes=2"), again, rows("align"))
    np.testing.assert_allclose(adapter(shared), adapter(alone), rtol=0, atol=1e-5)
    assert np.abs(adapter(alone) - adapter(start)).max() > 1e-3
    assert not (shared / TRAINER).exists()
    losses = [(r["step"], r["value"]) for r in read_metrics(shared / "metrics.jsonl")
              if r["name"] == "loss"]
    assert losses == [(step, pytest.approx(values["loss"], abs=1e-5)) for step, values in seen]


@pytest.mark.slow
def test_a_failing_process_is_heard(tiny_llama: Path, tmp_path: Path) -> None:
    """An adapter of another rank is refused by a worker; its message arrives, not a stack trace."""
    start = tmp_path / "start"
    run(job("sft", start, tutor(tiny_llama), steps=1))
    other = tutor(tiny_llama)
    other.adapter.rank = 4
    made = job("align", tmp_path / "align", other, start=start / "policy")
    with pytest.raises((RunFailed, ConfigError, Exception), match="another model or LoRA setting"):
        train_tutor(context(tmp_path, "runtime.trainer_processes=2"), made, rows("align"))


def test_a_batch_that_cannot_be_shared_out(tiny_llama: Path, tmp_path: Path) -> None:
    """4 pairs in passes of 2 are 2 passes: no third process can have its share."""
    made = job("align", tmp_path, tutor(tiny_llama))
    with pytest.raises(ConfigError, match=r"align.batch_size \(4\).*3 processes"):
        train_tutor(context(tmp_path, "align.batch_size=12", "align.micro_batch_size=2",
                            "runtime.trainer_processes=3"), made, rows("align"))


@pytest.mark.parametrize(("override", "named"), [
    ("runtime.fsdp=true", "runtime.fsdp"),
    ("runtime.accelerate_config=/no/such/file", "/no/such/file"),
])
def test_launch_settings_that_cannot_work(override: str, named: str, tiny_llama: Path,
                                          tmp_path: Path) -> None:
    """Sharding needs GPUs; a file of accelerate's must exist."""
    if torch.cuda.is_available():
        pytest.skip("the first works with a GPU")
    with pytest.raises(ConfigError, match=named):
        train_tutor(context(tmp_path, override), job("sft", tmp_path, tutor(tiny_llama)),
                    rows("sft"))


@pytest.mark.parametrize(("gpus", "processes", "overrides", "expected"), [
    (0, 1, (), ""),
    (0, 2, (), "torch.distributed.run --nproc_per_node=2"),
    (1, 1, (), ""),
    (2, 1, (), "accelerate.commands.launch --gpu_ids=0"),
    (4, 4, (), "accelerate.commands.launch --multi_gpu --num_processes=4"),
    (4, 4, ("runtime.fsdp=true",), "accelerate.commands.launch --use_fsdp --num_processes=4"),
    (4, 4, ("runtime.accelerate_config=/a.yaml",), "--config_file /a.yaml --num_processes=4"),
])
def test_the_launchers_words(gpus: int, processes: int, overrides: tuple[str, ...], expected: str,
                             monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked of which launcher; accelerate's parser takes the words."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    runtime = load(list(overrides)).runtime
    words = launcher(Job("align", "", None, None, 1, (), None, 0, "off", processes,  # type: ignore[arg-type]
                         runtime.fsdp), runtime)
    assert set(expected.split()) <= set(words)
    assert bool(words) == bool(expected)
    if "accelerate.commands.launch" in words:
        from accelerate.commands.launch import launch_command_parser

        parsed = launch_command_parser().parse_args([*words[2:], "-m", "module", "job.json"])
        assert (parsed.module, parsed.training_script) == (True, "module")
        assert parsed.num_processes == processes


def test_an_outer_launchers_variables_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside the block no process takes itself for one of several; after it all is as before."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    with without_launcher():
        assert "WORLD_SIZE" not in os.environ and "ACCELERATE_USE_CPU" not in os.environ
    assert os.environ["WORLD_SIZE"] == "2" and os.environ["ACCELERATE_USE_CPU"] == "true"
