"""Data sets in their published form: on the hub at a revision, or a local copy of their files."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from fedrlhf.data.lines import Made, Row, read_json_lines, read_rows
from fedrlhf.errors import DataError

_LINES = (".jsonl", ".jsonl.gz")
_BUILDERS = {".jsonl": "json", ".json": "json", ".parquet": "parquet", ".csv": "csv",
             ".arrow": "arrow"}
_WORDS = {"name": "subset", "data_dir": "folder", "split": "split", "revision": "revision"}
_COMPRESSED = (".gz", ".zst", ".bz2", ".xz")


def read_table(path: str, parse: Callable[[Row], Made], *, revision: str | None, split: str,
               subset: str | None = None, folder: str | None = None,
               limit: int | None = None) -> list[Made]:
    """Parse the rows of one split of a data set; bad rows are reported by number.

    No code of a data set is executed: `datasets` reads data files and nothing else. A file of JSON
    lines is read here, line by line: the values stay what they are in the file, whereas a table
    has one type for each column.

    Args:
        path: A file (json, jsonl, parquet, csv, arrow, also compressed), a folder laid out as on
            the hub, or a name on the hub.
        parse: Makes something of a row or raises BadRow.
        revision: Commit, tag or branch on the hub; None for local files.
        split: The split to read; a single file is read whatever it is called.
        subset: Which of the data set's configurations, where its card describes several.
        folder: Read only this folder of the data set; a single file is read wherever it is.
        limit: Read at most so many rows; None: all.

    Raises:
        DataError: Nothing can be read there, there is no such split, or rows are bad.
    """
    local = Path(path).expanduser()
    if local.exists() and revision is not None:
        raise DataError(f"revision={revision} names a version on the hub, but {path} is a "
                        "local path; leave the revision out")
    if local.name.endswith(_LINES):  # no data set on the hub is called so
        return read_json_lines(local, parse, limit)
    rows = _rows(path, {"name": subset, "data_dir": folder, "split": split, "revision": revision})
    return read_rows(Path(path), enumerate(islice(rows, limit), 1), parse)


def _rows(path: str, options: dict[str, Any]) -> Iterator[Row]:
    from datasets import load_dataset  # takes seconds to import
    from datasets.exceptions import DatasetsError

    local = Path(path).expanduser()
    try:
        if local.is_file():
            found: Iterable[Row] = load_dataset(
                _builder(local), data_files=str(local), split="train", streaming=True)
        elif local.exists():
            found = load_dataset(str(local), streaming=True, **options)
        else:  # not streamed: what was read once is in the cache and needs no network again
            found = load_dataset(path, **options)
        yield from found
    # RuntimeError: the data set is a script, which is never executed.
    except (OSError, ValueError, RuntimeError, DatasetsError) as error:
        place = "cannot be read" if local.exists() else (
            f"is neither here (from {Path.cwd()}) nor can it be loaded from the hub")
        asked = ", ".join(f"{_WORDS[key]} {value}" for key, value in options.items() if value)
        hint = ". Set path to one data file of the folder" if local.is_dir() else ""
        raise DataError(f"{path} {place} ({asked}): {' '.join(str(error).split())}{hint}"
                        ) from error


def _builder(file: Path) -> str:
    """Return the reader for a file's ending."""
    ending = next((s for s in reversed(file.suffixes) if s not in _COMPRESSED), "")
    if ending not in _BUILDERS:
        raise DataError(f"{file} ends in {ending or 'nothing'}; a data file must be one of "
                        f"{', '.join(_BUILDERS)}")
    return _BUILDERS[ending]
