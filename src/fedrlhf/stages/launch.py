"""Start a training of the tutor: in this process, or in several that share its batches.

One process needs no launcher. Several are started by `accelerate launch` on GPUs and by torchrun on
CPUs, where accelerate's launcher starts one process whatever it is asked for.
"""

import json
import os
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from fedrlhf.config import schema
from fedrlhf.config.validate import pass_size
from fedrlhf.errors import RunFailed, UserError
from fedrlhf.models.load import release_bases
from fedrlhf.stages.context import Context
from fedrlhf.stages.processes import check_processes, training_processes
from fedrlhf.stages.training import (
    ROWS,
    TRAINER,
    Job,
    last_checkpoint,
    remove_broken_checkpoints,
    step_of,
    train,
)
from fedrlhf.tracking.progress import Task

JOB, LOG = "job.json", "launch.log"
_SHOWN = 15  # lines of a failed launch's log
# What a launcher leaves in the environment; a plain process would take itself for one of several.
_LAUNCHER = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "ROLE_RANK",
             "MASTER_ADDR", "MASTER_PORT")


def train_tutor(context: Context, job: Job, rows: Sequence[Mapping[str, Any]]) -> None:
    """Train on the rows from the last checkpoint on; what the trainer kept for itself is removed.

    Raises:
        ConfigError: The processes cannot do it (`check_processes`).
        RunFailed: The training failed.
    """
    runtime = context.config.runtime
    check_processes(context.config, job.stage)
    processes = training_processes(runtime)
    job = replace(job, processes=processes, fsdp=runtime.fsdp,
                  pass_size=pass_size(context.config, job.stage, processes))
    folder = Path(job.folder) / TRAINER
    folder.mkdir(parents=True, exist_ok=True)
    remove_broken_checkpoints(folder)
    if not (folder / ROWS).exists():
        pq.write_table(pa.Table.from_pylist(list(rows)), folder / f"{ROWS}.new")
        os.replace(folder / f"{ROWS}.new", folder / ROWS)
    last = last_checkpoint(folder)
    done = 0 if last is None else step_of(last)
    context.metrics.rewind(job.stage, done)
    release_bases()
    with context.progress.task(f"{job.stage}: steps", job.steps, done) as task:
        reporter = _Reporter(context, job.stage, task)
        if launcher(job, runtime):
            _train_in_processes(job, runtime, folder, reporter)
        else:
            with without_launcher():
                train(job, reporter)
    release_bases()
    shutil.rmtree(folder)


def launcher(job: Job, runtime: schema.Runtime) -> list[str]:
    """Return the words between the interpreter and the worker; none where one process does."""
    if not torch.cuda.is_available():
        if job.processes == 1:
            return []
        return ["-m", "torch.distributed.run", "--standalone",
                f"--nproc_per_node={job.processes}"]
    plain = not (job.fsdp or runtime.accelerate_config)
    if job.processes == 1 and torch.cuda.device_count() == 1 and plain:
        return []
    words = ["-m", "accelerate.commands.launch", f"--num_processes={job.processes}",
             "--main_process_port=0"]
    if runtime.accelerate_config:
        return [*words, "--config_file", str(Path(runtime.accelerate_config).expanduser())]
    words += ["--num_machines=1", "--mixed_precision=no", "--dynamo_backend=no"]
    if job.fsdp:
        return [*words, "--use_fsdp", "--fsdp_version=2",
                "--fsdp_auto_wrap_policy=TRANSFORMER_BASED_WRAP",
                "--fsdp_state_dict_type=FULL_STATE_DICT"]
    return [*words, "--multi_gpu"] if job.processes > 1 else [*words, "--gpu_ids=0"]


@contextmanager
def without_launcher() -> Iterator[None]:
    """Hide what an outer launcher left in the environment."""
    hidden = {name: os.environ.pop(name) for name in list(os.environ)
              if name in _LAUNCHER or name.startswith(("ACCELERATE_", "TORCHELASTIC_", "FSDP_"))}
    try:
        yield
    finally:
        os.environ.update(hidden)


class _Reporter:
    """Records a step's numbers and shows its loss."""

    def __init__(self, context: Context, stage: str, task: Task) -> None:
        self.metrics, self.stage, self.task = context.metrics, stage, task

    def __call__(self, step: int, values: Mapping[str, float]) -> None:
        self.metrics.log(self.stage, step, values)
        self.task.advance(note=f"loss {values['loss']:.3f}")


def _train_in_processes(job: Job, runtime: schema.Runtime, folder: Path,
                        reporter: _Reporter) -> None:
    job.write(folder / JOB)
    command = [sys.executable, *launcher(job, runtime), "-m", "fedrlhf.stages.train_worker",
               str(folder / JOB)]
    with without_launcher(), (folder / LOG).open("w") as log, subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, env=_environment()) as process:
        try:
            _follow(process, reporter)
        finally:
            process.terminate()  # of no effect on one that ended
    if process.returncode:
        shown = deque((folder / LOG).read_text("utf-8", "replace").splitlines(), _SHOWN)
        raise RunFailed(f"{job.stage} in {job.processes} processes ended with exit code "
                        f"{process.returncode}; {folder / LOG} ends with:\n" + "\n".join(shown))


def _follow(process: "subprocess.Popen[str]", reporter: _Reporter) -> None:
    """Pass on what the first process reports until it closes its output."""
    assert process.stdout is not None
    for line in process.stdout:
        if not line.startswith("{"):
            continue  # a library's message
        event = json.loads(line)
        if "error" in event:
            raise (UserError if event["user"] else RunFailed)(event["error"])
        reporter(event["step"], event["values"])
    process.wait()


def _environment() -> dict[str, str]:
    """Let the workers import the package from where this process has it."""
    package = str(Path(__file__).parents[2])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
