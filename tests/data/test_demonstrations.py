"""Demonstrations in each published form, and what is said about rows that are none."""

import json
from pathlib import Path
from typing import Any

import pytest

from fedrlhf.data.demonstrations import demonstration_of, instruction_of, read_demonstrations
from fedrlhf.data.lines import BadRow
from fedrlhf.errors import DataError
from fedrlhf.types import Demonstration

SYSTEM = {"role": "system", "content": "Be brief."}
USER = {"role": "user", "content": "2 + 2?"}
FOUR = {"role": "assistant", "content": "4"}


@pytest.mark.parametrize(("row", "expected"), [
    ({"instruction": "Add.", "input": "2, 2", "output": "4"}, Demonstration("Add.\n\n2, 2", "4")),
    ({"instruction": "2 + 2?", "input": "", "output": "4", "text": "whole"},
     Demonstration("2 + 2?", "4")),
    ({"instruction": "2 + 2?", "input": None, "output": "4"}, Demonstration("2 + 2?", "4")),
    ({"instruction": "2 + 2?", "output": "4"}, Demonstration("2 + 2?", "4")),
    ({"prompt": "2 + 2?", "completion": " 4"}, Demonstration("2 + 2?", " 4")),
    ({"prompt": "POST: x\nTL;DR:", "label": "y"}, Demonstration("POST: x\nTL;DR:", "y")),
    ({"prompt": [USER], "completion": [FOUR]}, Demonstration((USER,), "4")),  # type: ignore[arg-type]
    ({"messages": [SYSTEM, USER, FOUR], "prompt": "2 + 2?"},
     Demonstration((SYSTEM, USER), "4")),  # type: ignore[arg-type]
])
def test_forms(row: dict[str, Any], expected: Demonstration) -> None:
    """Each form gives its prompt and its completion, as they stand in the row."""
    assert demonstration_of(row) == expected
    assert instruction_of(row) == expected.prompt


@pytest.mark.parametrize(("row", "words"), [
    ({"instruction": " ", "output": "4"}, "instruction is ' '"),
    ({"instruction": "Add.", "input": 3, "output": "4"}, "input is 3"),
    ({"instruction": "Add."}, "output is missing"),
    ({"prompt": "2 + 2?"}, "completion is missing"),
    ({"completion": "4"}, "prompt is missing"),
    ({"prompt": [USER], "completion": [FOUR, FOUR]}, "completion is .*exactly one turn"),
    ({"messages": [FOUR]}, "a turn of the user must stand before"),
    ({"messages": [USER]}, "the last turn must be the assistant's"),
    ({"messages": []}, "messages is"),
])
def test_bad_rows_name_the_field(row: dict[str, Any], words: str) -> None:
    """What is absent or wrong is named."""
    with pytest.raises(BadRow, match=words):
        demonstration_of(row)


def test_instructions_need_no_completion() -> None:
    """Rows of prompts alone serve as instructions in every form."""
    assert instruction_of({"prompt": "2 + 2?"}) == "2 + 2?"
    assert instruction_of({"instruction": "2 + 2?", "output": None}) == "2 + 2?"
    assert instruction_of({"messages": [USER]}) == (USER,)


@pytest.mark.parametrize("name", ["alpaca.json", "alpaca.jsonl"])
def test_files(tmp_path: Path, name: str) -> None:
    """Alpaca is published as one JSON list; JSON lines hold the same rows. A limit counts rows."""
    rows = [{"instruction": f"Say {n}.", "input": "", "output": str(n)} for n in range(3)]
    lines = json.dumps(rows) if name.endswith(".json") else "\n".join(map(json.dumps, rows))
    (tmp_path / name).write_text(lines)
    found = read_demonstrations(str(tmp_path / name), None, "train", 2)
    assert found == [Demonstration("Say 0.", "0"), Demonstration("Say 1.", "1")]


def test_a_bad_row_is_found_by_its_number(tmp_path: Path) -> None:
    """The message names the file, the line and the field."""
    path = tmp_path / "x.jsonl"
    path.write_text('{"prompt": "a", "completion": "b"}\n{"prompt": "a"}\n')
    with pytest.raises(DataError, match=r"x\.jsonl: 1 bad row:\n  line 2: completion is missing"):
        read_demonstrations(str(path), None, "train", None)
