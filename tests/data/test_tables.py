"""Published data sets as files: formats, splits, limits and what is said where they fail."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fedrlhf.data.lines import BadRow, Row
from fedrlhf.data.tables import read_table
from fedrlhf.errors import DataError

ROWS = [{"a": 1, "turns": [{"role": "user", "content": "hi"}]}, {"a": 2, "turns": []}]


def as_it_is(row: Row) -> Row:
    """Return the row."""
    return row


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as on the hub: a file for each split."""
    for split, rows in (("train", ROWS), ("test", ROWS[:1])):
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    return tmp_path


def test_formats_hold_the_same_rows(tmp_path: Path) -> None:
    """A table reads alike from JSON lines, compressed JSON lines and Parquet."""
    text = "".join(json.dumps(row) + "\n" for row in ROWS)
    (tmp_path / "a.jsonl").write_text(text)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "c.parquet")
    for file in sorted(tmp_path.iterdir()):
        assert read_table(str(file), as_it_is, revision=None, split="train") == ROWS, file


def test_a_folder_has_splits_and_a_limit_cuts(folder: Path) -> None:
    """The split names the files; the limit counts rows."""
    assert len(read_table(str(folder), as_it_is, revision=None, split="test")) == 1
    assert read_table(str(folder), as_it_is, revision=None, split="train", limit=1) == ROWS[:1]


def test_bad_rows_are_named_by_number(folder: Path) -> None:
    """All bad rows are found and their numbers shown."""
    def parse(row: Row) -> Row:
        raise BadRow("a", row["a"], "no good")

    with pytest.raises(DataError, match=r"2 bad rows(.|\n)*line 1: a is 1: no good\n  line 2"):
        read_table(str(folder), parse, revision=None, split="train")


@pytest.mark.parametrize(("path", "split", "revision", "words"), [
    ("", "validation", None, r"Bad split: validation. Available splits: \['train', 'test'\]"),
    ("", "train", "abc", "local path; leave the revision out"),
    ("notes.txt", "train", None, r"ends in \.txt; a data file must be one of \.jsonl"),
    ("/no/such", "train", None, "neither here .* nor can it be loaded from the hub"),
])
def test_what_cannot_be_read(folder: Path, path: str, split: str, revision: str | None,
                             words: str) -> None:
    """Each message names the place and what is wrong."""
    (folder / "notes.txt").write_text("x")
    with pytest.raises(DataError, match=words):
        read_table(str(folder / path), as_it_is, revision=revision, split=split)


def test_a_folder_of_the_data_set(tmp_path: Path) -> None:
    """The hub's Parquet branch has a folder for each configuration."""
    for part, rows in (("one/train", ROWS), ("two/train", ROWS[:1])):
        (tmp_path / part).mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / part / "0000.parquet")
    assert read_table(str(tmp_path), as_it_is, revision=None, split="train",
                      folder="two") == ROWS[:1]


def test_json_lines_keep_their_values(tmp_path: Path) -> None:
    """A table would give a column one type and turn this text into a time."""
    rows = [{"rating": "N/A", "at": "2023-01-01T00:00:00"}, {"rating": 5}]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert read_table(str(tmp_path / "x.jsonl"), as_it_is, revision=None, split="train") == rows


def test_a_script_is_not_executed(tmp_path: Path) -> None:
    """A data set that is a program is refused and leaves no trace."""
    name = tmp_path.name
    (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'trace')!r}, 'w')")
    with pytest.raises(DataError, match="cannot be read"):
        read_table(str(tmp_path), as_it_is, revision=None, split="train")
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("name", ["x.json", "x.parquet"])
def test_a_broken_file_is_named(tmp_path: Path, name: str) -> None:
    """What fails while the rows are read is an error of the data, too."""
    (tmp_path / name).write_text('{"a": 1}\n{"a": ')
    with pytest.raises(DataError, match=f"{name} cannot be read"):
        read_table(str(tmp_path / name), as_it_is, revision=None, split="train")
