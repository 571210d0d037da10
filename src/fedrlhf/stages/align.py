"""align: TRL's DPO on the tutor, with the pairs that the selectors labelled."""

from collections.abc import Sequence
from typing import Any

from fedrlhf.files import write_json
from fedrlhf.models.chat import model_prompt
from fedrlhf.models.load import load_tokenizer
from fedrlhf.seeding import seed_for
from fedrlhf.stages.context import Context
from fedrlhf.stages.label import read_pairs
from fedrlhf.stages.launch import train_tutor
from fedrlhf.stages.start_policy import start_folder
from fedrlhf.stages.training import Job, snapshot_steps, steps_of

SUMMARY = "summary.json"


def run(context: Context) -> None:
    """Train the tutor's adapter from the last checkpoint on; save it and snapshots on the way.

    The reference is the policy that the run started from (`start_policy.py`).
    """
    config, settings = context.config, context.config.align
    folder = context.run.folder("align")
    pairs = read_pairs(context.run.path / "label")
    steps = steps_of(len(pairs), settings.batch_size, settings.epochs, settings.max_steps)
    start = start_folder(context)
    train_tutor(context, Job(
        stage="align", folder=str(folder), tutor=config.tutor, settings=settings, steps=steps,
        keep=tuple(snapshot_steps(steps, settings.snapshots)),
        start=None if start is None else str(start),
        seed=seed_for(config.run.seed, "align") % 2**31,
        autocast=config.runtime.autocast, pass_size=settings.micro_batch_size),
        _rows(context, pairs))
    write_json(folder / SUMMARY, {"pairs": len(pairs), "steps": steps})


def _rows(context: Context, pairs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    tokenizer = load_tokenizer(context.config.tutor.model)
    return [{"prompt": model_prompt(tokenizer, row["prompt"]),
             "chosen": row["chosen"], "rejected": row["rejected"]} for row in pairs]
