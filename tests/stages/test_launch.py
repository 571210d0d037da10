"""Several processes train what one trains, and go on where they were stopped."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from jobs import job, rows, run, tutor
from safetensors.numpy import load_file

from fedrlhf.config import load
from fedrlhf.config.validate import pass_size
from fedrlhf.errors import ConfigError, UserError
from fedrlhf.stages.context import Context
from fedrlhf.stages.launch import (
    _follow,
    _Reporter,
    launcher,
    train_tutor,
    without_launcher,
)
from fedrlhf.stages.train_worker import main
from fedrlhf.stages.training import TRAINER, Job
from fedrlhf.tracking.metrics import Metrics, read_metrics
from fedrlhf.tracking.progress import Event, ProgressReport
from fedrlhf.tracking.run_directory import RunDirectory

TWO = ("runtime.trainer_processes=2", "align.batch_size=4", "align.micro_batch_size=2")


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
    """DPO from a fine-tuned start: 2 processes with 2 of 4 pairs each = 1 process with 2 x 2 pairs.

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
        train_tutor(context(shared, *TWO, stop_at=3), again, rows("align"))
    assert (shared / TRAINER / "checkpoint-2").is_dir()
    train_tutor(context(shared, *TWO), again, rows("align"))
    np.testing.assert_allclose(adapter(shared), adapter(alone), rtol=0, atol=1e-5)
    assert np.abs(adapter(alone) - adapter(start)).max() > 1e-3
    assert not (shared / TRAINER).exists()
    losses = [(r["step"], r["value"]) for r in read_metrics(shared / "metrics.jsonl")
              if r["name"] == "loss"]
    assert losses == [(step, pytest.approx(values["loss"], abs=1e-5)) for step, values in seen]


def test_a_workers_refusal_arrives(tiny_llama: Path, tmp_path: Path,
                                   capfd: pytest.CaptureFixture[str]) -> None:
    """An adapter of another rank: the worker writes its message, and the run raises it again."""
    start = tmp_path / "start"
    run(job("sft", start, tutor(tiny_llama), steps=1))
    other = tutor(tiny_llama)
    other.adapter.rank = 4
    job("align", tmp_path / "align", other, start=start / "policy").write(tmp_path / "job.json")
    capfd.readouterr()
    assert main(str(tmp_path / "job.json")) == 1
    said = capfd.readouterr().out
    again = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert again.stdin is not None
    with again:
        again.stdin.write(f"a library's message\n{said}")
        again.stdin.close()
        with pytest.raises(UserError, match="another model or LoRA setting"):
            _follow(again, _Reporter(context(tmp_path), "align", None))  # type: ignore[arg-type]


@pytest.mark.parametrize(("batch", "micro", "processes", "size"), [
    (16, 16, 1, 16),   # one pass
    (16, 4, 1, 4),     # four passes
    (16, 16, 4, 4),    # a process's share is less than a pass could hold
    (16, 4, 2, 4),     # two passes in each process
    (16, 16, 3, None),  # 16 / 3
    (12, 4, 2, None),  # a share of 6 is no multiple of 4
])
def test_passes_of_all_processes_make_up_a_batch(batch: int, micro: int, processes: int,
                                                 size: int | None) -> None:
    """Pass size x passes x processes = batch size, or a refusal that names all three."""
    config = load([])
    config.align.batch_size, config.align.micro_batch_size = batch, micro
    if size is not None:
        assert pass_size(config, "align", processes) == size
        return
    with pytest.raises(ConfigError, match=rf"\({batch}\).*\({micro}\) times {processes}"):
        pass_size(config, "align", processes)


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
    words = launcher(Job("align", "", None, None, 1, (), None, 0, "off", 1, processes,  # type: ignore[arg-type]
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
