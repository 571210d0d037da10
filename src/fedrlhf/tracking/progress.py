"""What a run shows while it works: bars in a terminal, plain lines elsewhere, events in a file.

A stage reports events; sinks show them. The same events travel through a file from the process
that Flower starts to the terminal in which the user typed the command.
"""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import (
    Progress as Bars,
)

Event = dict[str, Any]  # kind: start | advance | end | message, and what belongs to it


class Sink(Protocol):
    """Shows or stores events."""

    def __call__(self, event: Event) -> None:
        """Take one event."""


class Task:
    """One piece of work with a known number of steps."""

    def __init__(self, progress: "ProgressReport", name: str, total: int) -> None:
        self._progress, self.name, self.total, self.done = progress, name, total, 0

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Report that steps are done, with a short note such as the present loss."""
        self.done += steps
        self._progress.emit({"kind": "advance", "task": self.name, "done": self.done,
                             "total": self.total, "note": note})


class ProgressReport:
    """Passes events on to all sinks."""

    def __init__(self, *sinks: Sink) -> None:
        self.sinks = sinks

    def emit(self, event: Event) -> None:
        """Send an event to every sink."""
        for sink in self.sinks:
            sink({"time": time.time(), **event})

    def close(self) -> None:
        """Let every sink that keeps something open give it back."""
        for sink in self.sinks:
            if close := getattr(sink, "close", None):
                close()

    def message(self, text: str) -> None:
        """Show a line."""
        self.emit({"kind": "message", "text": text})

    @contextmanager
    def task(self, name: str, total: int, done: int = 0) -> Iterator[Task]:
        """Report a piece of work from its start to its end."""
        task = Task(self, name, total)
        task.done = done
        self.emit({"kind": "start", "task": name, "total": total, "done": done})
        yield task
        self.emit({"kind": "end", "task": name, "done": task.done, "total": total})


class EventFile:
    """Appends events to a JSON-lines file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")

    def __call__(self, event: Event) -> None:
        """Write one line."""
        self._file.write(json.dumps(event) + "\n")
        self._file.flush()


class Lines:
    """Plain lines for logs: the start, every tenth of the way, the end."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._started: dict[str, tuple[float, int]] = {}
        self._shown: dict[str, int] = {}

    def __call__(self, event: Event) -> None:
        """Print the event where it is worth a line."""
        if event["kind"] == "message":
            self._print(event["text"])
        elif event["kind"] == "start":
            self._started[event["task"]] = event["time"], event["done"]
            self._shown[event["task"]] = 0
        elif event["kind"] == "advance":
            tenth = 10 * event["done"] // max(event["total"], 1)
            if tenth > self._shown[event["task"]]:
                self._shown[event["task"]] = tenth
                self._print(f"{event['task']:<24} {event['done']:>5}/{event['total']}  "
                            f"{self._remaining(event)}  {event['note']}".rstrip())

    def _remaining(self, event: Event) -> str:
        started, before = self._started[event["task"]]
        rate = (event["time"] - started) / max(event["done"] - before, 1)
        return f"{rate * (event['total'] - event['done']):4.0f} s left"

    def _print(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


class Terminal:
    """Progress bars with the remaining time."""

    def __init__(self, console: Console) -> None:
        self._bars = Bars(TextColumn("{task.description:<24}"), BarColumn(bar_width=28),
                          MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
                          TextColumn("{task.fields[note]}", style="dim"), console=console)
        self._tasks: dict[str, TaskID] = {}
        self._bars.start()

    def __call__(self, event: Event) -> None:
        """Move the bar of the event's task or print its message above the bars."""
        if event["kind"] == "message":
            self._bars.console.print(event["text"], highlight=False)
        elif event["kind"] == "start":
            self._tasks[event["task"]] = self._bars.add_task(
                event["task"], total=event["total"], completed=event["done"], note="")
        elif event["kind"] == "advance":
            self._bars.update(self._tasks[event["task"]], completed=event["done"],
                              note=event["note"])

    def close(self) -> None:
        """Leave the bars as they stand and give the cursor back."""
        self._bars.stop()


def console_sink() -> Sink:
    """Return bars for a terminal and plain lines for anything else."""
    console = Console()
    return Terminal(console) if console.is_terminal else Lines()
