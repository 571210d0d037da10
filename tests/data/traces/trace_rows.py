"""Rows that the tests of the traces share."""

from typing import Any

from fedrlhf.data.traces.events import Event, Policy
from fedrlhf.data.traces.reading import Logged


def event(**fields: Any) -> Event:
    """Return an event with the required fields filled in."""
    required = {"user": "ann", "session": "s", "turn": 0, "prompt": "2 + 2?", "answer": "It is 4.",
                "policy": Policy(id="tutor")}
    return Event(**{**required, **fields})


def logged(*rows: dict[str, Any]) -> list[Logged]:
    """Return rows of a file whose turns are numbered by their lines."""
    return [Logged("events.jsonl", line, event(**{"turn": line, **row}))
            for line, row in enumerate(rows, 1)]
