"""align: TRL's DPO on the tutor, with the pairs that the selectors labelled."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import (
    PrinterCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from trl import DPOConfig, DPOTrainer

from fedrlhf.errors import RunFailed
from fedrlhf.files import read_json, replaced_folder, write_json
from fedrlhf.models.adapters import NAME, lora_config
from fedrlhf.models.load import load_base, release_bases
from fedrlhf.models.runtime import has_bfloat16, seeded
from fedrlhf.seeding import seed_for
from fedrlhf.stages.context import Context
from fedrlhf.stages.label import read_pairs
from fedrlhf.tracking.metrics import Metrics
from fedrlhf.tracking.progress import Task

POLICY, SNAPSHOTS, TRAINER, SUMMARY = "policy", "snapshots", "trainer", "summary.json"
_LOGGED = ("loss", "rewards/accuracies", "rewards/margins", "rewards/chosen", "rewards/rejected",
           "logps/chosen", "logps/rejected", "grad_norm", "learning_rate")
_LAST_FILE = "trainer_state.json"  # the trainer writes it last, so it marks a whole checkpoint


def run(context: Context) -> None:
    """Train the tutor's adapter from the last checkpoint on; save it and snapshots on the way.

    The reference is the base model with the adapter off: the policy that the run started from.
    """
    folder = context.run.folder("align")
    pairs = read_pairs(context.run.path / "label")
    release_bases()
    base = load_base(context.config.tutor.model)
    settings = _settings(context, folder, len(pairs))
    with seeded(settings.seed):
        trainer = DPOTrainer(
            model=base.model, args=settings, processing_class=base.tokenizer,
            train_dataset=_dataset(pairs),
            peft_config=lora_config(base, context.config.tutor.adapter))
        _train(context, trainer, folder)
    _save(trainer.model, base.spec.path, folder / POLICY)
    write_json(folder / SUMMARY, {"pairs": len(pairs), "steps": trainer.state.max_steps})
    shutil.rmtree(folder / TRAINER, ignore_errors=True)
    release_bases()


def steps_of(pairs: int, batch_size: int, epochs: float, max_steps: int | None) -> int:
    """Return the number of optimiser steps; the last batch of an epoch may be short."""
    return max_steps or max(1, int(epochs * -(-pairs // batch_size)))


def snapshot_steps(total: int, snapshots: int) -> list[int]:
    """Return at which steps adapters are kept: evenly spaced, the last step included."""
    count = min(snapshots, total)
    return sorted({round(total * (i + 1) / count) for i in range(count)})


def _train(context: Context, trainer: DPOTrainer, folder: Path) -> None:
    last = _last_checkpoint(folder / TRAINER)
    done = 0 if last is None else int(last.name.rpartition("-")[2])
    context.metrics.rewind("align", done)
    total = trainer.args.max_steps
    with context.progress.task("align: DPO steps", total, done) as task:
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(_Recorder(context.metrics, task))
        trainer.add_callback(_Snapshots(folder / SNAPSHOTS,
                                        snapshot_steps(total, context.config.align.snapshots),
                                        context.config.tutor.model.path))
        trainer.train(resume_from_checkpoint=None if last is None else str(last))
    if not all(torch.isfinite(p).all() for p in trainer.model.parameters() if p.requires_grad):  # type: ignore[union-attr]
        raise RunFailed("DPO made the tutor's adapter infinite; lower align.learning_rate "
                        f"(now {context.config.align.learning_rate:g})")


def _settings(context: Context, folder: Path, pairs: int) -> DPOConfig:
    config, align = context.config, context.config.align
    total = steps_of(pairs, align.batch_size, align.epochs, align.max_steps)
    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    wants_bfloat16 = config.runtime.autocast == "bfloat16" or (
        config.runtime.autocast == "auto" and has_bfloat16(device))
    return DPOConfig(
        output_dir=str(folder / TRAINER), beta=align.beta, loss_type=[align.loss],
        learning_rate=align.learning_rate, optim=_OPTIMIZERS[align.optimizer],
        max_steps=total, warmup_steps=round(align.warmup_ratio * total),
        lr_scheduler_type="constant_with_warmup", max_length=align.max_length,
        per_device_train_batch_size=align.micro_batch_size,
        gradient_accumulation_steps=align.batch_size // align.micro_batch_size,
        precompute_ref_log_probs=True, bf16=wants_bfloat16, use_cpu=not cuda,
        activation_checkpointing=False, logging_steps=1, report_to=[], disable_tqdm=True,
        save_strategy="steps", save_steps=align.checkpoint_steps, save_total_limit=1,
        seed=seed_for(config.run.seed, "align") % 2**31, dataloader_pin_memory=cuda,
        dataloader_num_workers=0)


_OPTIMIZERS = {"rmsprop": "rmsprop", "adamw": "adamw_torch"}


def _dataset(pairs: Sequence[dict[str, Any]]) -> Dataset:
    return Dataset.from_list([{name: row[name] for name in ("prompt", "chosen", "rejected")}
                              for row in pairs])


def _last_checkpoint(folder: Path) -> Path | None:
    """Return the newest whole checkpoint and delete those that a kill left half written."""
    found = []
    for path in sorted(folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*")):
        try:
            read_json(path / _LAST_FILE)
            found.append(path)
        except (OSError, ValueError):
            shutil.rmtree(path)
    return max(found, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def _save(model: Any, base_path: str, target: Path) -> None:
    """Save the adapter under the base model's configured name.

    The trainer's own checkpoints keep the folder that the model was loaded from: PEFT would ask the
    hub about any other name.
    """
    settings = model.peft_config[NAME]
    loaded_from = settings.base_model_name_or_path
    settings.base_model_name_or_path = base_path
    try:
        with replaced_folder(target) as folder:
            model.save_pretrained(str(folder), selected_adapters=[NAME],
                                  save_embedding_layers=False)
    finally:
        settings.base_model_name_or_path = loaded_from


class _Recorder(TrainerCallback):
    """Passes the trainer's numbers on."""

    def __init__(self, metrics: Metrics, task: Task) -> None:
        self.metrics, self.task = metrics, task

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl,
               logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        """Record the numbers of a step."""
        if logs and "loss" in logs:
            self.metrics.log("align", state.global_step,
                             {name: float(logs[name]) for name in _LOGGED if name in logs})
            self.task.advance(note=f"loss {float(logs['loss']):.3f}")


class _Snapshots(TrainerCallback):
    """Keeps adapters along the way, for proxy against true reward."""

    def __init__(self, folder: Path, steps: list[int], base_path: str) -> None:
        self.folder, self.steps, self.base_path = folder, steps, base_path

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl,
                    model: Any = None, **kwargs: Any) -> None:
        """Save the adapter of this step if it is one of the wanted steps."""
        if state.global_step in self.steps:
            _save(model, self.base_path, self.folder / f"step_{state.global_step:06d}")
