"""The server's prompts: every published form, the hub's options, both splits."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fedrlhf.data.instructions import read_instructions
from fedrlhf.data.jsonl import JsonlSource
from fedrlhf.data.source import Instructions
from fedrlhf.errors import ConfigError, DataError

FIXTURES = Path(__file__).parents[1] / "fixtures"


def test_alpaca_as_it_is_published() -> None:
    """40 instructions in a JSON list: every fourth evaluates; an input stands below its task."""
    found = read_instructions(str(FIXTURES / "alpaca/alpaca_data.json"), None, "train", None)
    assert (len(found.label), len(found.evaluate)) == (30, 10)
    assert any("\n\nUse " in str(prompt) for prompt in found.label)


def test_all_sources_share_the_keys() -> None:
    """A file of your own preferences takes the same prompts as a published one."""
    path = str(FIXTURES / "tldr_summaries/train.jsonl")
    assert JsonlSource("unused", path).instructions() == read_instructions(
        path, None, "train", None)
    limited = JsonlSource("unused", path, instructions_limit=8).instructions()
    assert (len(limited.label), len(limited.evaluate)) == (6, 2)


def test_a_folder_with_splits(tmp_path: Path) -> None:
    """A folder as on the hub has a file for each split, here in Parquet."""
    for split, count in (("train", 4), ("test", 8)):
        rows = [{"prompt": f"{split} {n}", "label": "x"} for n in range(count)]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / f"{split}-00000-of-00001.parquet")
    found = read_instructions(str(tmp_path), None, "test", None)
    assert found.evaluate == ("test 3", "test 7")


def test_given_splits_of_demonstrations(tmp_path: Path) -> None:
    """A row in any form may say what it is for."""
    rows = [{"instruction": "a", "output": "x", "split": "evaluate"},
            {"messages": [{"role": "user", "content": "b"}], "split": "label"}]
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    assert read_instructions(str(path), None, "train", None) == Instructions(
        label=(({"role": "user", "content": "b"},),), evaluate=("a",))


def test_what_is_refused() -> None:
    """A revision of a local file, and options without prompts."""
    assert read_instructions(None, None, "train", None) == Instructions()
    with pytest.raises(ConfigError, match="data.instructions_revision and .* set it as well"):
        read_instructions(None, "main", "train", None)
    with pytest.raises(DataError, match="local path; leave the revision out"):
        read_instructions(str(FIXTURES / "alpaca/alpaca_data.json"), "main", "train", None)
