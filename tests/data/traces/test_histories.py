"""What traces say, and which ones say nothing: accidents, gaming, formats, quizzes, dwell."""

import math
from typing import Any

import pytest
from trace_rows import event, logged

from fedrlhf.data.traces import histories
from fedrlhf.data.traces.events import (
    Abandon,
    Copied,
    Followup,
    Hint,
    Quiz,
    Regenerate,
    Run,
)
from fedrlhf.data.traces.evidence import Evidence
from fedrlhf.data.traces.histories import (
    Reading,
    by_user,
    confidence_by_dwell,
    evidence_counts,
    read_history,
)
from fedrlhf.data.traces.knowledge import Tracing

TRACING = Tracing(prior=0.5, learn=0.2, guess=0.25, slip=0.1)


def read(*rows: dict[str, Any]) -> list[Reading]:
    """Read one user's rows."""
    return read_history(logged(*rows), TRACING, gaming_seconds=2.5)


def hint(level: int, seconds: float, final: bool = False, **more: Any) -> dict[str, Any]:
    """Return a row that is a hint."""
    return {"task": "t", "hint": Hint(level=level, latency_seconds=seconds, final=final), **more}


@pytest.mark.parametrize(("row", "found"), [
    ({"vote": "up"}, [("vote", "up", 1.0)]),
    ({"rating": 5}, [("rating", "high", 1.0)]),
    ({"rating": 4}, [("rating", "high", 0.5)]),
    ({"rating": 3}, [("rating", "middle", 1.0)]),
    ({"rating": 1}, [("rating", "low", 1.0)]),
    ({"edit": "It is surely 4."}, [("edit", "middle", 1.0)]),  # 1 of 5 tokens: not below 20%
    ({"edit": "Count on your fingers."}, [("edit", "large", 1.0)]),
    ({"copied": Copied(characters=4)}, [("use", "taken", 1.0)]),
    ({"inserted": True, "survival": {600: 0.9}}, [("use", "kept", 1.0)]),
    ({"inserted": True, "survival": {30: 0.9}}, [("use", "taken", 1.0)]),
    ({"inserted": True, "survival": {600: 0.9, 900: 0.1}}, [("use", "taken", 1.0)]),
    ({"inserted": True, "survival": {600: 0.9}, "no_revert": 0.1}, [("use", "reverted", 1.0)]),
    ({"regenerate": Regenerate(after_seconds=2.0)}, [("regenerate", "asked", 1.0)]),
    ({"followup": Followup(kind="thanks", confidence=0.6)}, [("followup", "thanks", 0.6)]),
    ({"abandon": Abandon(reason="gave_up")}, [("abandon", "gave_up", 1.0)]),
    ({"abandon": Abandon(reason="completed")}, []),
    ({"abandon": Abandon(reason="end_of_class")}, []),
    ({"run": Run(outcome="ok", changed_code=True)}, [("run", "ok", 1.0)]),
    ({}, []),
])
def test_single_traces(row: dict[str, Any], found: list[tuple[str, str, float]]) -> None:
    """Family, outcome and weight of each trace by itself; without dwell the confidence is 1."""
    only, = read(row)
    assert only.evidence == tuple(Evidence(*one) for one in found)
    assert only.ignored == ()


@pytest.mark.parametrize(("row", "why"), [
    ({"regenerate": Regenerate(after_seconds=1.9)}, histories.ACCIDENT),
    ({"edit": "**It is 4**"}, histories.FORMAT_EDIT),
    ({"edit": "Wie geht es dir"}, histories.TOPIC_EDIT),
    ({"run": Run(outcome="ok", changed_code=False)}, histories.SAME_CODE),
    ({"copied": Copied(characters=4), "graded": True, "reference_solution": "4"},
     histories.COPIED_SOLUTION),
    ({"quizzes": (Quiz(item="q", skill="s", correct=True, attempt=2),)}, histories.REPEATED_QUIZ),
    ({"quizzes": (Quiz(item="q", skill="s", correct=True, solved_alone=False),)},
     histories.HELPED_QUIZ),
])
def test_traces_that_say_nothing(row: dict[str, Any], why: str) -> None:
    """Each is set aside with its reason."""
    only, = read({"prompt": "How many?", **row})
    assert only.evidence == ()
    assert only.ignored == (why,)


def test_quizzes_count_against_the_expectation() -> None:
    """Right: 1 - .575; then, delayed, with P(known) = 19/23: wrong, .9 * 19/23 + .25 * 4/23."""
    only, = read({"quizzes": (
        Quiz(item="b", skill="s", correct=False, days_later=7),
        Quiz(item="a", skill="s", correct=True))})
    assert only.evidence == (
        Evidence("quiz", "right", pytest.approx(0.425)),
        Evidence("later_quiz", "wrong", pytest.approx(18.1 / 23)))


def test_the_bucket_is_what_was_known_before() -> None:
    """Three right answers raise P(known) from .5 above .75; a row shows it before its own quiz."""
    quiz = {"skills": ("s",), "quizzes": (Quiz(item="a", skill="s", correct=True),)}
    assert [one.bucket for one in read(quiz, quiz)] == ["middle", "high"]


def test_asking_for_more_speaks_against_the_answer_before() -> None:
    """After 30 s of the same task; not of another task, another session, or clicked through."""
    rows = read(hint(1, 30), hint(2, 30), hint(1, 30, task="u"), hint(1, 30, session="other"))
    assert [[one.family for one in row.evidence] for row in rows] == [["more_help"], [], [], []]


def test_a_rapid_burst_is_dropped_and_its_last_hint_worth_nothing() -> None:
    """Clicks after one second: no request counts, and the vote and quiz of the last hint go."""
    prize = {"vote": "up", "quizzes": (Quiz(item="q", skill="s", correct=True),)}
    rows = read(hint(1, 20), hint(2, 1), hint(3, 1, final=True, **prize))
    assert [row.evidence for row in rows] == [(), (), ()]
    assert [row.gamed for row in rows] == [False, False, True]
    assert rows[1].ignored == (histories.CLICKED_HINT,)


@pytest.mark.parametrize(("days", "bucket", "residual"), [
    (0.0, "middle", 0.425),  # 1 - .575, as if the gamed hint had had no quiz
    (7.0, "high", 4.9 / 23),  # P(known) = 19/23: 1 - (.9 * 19 + .25 * 4) / 23
])
def test_a_quiz_passed_by_a_copied_hint_shows_no_knowledge(days: float, bucket: str,
                                                           residual: float) -> None:
    """Only a delayed one is taken in; what the student answers afterwards counts against that."""
    def quiz(when: float) -> tuple[Quiz, ...]:
        return (Quiz(item="q", skill="s", correct=True, days_later=when),)

    rows = read(hint(1, 1, final=True, quizzes=quiz(days)),
                {"skills": ("s",), "quizzes": quiz(0.0)})
    assert rows[0].evidence == ()
    assert rows[1].bucket == bucket
    assert rows[1].evidence == (Evidence("quiz", "right", pytest.approx(residual)),)


def test_a_final_hint_that_was_studied_counts() -> None:
    """The same hints at leisure: two requests and the last hint's vote."""
    rows = read(hint(1, 20), hint(2, 20), hint(3, 20, final=True, vote="up"))
    assert [[one.outcome for one in row.evidence] for row in rows] == [
        ["asked"], ["asked"], ["up"]]


def test_a_pause_before_the_last_click_does_not_hide_gaming() -> None:
    """Two of four requests were clicks: at least half of the way; one of four is no gaming."""
    assert read(hint(1, 20), hint(2, 1), hint(3, 1), hint(4, 9, final=True))[-1].gamed
    assert not read(hint(1, 20), hint(2, 1), hint(3, 9), hint(4, 9, final=True))[-1].gamed


def test_confidence_from_dwell() -> None:
    """Times per token of e^0, e^1, e^2 have z = -1.2247, 0, 1.2247: 1 + z / 4.

    A constant factor is a property of the user and changes nothing.
    """
    def rows(factor: float) -> list[float]:
        return confidence_by_dwell([event(dwell_ms=factor * 10 * math.exp(place), tokens=10)
                                    for place in range(3)])
    spread = math.sqrt(1.5) / 4
    assert rows(1.0) == pytest.approx([1 - spread, 1.0, 1 + spread])
    assert rows(50.0) == pytest.approx(rows(1.0))


def test_confidence_is_bounded_and_idle_time_clipped() -> None:
    """One outlier of ten has z = 3: 1.5 at most; an hour counts as five minutes do."""
    many = [event(dwell_ms=1000.0, tokens=10)] * 9
    assert confidence_by_dwell([*many, event(dwell_ms=3e5, tokens=10)])[-1] == 1.5
    assert confidence_by_dwell([*many, event(dwell_ms=3.6e6, tokens=10)]) == (
        confidence_by_dwell([*many, event(dwell_ms=3e5, tokens=10)]))
    assert confidence_by_dwell([*many, event(dwell_ms=0.1, tokens=1000)])[-1] == pytest.approx(0.5)
    assert confidence_by_dwell(many) == [1.0] * 9
    assert confidence_by_dwell([event(), event(dwell_ms=5.0, tokens=1)]) == [1.0, 1.0]


def test_dwell_scales_evidence_and_has_no_sign() -> None:
    """Weights of the evidence are multiplied; an answer without evidence stays without."""
    times = [{"dwell_ms": 10.0 * math.exp(place), "tokens": 10} for place in range(3)]
    rows = read({**times[0], "vote": "down"}, times[1], {**times[2], "vote": "up"})
    spread = math.sqrt(1.5) / 4
    assert [one.weight for row in rows for one in row.evidence] == pytest.approx(
        [1 - spread, 1 + spread])


def test_users_are_sorted_and_timed_rows_too() -> None:
    """Rows without times stay as they were written."""
    import datetime
    day = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    rows = logged({"user": "b"}, {"user": "a", "time": day + datetime.timedelta(1)},
                  {"user": "a", "time": day}, {"user": "b"})
    assert {user: [one.line for one in found] for user, found in by_user(rows).items()} == {
        "a": [3, 2], "b": [1, 4]}
    assert list(by_user(rows)) == ["a", "b"]


def test_counts() -> None:
    """Each outcome as often as it was observed."""
    assert evidence_counts(read({"vote": "up"}, {"vote": "up", "rating": 1})) == {
        ("vote", "up"): 2, ("rating", "low"): 1}
