"""Rows that the tests of the traces share."""

from typing import Any

from fedrlhf.data.traces.events import Event, Policy


def event(**fields: Any) -> Event:
    """Return an event with the required fields filled in."""
    required = {"user": "ann", "session": "s", "turn": 0, "prompt": "2 + 2?", "answer": "4",
                "policy": Policy(id="tutor")}
    return Event(**{**required, **fields})
