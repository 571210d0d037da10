"""One training of the tutor's adapter by TRL, in as many processes as it is started in.

`launch.py` starts it: in the run's own process, or in several by `train_worker.py`.
"""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import (
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

from fedrlhf.config import schema
from fedrlhf.errors import RunFailed
from fedrlhf.files import read_json, replaced_folder, write_json
from fedrlhf.models.adapters import NAME, AdapterSlot, attach
from fedrlhf.models.load import load_base
from fedrlhf.models.runtime import has_bfloat16, seeded

POLICY, SNAPSHOTS, TRAINER, ROWS = "policy", "snapshots", "trainer", "rows.parquet"
_LOGGED = ("loss", "rewards/accuracies", "rewards/margins", "rewards/chosen", "rewards/rejected",
           "logps/chosen", "logps/rejected", "mean_token_accuracy", "grad_norm", "learning_rate")
_LAST_FILE = "trainer_state.json"  # the trainer writes it last, so it marks a whole checkpoint
_OPTIMIZERS = {"rmsprop": "rmsprop", "adamw": "adamw_torch"}

Report = Callable[[int, Mapping[str, float]], None]  # takes a step and its numbers


@dataclass(frozen=True)
class Job:
    """All that a training process has to know: plain values, which travel as JSON.

    Attributes:
        stage: ``sft`` or ``align``, which decides the trainer.
        folder: The stage's folder, which holds the rows and gets the policy.
        tutor: Model and adapter.
        settings: The stage's section of the configuration.
        steps: Optimiser steps.
        keep: After which of them the adapter is kept as a snapshot.
        start: Folder of the adapter to begin with, which is DPO's reference too; None for a fresh
            one, which leaves the base model as it is.
        seed: Seed of the order of rows and of a fresh adapter.
        autocast: See `models.runtime.precision`.
        pass_size: Rows in one pass of a process.
        processes: How many share a batch.
        fsdp: Whether they share the model too.
    """

    stage: str
    folder: str
    tutor: schema.Tutor
    settings: schema.Dpo | schema.Sft
    steps: int
    keep: tuple[int, ...]
    start: str | None
    seed: int
    autocast: str
    pass_size: int
    processes: int = 1
    fsdp: bool = False

    def write(self, path: Path) -> None:
        """Write the job for `read_job`."""
        write_json(path, asdict(self))


def read_job(path: Path) -> Job:
    """Read a job that another process wrote."""
    raw = read_json(path)
    tutor = schema.Tutor(schema.Model(**raw["tutor"]["model"]),
                         schema.Adapter(**raw["tutor"]["adapter"]))
    settings = schema.Dpo if raw["stage"] == "align" else schema.Sft
    return Job(**raw | {"tutor": tutor, "settings": settings(**raw["settings"]),
                        "keep": tuple(raw["keep"])})


def train(job: Job, report: Report) -> None:
    """Train from the last checkpoint on; save the policy and snapshots on the way.

    Raises:
        RunFailed: The adapter became infinite.
    """
    folder = Path(job.folder)
    with seeded(job.seed):
        base = load_base(job.tutor.model)
        slot = attach(base, job.tutor.adapter, job.seed)
        if job.start is not None:
            slot.write(slot.load(Path(job.start)))
        trainer = _dpo(job, slot) if job.stage == "align" else _sft(job, slot)
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(_Recorder(report))
        trainer.add_callback(_Snapshots(job, trainer))
        last = last_checkpoint(folder / TRAINER)
        trainer.train(resume_from_checkpoint=None if last is None else str(last))
    if not all(torch.isfinite(p).all() for p in slot.parameters):
        raise RunFailed(f"{job.stage} made the tutor's adapter infinite; lower "
                        f"{job.stage}.learning_rate (now {job.settings.learning_rate:g})")
    _save(trainer, job, folder / POLICY)


def steps_of(rows: int, batch_size: int, epochs: float, max_steps: int | None) -> int:
    """Return the number of optimiser steps; the last batch of an epoch may be short."""
    return max_steps or max(1, int(epochs * -(-rows // batch_size)))


def snapshot_steps(total: int, snapshots: int) -> list[int]:
    """Return at which steps adapters are kept: evenly spaced, the last step included."""
    count = min(snapshots, total)
    return sorted({round(total * (i + 1) / count) for i in range(count)})


def last_checkpoint(folder: Path) -> Path | None:
    """Return the newest whole checkpoint; a kill may have left one half written."""
    return max((path for path in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*") if _is_whole(path)),
               key=step_of, default=None)


def remove_broken_checkpoints(folder: Path) -> None:
    """Delete checkpoints that a kill left half written: the trainer would write over them."""
    for path in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*"):
        if not _is_whole(path):
            shutil.rmtree(path)


def step_of(checkpoint: Path) -> int:
    """Return the step after which a checkpoint was written."""
    return int(checkpoint.name.rpartition("-")[2])


def _is_whole(checkpoint: Path) -> bool:
    try:
        read_json(checkpoint / _LAST_FILE)
    except (OSError, ValueError):
        return False
    return True


def _dpo(job: Job, slot: AdapterSlot) -> Trainer:
    """Build TRL's DPO trainer; its reference is the policy that the adapter is at now.

    TRL copies the adapter to one called "ref" for the reference. Once the reference's
    log-probabilities are computed, that copy has done its work.
    """
    settings = job.settings
    assert isinstance(settings, schema.Dpo)
    start = slot.read()
    trainer = DPOTrainer(
        model=slot.model, processing_class=slot.base.tokenizer, train_dataset=_rows(job),
        args=DPOConfig(beta=settings.beta, loss_type=[settings.loss],
                       precompute_ref_log_probs=True, **_arguments(job)))
    slot.model.delete_adapter("ref")
    _restore(slot, start)
    return trainer


def _sft(job: Job, slot: AdapterSlot) -> Trainer:
    """Build TRL's trainer of completions: the mean of -log p over all their tokens in a batch."""
    start = slot.read()
    trainer = SFTTrainer(
        model=slot.model, processing_class=slot.base.tokenizer, train_dataset=_rows(job),
        args=SFTConfig(completion_only_loss=True, packing=False, **_arguments(job)))
    _restore(slot, start)
    return trainer


def _restore(slot: AdapterSlot, start: Any) -> None:
    """Undo that TRL rounds a quantised model's adapter to bfloat16.

    Eight bits of precision swallow steps below 0.4 percent of a weight, which is where DPO's
    learning rates are.
    """
    for parameter in slot.parameters:
        parameter.data = parameter.data.float()
    slot.write(start)


def _arguments(job: Job) -> dict[str, Any]:
    settings, cuda = job.settings, torch.cuda.is_available()
    wants_bfloat16 = job.autocast == "bfloat16" or (
        job.autocast == "auto" and has_bfloat16(torch.device("cuda" if cuda else "cpu")))
    return {
        "output_dir": str(Path(job.folder) / TRAINER), "learning_rate": settings.learning_rate,
        "optim": _OPTIMIZERS[settings.optimizer], "max_steps": job.steps,
        "warmup_steps": round(settings.warmup_ratio * job.steps),
        "lr_scheduler_type": "constant_with_warmup", "max_length": settings.max_length,
        "per_device_train_batch_size": job.pass_size,
        "gradient_accumulation_steps": settings.batch_size // (job.pass_size * job.processes),
        "bf16": wants_bfloat16, "use_cpu": not cuda,
        "activation_checkpointing": job.tutor.model.gradient_checkpointing,
        "logging_steps": 1, "report_to": [], "disable_tqdm": True, "save_strategy": "steps",
        "save_steps": settings.checkpoint_steps, "save_total_limit": 1, "seed": job.seed,
        "dataloader_pin_memory": cuda, "dataloader_num_workers": 0}


def _rows(job: Job) -> Dataset:
    """Read the rows; what TRL makes of them is cached beside them, where all processes find it."""
    folder = Path(job.folder) / TRAINER
    return Dataset.from_parquet(str(folder / ROWS), cache_dir=str(folder / "cache"))


def _save(trainer: Trainer, job: Job, target: Path) -> None:
    """Save the adapter under the base model's configured name.

    The trainer's own checkpoints keep the folder that the model was loaded from: PEFT would ask the
    hub about any other name.
    """
    model = trainer.accelerator.unwrap_model(trainer.model)
    # Shards are joined by all processes together; else each of them holds the whole adapter.
    state = trainer.accelerator.get_state_dict(trainer.model) if job.fsdp else None
    if not trainer.is_world_process_zero():
        return
    settings = model.peft_config[NAME]
    loaded_from = settings.base_model_name_or_path
    settings.base_model_name_or_path = job.tutor.model.path
    try:
        with replaced_folder(target) as folder:
            model.save_pretrained(str(folder), selected_adapters=[NAME], state_dict=state,
                                  save_embedding_layers=False)
    finally:
        settings.base_model_name_or_path = loaded_from


class _Recorder(TrainerCallback):
    """Passes the trainer's numbers on."""

    def __init__(self, report: Report) -> None:
        self.report = report

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl,
               logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        """Record the numbers of a step."""
        if logs and "loss" in logs and state.is_world_process_zero:
            self.report(state.global_step,
                        {name: float(logs[name]) for name in _LOGGED if name in logs})


class _Snapshots(TrainerCallback):
    """Keeps adapters along the way, for proxy against true reward."""

    def __init__(self, job: Job, trainer: Trainer) -> None:
        self.job, self.trainer = job, trainer

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl,
                    **kwargs: Any) -> None:
        """Save the adapter of this step if it is one of the wanted steps."""
        if state.global_step in self.job.keep:
            _save(self.trainer, self.job,
                  Path(self.job.folder) / SNAPSHOTS / f"step_{state.global_step:06d}")
