"""Trainings of a tiny tutor for tests: rows, jobs and how to run them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fedrlhf.config import schema
from fedrlhf.models.load import load_tokenizer
from fedrlhf.stages.training import ROWS, TRAINER, Job, train
from fedrlhf.types import Turn

QUESTIONS = ("What is recall?", "Explain a learning curve.", "Why split data?", "What is bias?",
             "How does a tree split?", "What is a p-value?", "Name a metric.", "What is a mean?")
GOOD = ("It is a share of true positives.", "It shows the error over the data.", "To test.",
        "A steady error.", "By the best cut.", "A chance.", "The accuracy, for example.", "A sum.")
BAD = ("No.", "I do not know what that is.", "Ask another.", "Why not?", "Somehow it does.",
       "A letter.", "Nothing.", "It depends on many things.")

Logged = list[tuple[int, dict[str, float]]]


def tutor(path: Path | str, **model: Any) -> schema.Tutor:
    """Return a tutor with LoRA of rank 2 in all its linear layers."""
    return schema.Tutor(schema.Model(path=str(path), **model), schema.Adapter(rank=2))


def answer(text: str) -> list[Turn]:
    return [Turn(role="assistant", content=text)]


def rows(stage: str) -> list[dict[str, Any]]:
    """Return eight rows in the form of a model with a chat template."""
    asked = [[Turn(role="user", content=text)] for text in QUESTIONS]
    if stage == "sft":
        return [{"prompt": p, "completion": answer(g)} for p, g in zip(asked, GOOD, strict=True)]
    return [{"prompt": p, "chosen": answer(g), "rejected": answer(b)}
            for p, g, b in zip(asked, GOOD, BAD, strict=True)]


def job(stage: str, folder: Path, tutor: schema.Tutor, steps: int = 4, start: Path | None = None,
        **settings: Any) -> Job:
    """Return a training with its rows on disk; batches of 4 in passes of 2."""
    kind = schema.Dpo if stage == "align" else schema.Sft
    chosen = {"batch_size": 4, "micro_batch_size": 2, "learning_rate": 1e-2, "warmup_ratio": 0.0,
              "checkpoint_steps": 2, "optimizer": "adamw", **settings}
    (folder / TRAINER).mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows(stage)), folder / TRAINER / ROWS)
    return Job(stage=stage, folder=str(folder), tutor=tutor, settings=kind(**chosen), steps=steps,
               keep=(), start=None if start is None else str(start), seed=3, autocast="off",
               pass_size=chosen["micro_batch_size"])


def run(job: Job, report: Callable[[int, Mapping[str, float]], None] | None = None) -> Logged:
    """Train in this process; return what was reported."""
    seen: Logged = []
    train(job, report or (lambda step, values: seen.append((step, dict(values)))))
    return seen


def policy_hashable(folder: Path) -> bytes:
    """Return the bytes of a trained policy."""
    return (folder / "policy" / "adapter_model.safetensors").read_bytes()


def token_ids(path: Path, question: str, text: str) -> tuple[list[int], list[int]]:
    """Return a question's tokens as the tutor reads it, and those of question and answer."""
    tokenizer = load_tokenizer(schema.Model(path=str(path)))
    turns = [Turn(role="user", content=question)]
    asked = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    whole = tokenizer.apply_chat_template([*turns, *answer(text)], tokenize=False)
    return (tokenizer(asked, add_special_tokens=False).input_ids,
            tokenizer(whole, add_special_tokens=False).input_ids)
