"""Events and the sinks that show or store them."""

import io
import json
from pathlib import Path

from fedrlhf.tracking.progress import EventFile, Lines, ProgressReport


def test_lines_show_every_tenth(tmp_path: Path) -> None:
    """Of 40 steps every fourth is a line, the last at 40/40, with its note; messages as is."""
    stream = io.StringIO()
    progress = ProgressReport(Lines(stream))
    progress.message("partition: 3 s")
    with progress.task("select: rounds", 40) as task:
        for step in range(40):
            task.advance(note=f"loss {step}")
    lines = stream.getvalue().splitlines()
    assert lines[0] == "partition: 3 s"
    assert [line.split()[2] for line in lines[1:]] == [f"{n}/40" for n in range(4, 41, 4)]
    assert lines[-1].startswith("select: rounds") and lines[-1].endswith("loss 39")


def test_lines_of_a_continued_task() -> None:
    """A stage that goes on at 30 of 40 shows tenths from there; the rate counts new steps only.

    The first event is at time 0 with 30 done, the next at 10 s with 32: 2 steps in 10 s leave
    8 steps, 40 s.
    """
    stream = io.StringIO()
    lines = Lines(stream)
    lines({"kind": "start", "task": "t", "total": 40, "done": 30, "time": 0.0})
    lines({"kind": "advance", "task": "t", "total": 40, "done": 32, "note": "", "time": 10.0})
    assert stream.getvalue().split() == ["t", "32/40", "40", "s", "left"]


def test_an_empty_task_shows_nothing_and_does_not_fail() -> None:
    """A stage with nothing left to do starts and ends."""
    stream = io.StringIO()
    with ProgressReport(Lines(stream)).task("label: write", 0):
        pass
    assert "0/0" not in stream.getvalue()


def test_event_file_carries_the_same_events(tmp_path: Path) -> None:
    """What one process writes, another reads line by line and shows as if it were its own."""
    path = tmp_path / "events.jsonl"
    direct, relayed = io.StringIO(), io.StringIO()
    progress = ProgressReport(Lines(direct), EventFile(path))
    progress.message("hello")
    with progress.task("t", 5, done=2) as task:
        task.advance(2, note="x")
        task.advance()
    sink = Lines(relayed)
    events = [json.loads(line) for line in path.read_text().splitlines()]
    assert [event["kind"] for event in events] == ["message", "start", "advance", "advance", "end"]
    assert [event["done"] for event in events[1:]] == [2, 4, 5, 5]
    for event in events:
        sink(event)
    shown = [stream.getvalue().split(" s left")[-1] for stream in (direct, relayed)]
    assert shown[0] == shown[1] and len(direct.getvalue().splitlines()) == 3
