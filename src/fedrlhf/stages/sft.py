"""sft: TRL's supervised fine-tuning of the tutor on demonstrations, before preferences."""

from collections.abc import Sequence
from typing import Any

from fedrlhf.data.demonstrations import read_demonstrations
from fedrlhf.errors import DataError
from fedrlhf.files import write_json
from fedrlhf.models.chat import model_prompt
from fedrlhf.models.load import load_tokenizer
from fedrlhf.seeding import seed_for
from fedrlhf.stages.context import Context
from fedrlhf.stages.launch import train_tutor
from fedrlhf.stages.training import Job, steps_of
from fedrlhf.types import Demonstration, Turn

SUMMARY = "summary.json"


def run(context: Context) -> None:
    """Train the tutor's adapter to imitate; the result is what all later stages start from."""
    config, settings = context.config, context.config.sft
    assert settings.path is not None  # validated
    folder = context.run.folder("sft")
    found = read_demonstrations(settings.path, settings.revision, settings.split, settings.limit)
    if not found:
        raise DataError(f"sft.path={settings.path} holds no demonstrations")
    steps = steps_of(len(found), settings.batch_size, settings.epochs, settings.max_steps)
    train_tutor(context, Job(
        stage="sft", folder=str(folder), tutor=config.tutor, settings=settings, steps=steps,
        keep=(), start=None, seed=seed_for(config.run.seed, "sft") % 2**31,
        autocast=config.runtime.autocast, pass_size=settings.micro_batch_size),
        _rows(context, found))
    write_json(folder / SUMMARY, {"demonstrations": len(found), "steps": steps})


def _rows(context: Context, found: Sequence[Demonstration]) -> list[dict[str, Any]]:
    """Return TRL's columns: lists of turns for a model with a chat template, else texts."""
    tokenizer = load_tokenizer(context.config.tutor.model)
    rows: list[dict[str, Any]] = []
    for one in found:
        prompt = model_prompt(tokenizer, one.prompt)
        completion = one.completion if isinstance(prompt, str) else [
            Turn(role="assistant", content=one.completion)]
        rows.append({"prompt": prompt, "completion": completion})
    return rows
