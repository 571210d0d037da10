"""Read files of events; rows that cannot be used are set aside, with the reason."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from fedrlhf.data.lines import numbered_lines
from fedrlhf.data.traces.events import Event
from fedrlhf.errors import DataError
from fedrlhf.files import write_text

_ENDINGS = (".jsonl", ".jsonl.gz")
_WHOLE_ROW = "the row"


@dataclass(frozen=True)
class Logged:
    """An event and where it stands.

    Attributes:
        file: The file's name.
        line: Its line, from 1.
        event: What the line says.
    """

    file: str
    line: int
    event: Event


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a row.

    Attributes:
        field: Which field, such as ``quizzes[0].skill``.
        reason: What is wrong with it.
    """

    field: str
    reason: str


@dataclass(frozen=True)
class Rejected:
    """A row that was set aside, and everything that is wrong with it."""

    file: str
    line: int
    problems: tuple[Problem, ...]


def read_events(path: Path) -> tuple[list[Logged], list[Rejected]]:
    """Read the events of a file or of every ``*.jsonl`` and ``*.jsonl.gz`` of a folder.

    Empty lines are skipped. Every other line is returned once: as an event, or as rejected. Of
    several rows with the same user, session and turn the first counts.

    Raises:
        DataError: A file cannot be read, or there is no row at all.
    """
    events: list[Logged] = []
    rejected: list[Rejected] = []
    seen: dict[tuple[str, str, int], Logged] = {}
    for file in _files(path):
        for number, line in _lines(file):
            made = _parsed(file.name, number, line, seen)
            if isinstance(made, Logged):
                seen[made.event.key] = made
                events.append(made)
            else:
                rejected.append(made)
    if not events and not rejected:
        raise DataError(f"{path} holds no rows; is it the right file?")
    return events, rejected


def write_events(path: Path, events: Iterable[Event]) -> None:
    """Write events to a file that `read_events` reads."""
    write_text(path, "".join(f"{event.line()}\n" for event in events))


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.iterdir() if file.name.endswith(_ENDINGS))
    if not found:
        raise DataError(f"the folder {path} holds no file *.jsonl or *.jsonl.gz")
    return found


def _lines(file: Path) -> list[tuple[int, bytes]]:
    try:
        return list(numbered_lines(file))
    except (OSError, EOFError) as error:
        raise DataError(f"{file} cannot be read: {error}. Check the path (a relative one starts "
                        f"at {Path.cwd()}) and that the file is whole") from error


def _parsed(file: str, number: int, line: bytes,
            seen: dict[tuple[str, str, int], Logged]) -> Logged | Rejected:
    try:
        event = Event.model_validate_json(line)
    except ValidationError as error:
        return Rejected(file, number, _problems(error))
    if event.key in seen:
        first = seen[event.key]
        reason = f"the same user, session and turn as line {first.line} of {first.file}"
        return Rejected(file, number, (Problem("turn", reason),))
    return Logged(file, number, event)


def _problems(error: ValidationError) -> tuple[Problem, ...]:
    findings = error.errors(include_url=False, include_input=False, include_context=False)
    return tuple(Problem(_field(one["loc"]), _reason(one["type"], one["msg"])) for one in findings)


def _reason(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "there is no such field"
    return message.removeprefix("Value error, ")


def _field(place: tuple[int | str, ...]) -> str:
    """Write a place as ``quizzes[0].skill``; the forms of a prompt, in brackets, are left out."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in place
             if not str(part).startswith(("(", "["))]
    return "".join(parts).removeprefix(".") or _WHOLE_ROW
