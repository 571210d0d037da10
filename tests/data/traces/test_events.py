"""The schema of a row of traces and the reader that sets bad rows aside."""

import gzip
import json
import math
from pathlib import Path
from typing import Any

import pytest

from fedrlhf.data.traces.events import Alternative, Event, Message, Quiz
from fedrlhf.data.traces.reading import Problem, read_events, write_events
from fedrlhf.errors import DataError

REQUIRED = {"user": "ann", "session": "s", "turn": 0, "prompt": "2 + 2?", "answer": "4",
            "policy": {"id": "tutor", "version": "3"}}
EVERYTHING = {
    **REQUIRED, "time": "2026-01-01T08:00:00Z", "decoding": {"temperature": 0.7},
    "alternative": {"answer": "5", "side": "second"}, "propensity": 0.5,
    "other_log_probs": {"new": -1.5}, "task": "t",
    "skills": ["sums"], "graded": True, "reference_solution": "4", "vote": "up", "ab": "chosen",
    "rating": 5, "edit": "four", "copied": {"characters": 3, "block": 0}, "inserted": True,
    "survival": {"30": 1.0, "600": 0.8}, "no_revert": 0.9,
    "snapshots": {"before": "", "inserted": "4", "later": {"30": "4"}},
    "run": {"outcome": "ok", "changed_code": True},
    "regenerate": {"after_seconds": 3, "accepted_answer": "four"},
    "followup": {"text": "no", "kind": "correction", "confidence": 0.8, "correction": "IV"},
    "hint": {"level": 2, "latency_seconds": 1.5, "final": True}, "dwell_ms": 900, "tokens": 1,
    "quizzes": [{"item": "q", "skill": "sums", "correct": True, "days_later": 7,
                 "solved_alone": False, "latency_seconds": 4}],
    "abandon": {"reason": "completed"}, "violations": ["unsafe_code"]}


def written(folder: Path, *rows: Any) -> Path:
    """Write rows (texts as they are) to a file."""
    path = folder / "events.jsonl"
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n"
                            for row in rows), "utf-8")
    return path


def problems(folder: Path, **changed: Any) -> tuple[Problem, ...]:
    """Return what is wrong with a row."""
    events, rejected = read_events(written(folder, {**REQUIRED, **changed}))
    assert not events
    return rejected[0].problems


def test_a_row_with_every_field_survives_writing_and_reading(tmp_path: Path) -> None:
    """read(write(event)) = event, and every field of the schema is set in it."""
    first, = read_events(written(tmp_path, EVERYTHING))[0]
    assert first.event.model_fields_set == set(Event.model_fields) - {"log_prob"}
    write_events(tmp_path / "again.jsonl", [first.event])
    assert [one.event for one in read_events(tmp_path / "again.jsonl")[0]] == [first.event]
    assert first.event.survival == {30: 1.0, 600: 0.8}
    assert first.event.quizzes == (Quiz(item="q", skill="sums", correct=True, days_later=7,
                                        solved_alone=False, latency_seconds=4),)


def test_the_prompt_becomes_the_project_s(tmp_path: Path) -> None:
    """A text stays one; turns become a tuple of dictionaries."""
    turns = [{"role": "user", "content": "2 + 2?"}]
    path = written(tmp_path, REQUIRED, {**REQUIRED, "turn": 1, "prompt": turns})
    events, _ = read_events(path)
    assert [one.event.context for one in events] == ["2 + 2?", tuple(turns)]


def test_the_probability_comes_from_either_field() -> None:
    """0.25 means log 0.25; without both it is unknown."""
    def made(**fields: float) -> Event:
        return Event.model_validate_json(json.dumps({**REQUIRED, **fields}))
    assert made(propensity=0.25).behaviour_log_prob == pytest.approx(math.log(0.25))
    assert made(log_prob=math.log(0.25)).behaviour_log_prob == math.log(0.25)
    assert made(log_prob=-2000.0).behaviour_log_prob == -2000.0  # of a long text
    assert made().behaviour_log_prob is None


@pytest.mark.parametrize(("changed", "field", "reason"), [
    ({"vtoe": "up"}, "vtoe", "there is no such field"),
    ({"policy": {"id": "t", "name": "x"}}, "policy.name", "there is no such field"),
    ({"vote": "left"}, "vote", "Input should be 'up' or 'down'"),
    ({"turn": "0"}, "turn", "Input should be a valid integer"),
    ({"turn": -1}, "turn", "Input should be greater than or equal to 0"),
    ({"answer": " "}, "answer", r"String should match pattern '\S'"),
    ({"prompt": 3}, "prompt", "Input should be a valid array"),
    ({"prompt": [{"role": "bot", "content": "x"}]}, "prompt[0].role",
     "Input should be 'system', 'user', 'assistant' or 'tool'"),
    ({"prompt": []}, "the row", "prompt has no turns"),
    ({"rating": 6}, "rating", "Input should be less than or equal to 5"),
    ({"propensity": 0.0}, "propensity", "Input should be greater than 0"),
    ({"time": "2026-01-01T08:00:00"}, "time", "Input should have timezone info"),
    ({"quizzes": [{"item": "q", "correct": True}]}, "quizzes[0].skill", "Field required"),
    ({"inserted": True, "survival": {"30": 2.0}}, "survival.30",
     "Input should be less than or equal to 1"),
    ({"survival": {"30": 1.0}}, "the row",
     "survival, no_revert and snapshots need copied or inserted"),
    ({"ab": "tie"}, "the row", "ab needs the alternative that was shown beside the answer"),
    ({"dwell_ms": 5.0}, "the row", "dwell_ms needs tokens, the answer's length"),
    ({"propensity": 1.0, "log_prob": 0.0}, "the row", "give propensity or log_prob, not both"),
    ({"other_log_probs": {"new": -1.0}}, "the row",
     "other_log_probs needs propensity or log_prob beside it"),
    ({"propensity": 0.5, "other_log_probs": {"new": 0.5}}, "other_log_probs.new",
     "Input should be less than or equal to 0"),
    ({"followup": {"kind": "thanks", "correction": "x"}}, "followup",
     "a correction needs the kind 'correction'"),
])
def test_a_bad_row_names_the_field_and_the_reason(
        tmp_path: Path, changed: dict[str, Any], field: str, reason: str) -> None:
    """One problem, in one field."""
    assert problems(tmp_path, **changed) == (Problem(field, reason),)


def test_every_line_is_an_event_or_rejected(tmp_path: Path) -> None:
    """Broken JSON, a list, two bad fields and a repeated turn are set aside by their lines."""
    path = written(tmp_path, REQUIRED, "{", "", [1], {**REQUIRED, "turn": 0.5, "rating": 0},
                   {**REQUIRED, "answer": "5"}, '{"answer": "\\ud800"}',
                   json.dumps(REQUIRED).replace('"turn": 0', '"turn": NaN'))
    events, rejected = read_events(path)
    assert [one.line for one in events] == [1]
    assert [one.line for one in rejected] == [2, 4, 5, 6, 7, 8]
    assert [problem.field for problem in rejected[2].problems] == ["turn", "rating"]
    assert rejected[3].problems == (
        Problem("turn", "the same user, session and turn as line 1 of events.jsonl"),)


def test_a_folder_of_plain_and_packed_files(tmp_path: Path) -> None:
    """Files in the order of their names; other files are no traces."""
    write_events(tmp_path / "b.jsonl", [Event.model_validate_json(json.dumps(REQUIRED))])
    with gzip.open(tmp_path / "a.jsonl.gz", "wt") as file:
        file.write(json.dumps({**REQUIRED, "session": "t"}))
    (tmp_path / "notes.txt").write_text("none")
    assert [(one.file, one.line) for one in read_events(tmp_path)[0]] == [
        ("a.jsonl.gz", 1), ("b.jsonl", 1)]


@pytest.mark.parametrize(("content", "says"), [(None, "cannot be read"), ("\n", "holds no rows")])
def test_a_file_without_rows_is_an_error(tmp_path: Path, content: str | None, says: str) -> None:
    """The message names the file."""
    path = tmp_path / "none.jsonl"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=f"none.jsonl {says}"):
        read_events(path)


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    """The message says which files are looked for."""
    with pytest.raises(DataError, match="holds no file"):
        read_events(tmp_path)


def test_events_are_made_in_python_as_well() -> None:
    """Tuples where JSON has lists."""
    made = Event(user="u", session="s", turn=0, prompt=(Message(role="user", content="?"),),
                 answer="a", policy={"id": "p"}, alternative=Alternative(answer="b", side="first"),
                 ab="other")
    assert Event.model_validate_json(made.line()) == made
