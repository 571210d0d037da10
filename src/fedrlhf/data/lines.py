"""Files of rows, read whole: every bad row is found, named by its line and explained."""

import codecs
import csv
import gzip
import json
import math
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from fedrlhf.errors import DataError

Row = dict[str, Any]
Raw = TypeVar("Raw")
Made = TypeVar("Made")

_SHOWN_ROWS = 5
_SHOWN_CHARACTERS = 60


class BadRow(Exception):  # noqa: N818  # it never leaves this package: read_rows reports it
    """A row that cannot be used; the reader adds the file and the line."""

    def __init__(self, field: str, value: object, advice: str) -> None:
        """Name the field, show its value and say what to do."""
        shown = "missing" if value is None else repr(value)
        if len(shown) > _SHOWN_CHARACTERS:
            shown = f"{shown[:_SHOWN_CHARACTERS]}…"
        super().__init__(f"{field} is {shown}: {advice}")


def read_rows(path: Path, rows: Iterable[tuple[int, Raw]],
              parse: Callable[[Raw], Made]) -> list[Made]:
    """Parse numbered rows of a file.

    Args:
        path: The file, for messages.
        rows: Line numbers and what stands there; reading may fail on the way.
        parse: Makes something of a row or raises BadRow.

    Raises:
        DataError: The file cannot be read, holds no row or has bad rows (the first ones are shown).
    """
    made: list[Made] = []
    bad: list[str] = []
    try:
        for number, row in rows:
            try:
                made.append(parse(row))
            except BadRow as error:
                bad.append(f"line {number}: {error}")
    except (OSError, EOFError, UnicodeDecodeError, csv.Error, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}. Check the path (a relative one starts at "
                        f"{Path.cwd()}) and that the file is whole") from error
    if bad:
        raise DataError(_report(path, bad))
    if not made:
        raise DataError(f"{path} holds no rows; is it the right file?")
    return made


def read_json_lines(path: Path, parse: Callable[[Row], Made],
                    limit: int | None = None) -> list[Made]:
    """Parse each line of a JSON-lines file, compressed where its name ends in ``.gz``.

    Empty lines are skipped; with a limit, so many of the others are read.

    Raises:
        DataError: As for `read_rows`.
    """
    lines = islice(numbered_lines(path), limit)
    return read_rows(path, lines, lambda line: parse(_decode(line)))


def read_csv(path: Path, parse: Callable[[Row], Made]) -> list[Made]:
    """Parse each row of a CSV file in UTF-8 with a head; a row has the number of its last line.

    Raises:
        DataError: As for `read_rows`.
    """
    return read_rows(path, _numbered_rows(path), parse)


def text(row: Row, field: str) -> str:
    """Return a field that must be a text.

    Raises:
        BadRow: It is absent or something else.
    """
    value = row.get(field)
    if not isinstance(value, str):
        raise BadRow(field, value, "write a text")
    return value


def text_or_empty(row: Row, field: str) -> str:
    """Return a field that must be there and may be null: then "".

    Raises:
        BadRow: The row has no such field, or it is something else.
    """
    return "" if field in row and row[field] is None else text(row, field)


def number(row: Row, field: str) -> float:
    """Return a field that must be a finite number.

    Raises:
        BadRow: It is absent or something else.
    """
    value = row.get(field)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadRow(field, value, "write a number")
    return value


def record(row: Row, field: str) -> Row:
    """Return a field that must be a JSON object.

    Raises:
        BadRow: It is absent or something else.
    """
    value = row.get(field)
    if not isinstance(value, dict):
        raise BadRow(field, value, "write a JSON object")
    return value


def records(row: Row, field: str) -> list[Row]:
    """Return a field that must be a list of JSON objects.

    Raises:
        BadRow: It is absent or something else.
    """
    value = row.get(field)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise BadRow(field, value, "write a list of JSON objects")
    return value


def one_of(row: Row, field: str, known: dict[str, Made]) -> Made:
    """Return what a field's text stands for.

    Raises:
        BadRow: It is none of the known texts.
    """
    value = row.get(field)
    if not isinstance(value, str) or value not in known:
        raise BadRow(field, value, f"must be one of {', '.join(known)}")
    return known[value]


def _numbered_rows(path: Path) -> Iterator[tuple[int, Row]]:
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        for row in reader:
            yield reader.line_num, row


def numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield each line that is not empty with its number; unpack a file that ends in ``.gz``."""
    opened = gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")
    with opened as file:
        for number, line in enumerate(file, 1):
            content = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
            if content.strip():
                yield number, content


def _decode(line: bytes) -> Row:
    try:
        row = json.loads(line.decode("utf-8"), parse_constant=_refuse_constant)
        if b"\\ud" in line.lower():  # half of a surrogate pair is legal JSON and no legal text
            json.dumps(row, ensure_ascii=False).encode("utf-8")
    except ValueError as error:
        raise BadRow("the line", line.strip(), f"not JSON in UTF-8: {error}") from None
    if not isinstance(row, dict):
        raise BadRow("the line", row, 'write a JSON object such as {"prompt": "…"}')
    return row


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number; use null or leave the key out")


def _report(path: Path, bad: list[str]) -> str:
    shown = "\n  ".join(bad[:_SHOWN_ROWS])
    count = "1 bad row" if len(bad) == 1 else f"{len(bad)} bad rows"
    first = f"; the first {_SHOWN_ROWS}" if len(bad) > _SHOWN_ROWS else ""
    return f"{path}: {count}{first}:\n  {shown}"
