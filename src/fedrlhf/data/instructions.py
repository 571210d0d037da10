"""The prompts that the server owns, from a file or the hub."""

from fedrlhf.data.demonstrations import instruction_of
from fedrlhf.data.lines import BadRow, Row
from fedrlhf.data.source import Instructions
from fedrlhf.data.tables import read_table
from fedrlhf.data.turns import prompt_key
from fedrlhf.errors import ConfigError, DataError
from fedrlhf.types import Prompt

EVALUATE_EVERY = 4


def read_instructions(path: str | None, revision: str | None, split: str,
                      limit: int | None) -> Instructions:
    """Read the server's prompts, each once.

    A row is a demonstration in one of the forms of `demonstrations`, whose completion is not
    needed. It may add ``"split": "label"`` or ``"evaluate"``; of the prompts without one, every
    fourth is for evaluation.

    Args:
        path: A file, a folder laid out as on the hub, or a name on the hub; None: no prompts.
        revision: Commit, tag or branch on the hub; None for local files.
        split: The split of the data set; a single file is read whatever it is called.
        limit: Read at most so many rows; None: all.

    Raises:
        ConfigError: A revision or a limit is given and no path.
        DataError: Nothing can be read there, rows are bad or a prompt has both splits.
    """
    if path is None:
        if revision is not None or limit is not None:
            raise ConfigError("data.instructions_revision and data.instructions_limit say how to "
                              "read data.instructions: set it as well")
        return Instructions()
    return _dealt(path, read_table(path, _row, revision=revision, split=split, limit=limit))


def _row(row: Row) -> tuple[Prompt, str | None]:
    split = row.get("split")
    if split not in (None, "label", "evaluate"):
        raise BadRow("split", split, "must be label or evaluate, or leave it out")
    return instruction_of(row), split


def _dealt(path: str, rows: list[tuple[Prompt, str | None]]) -> Instructions:
    """Sort prompts into splits; a prompt in both would be evaluated on what it was trained on."""
    prompts: dict[str, Prompt] = {}
    splits: dict[str, str] = {}
    for prompt, split in rows:
        key = prompt_key(prompt)
        prompts.setdefault(key, prompt)
        if split is not None and splits.setdefault(key, split) != split:
            raise DataError(f"{path}: the prompt {str(prompt)[:60]!r} has both splits, "
                            "label and evaluate; keep one of the rows")
    free = [key for key in prompts if key not in splits]
    splits |= {key: "label" if place % EVALUATE_EVERY else "evaluate"
               for place, key in enumerate(free, 1)}
    return Instructions(*(tuple(prompt for key, prompt in prompts.items() if splits[key] == split)
                          for split in ("label", "evaluate")))
