"""RealHumanEval's chat turns: what programmers copied from the answers of a model.

Mozannar et al., "The RealHumanEval", 2024 (arXiv 2404.02806; data CC0). Nobody compared two
answers and nobody rated one: a copy is implicit, weak evidence that the answer was good, and that
nothing was copied is weaker evidence that it was not (the question may have needed no code).
"""

import ast
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from fedrlhf.data.lines import BadRow, Row, read_csv, text
from fedrlhf.data.source import Instructions, Truth
from fedrlhf.data.turns import turns_of
from fedrlhf.errors import ConfigError, DataError
from fedrlhf.types import Rating

FILES = ("chat_data.csv", "tasks_data.csv")
_EMPTY = {"request": "turns without a question", "response": "turns without an answer"}


class RealHumanEvalSource:
    """One rating for each answer that a programmer got; the person is the programmer.

    The prompt is the conversation so far. The rating's value P is ``copied`` where something was
    copied from the answer and ``not_copied`` where nothing was; its weight is |2P - 1|, which is 1
    for certain evidence and 0 for none. The columns are ``task``, ``task_type``, ``model``,
    ``condition`` (chat) and ``copied`` (true, false).

    Attributes:
        left_out: After `preferences`: how many turns have no question or no answer.
    """

    def __init__(self, path: str, copied: float, not_copied: float) -> None:
        """Name the folder of the two files; it is read when asked for.

        Args:
            path: The folder with chat_data.csv and tasks_data.csv.
            copied: P(good | something was copied), above 0.5.
            not_copied: P(good | nothing was copied), below 0.5.

        Raises:
            ConfigError: A probability is on the wrong side of one half.
        """
        if not 0.5 < copied <= 1:
            raise ConfigError(f"data.copied must be above 0.5 and at most 1, got {copied}")
        if not 0 <= not_copied < 0.5:
            raise ConfigError(f"data.not_copied must be at least 0 and below 0.5, got {not_copied}")
        self._folder = Path(path).expanduser()
        self._good = {True: copied, False: not_copied}
        self.name = "realhumaneval"
        self.left_out: dict[str, int] = {}

    def preferences(self) -> list[Rating]:
        """Return the rated answers in the file's order.

        Raises:
            DataError: A file is absent or has bad rows.
        """
        absent = [name for name in FILES if not (self._folder / name).is_file()]
        if absent:
            raise DataError(f"{self._folder} lacks {', '.join(absent)}; set data.path to the "
                            f"folder of RealHumanEval's chat data with {', '.join(FILES)}")
        chat, tasks = (self._folder / name for name in FILES)
        types = dict(read_csv(tasks, lambda row: (text(row, "name"), text(row, "type"))))
        turns = read_csv(chat, partial(_rating, types=types, good=self._good, source=self.name))
        self.left_out = dict(Counter(turn for turn in turns if isinstance(turn, str)))
        return [turn for turn in turns if not isinstance(turn, str)]

    def instructions(self) -> Instructions:
        """Return none: the prompts are the programmers' own."""
        return Instructions()

    def truth(self) -> Truth | None:
        """Return None: nobody planted the preferences of real people."""
        return None


def _rating(row: Row, types: dict[str, str], good: dict[bool, float],
            source: str) -> Rating | str:
    """Make a rating of a row, or say what it lacks."""
    copied, task = bool(_copies(row)), text(row, "task_name")
    if task not in types:
        raise BadRow("task_name", task, "no such task in tasks_data.csv")
    request, answer, programmer = (_literal(row, "request"), text(row, "response"),
                                   text(row, "programmer_id"))
    if not programmer:
        raise BadRow("programmer_id", programmer, "it is empty; write who asked")
    model, _, condition = text(row, "model").partition(" (")
    if request == [] or not answer.strip():
        return _EMPTY["request" if request == [] else "response"]
    prompt = request if isinstance(request, str) and request.strip() else (
        turns_of(request, "request"))
    value = good[copied]
    return Rating(prompt, answer, value, programmer, source, abs(2 * value - 1), columns={
        "task": task, "task_type": types[task], "model": model,
        "condition": condition.removesuffix(")"), "copied": copied})


def _copies(row: Row) -> list[Any]:
    value = _literal(row, "copy_events")
    if not isinstance(value, list):
        raise BadRow("copy_events", value, "write a list, as Python writes it")
    return value


def _literal(row: Row, field: str) -> Any:
    """Return the value of a Python literal, which is read and never executed."""
    try:
        return ast.literal_eval(text(row, field))
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        raise BadRow(field, row[field], "write a value as Python writes it") from None
