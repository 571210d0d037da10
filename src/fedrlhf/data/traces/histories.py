"""One user's answers in order: what the traces of each one say, and which traces say nothing."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from fedrlhf.data.traces.constraints import violations_of
from fedrlhf.data.traces.edits import kind_of_edit, no_revert_of, survival_of
from fedrlhf.data.traces.events import Event, Hint, Quiz, Violation
from fedrlhf.data.traces.evidence import Evidence
from fedrlhf.data.traces.knowledge import Bucket, Knowledge, Tracing
from fedrlhf.data.traces.reading import Logged

# Traces that are set aside, by why.
ACCIDENT = "regenerate within 2 s"
FORMAT_EDIT = "edit of the format only"
TOPIC_EDIT = "edit to another topic"
COPIED_SOLUTION = "copy of a leaked solution"
SAME_CODE = "run of unchanged code"
CLICKED_HINT = "hint asked for too fast"
GAMED = "traces of a final hint reached by gaming"
HELPED_QUIZ = "quiz answered with help"
REPEATED_QUIZ = "quiz answered again"

ACCIDENT_SECONDS = 2.0
_KEPT, _REVERTED, _LATE_SECONDS = 0.8, 0.2, 600
_DELAYED_DAYS = 0.5
_IDLE_MS = 300_000.0
_LEAST_DWELLS = 3


@dataclass(frozen=True)
class Reading:
    """An answer and what its traces say.

    Attributes:
        logged: The row.
        evidence: For the table, of both channels.
        ignored: Why traces of it were set aside.
        violations: What is wrong with the answer.
        bucket: How much of the skills the student knew before.
        confidence: 0.5 to 1.5, from how long the answer was looked at; in the weights already.
    """

    logged: Logged
    evidence: tuple[Evidence, ...]
    ignored: tuple[str, ...]
    violations: tuple[Violation, ...]
    bucket: Bucket
    confidence: float

    @property
    def event(self) -> Event:
        """The row's event."""
        return self.logged.event

    @property
    def gamed(self) -> bool:
        """Whether it is a final hint that was reached by gaming: nothing of it counts."""
        return GAMED in self.ignored


@dataclass
class _Found:
    """What is being found out about one answer."""

    evidence: list[Evidence] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)

    def add(self, family: str, outcome: str, weight: float = 1.0) -> None:
        self.evidence.append(Evidence(family, outcome, weight))


def by_user(logged: Iterable[Logged]) -> dict[str, list[Logged]]:
    """Return each user's rows, in order of time where all have one, else as they were written."""
    found: dict[str, list[Logged]] = defaultdict(list)
    for one in logged:
        found[one.event.user].append(one)
    return {user: _in_order(found[user]) for user in sorted(found)}


def _in_order(rows: list[Logged]) -> list[Logged]:
    if any(one.event.time is None for one in rows):
        return rows
    return sorted(rows, key=lambda one: (one.event.time, one.event.session, one.event.turn))


def read_history(rows: Sequence[Logged], tracing: Tracing,
                 gaming_seconds: float) -> list[Reading]:
    """Read one user's traces.

    Args:
        rows: The user's answers in order.
        tracing: What to expect of quizzes.
        gaming_seconds: A hint that was asked for sooner after the answer before it was clicked
            through to.
    """
    events = [one.event for one in rows]
    violations = [violations_of(event) for event in events]
    found = [_direct(event, wrong) for event, wrong in zip(events, violations, strict=True)]
    _follow_hints(events, found, gaming_seconds)
    buckets = _follow_knowledge(events, found, Knowledge(tracing))
    confidences = confidence_by_dwell(events)
    return [Reading(row, _weighted(one, sure), tuple(dict.fromkeys(one.ignored)), wrong, bucket,
                    sure)
            for row, one, wrong, bucket, sure in zip(rows, found, violations, buckets, confidences,
                                                     strict=True)]


def _weighted(found: _Found, confidence: float) -> tuple[Evidence, ...]:
    if GAMED in found.ignored:
        return ()
    return tuple(Evidence(one.family, one.outcome, one.weight * confidence)
                 for one in found.evidence)


def _direct(event: Event, violations: Sequence[Violation]) -> _Found:
    """Return what a row says by itself."""
    found = _Found()
    if event.vote is not None:
        found.add("vote", event.vote)
    if event.rating is not None:
        outcome = "high" if event.rating > 3 else "low" if event.rating < 3 else "middle"
        found.add("rating", outcome, 1.0 if event.rating in (1, 3, 5) else 0.5)
    _edit(event, found)
    _use(event, violations, found)
    if event.regenerate is not None:
        if event.regenerate.after_seconds < ACCIDENT_SECONDS:
            found.ignored.append(ACCIDENT)
        else:
            found.add("regenerate", "asked")
    if event.followup is not None:
        found.add("followup", event.followup.kind, event.followup.confidence)
    if event.abandon is not None and event.abandon.reason == "gave_up":
        found.add("abandon", "gave_up")
    if event.run is not None:
        if event.run.changed_code:
            found.add("run", event.run.outcome)
        else:
            found.ignored.append(SAME_CODE)
    return found


def _edit(event: Event, found: _Found) -> None:
    if event.edit is None:
        return
    kind = kind_of_edit(event.answer, event.edit)
    if kind in ("format", "topic"):
        found.ignored.append(FORMAT_EDIT if kind == "format" else TOPIC_EDIT)
    else:
        found.add("edit", kind)


def _use(event: Event, violations: Sequence[Violation], found: _Found) -> None:
    """Copying says little; that the text survives, or is undone, says more."""
    if event.copied is None and not event.inserted:
        return
    if event.graded and "leaked_answer" in violations:
        found.ignored.append(COPIED_SOLUTION)
        return
    not_undone, survival = no_revert_of(event), survival_of(event)
    last = max(survival, default=0)
    if not_undone is not None and not_undone < _REVERTED:
        found.add("use", "reverted")
    elif last >= _LATE_SECONDS and survival[last] > _KEPT:
        found.add("use", "kept")
    else:
        found.add("use", "taken")


def _follow_knowledge(events: Sequence[Event], found: Sequence[_Found],
                      knowledge: Knowledge) -> list[Bucket]:
    """Add the quizzes' residuals; return what was known before each answer.

    A delayed quiz stands in the row of the answer that it tests and is taken in there, although
    other answers came in between: a file of rows does not say when exactly it was. A quiz at once
    after a final hint that was reached by gaming is answered by copying it, so it says nothing
    about what is known; a delayed one does, although it is no evidence of the hint.
    """
    buckets: list[Bucket] = []
    for event, one in zip(events, found, strict=True):
        buckets.append(knowledge.bucket(event.skills))
        for quiz in sorted(event.quizzes, key=lambda quiz: quiz.days_later):
            if _delayed(quiz) or GAMED not in one.ignored:
                _quiz(quiz, one, knowledge)
    return buckets


def _delayed(quiz: Quiz) -> bool:
    return quiz.days_later >= _DELAYED_DAYS


def _quiz(quiz: Quiz, found: _Found, knowledge: Knowledge) -> None:
    """Take in a first attempt; one with help says nothing about the student."""
    if quiz.attempt > 1:
        found.ignored.append(REPEATED_QUIZ)
        return
    if quiz.solved_alone is False:
        found.ignored.append(HELPED_QUIZ)
        return
    residual = knowledge.answered(quiz.skill, quiz.correct)
    family = "later_quiz" if _delayed(quiz) else "quiz"
    found.add(family, "right" if quiz.correct else "wrong", abs(residual))


def _follow_hints(events: Sequence[Event], found: Sequence[_Found],
                  gaming_seconds: float) -> None:
    """Further requests speak against the answer before them, unless they were clicked through."""
    chains: dict[tuple[str, str | None], list[bool]] = defaultdict(list)
    before: dict[str, int] = {}
    for place, event in enumerate(events):
        previous = before.get(event.session)
        before[event.session] = place
        if event.hint is None:
            continue
        fast = event.hint.latency_seconds < gaming_seconds
        chain = chains[event.session, event.task]
        if event.hint.level == 1:
            chain.clear()
        chain.append(fast)
        if fast:
            found[place].ignored.append(CLICKED_HINT)
        elif previous is not None and events[previous].task == event.task:
            found[previous].add("more_help", "asked")
        if _reached_by_gaming(event.hint, chain):
            found[place].ignored.append(GAMED)


def _reached_by_gaming(hint: Hint, chain: Sequence[bool]) -> bool:
    """Say so of a final hint if it, or at least half of the way to it, was clicked through."""
    return hint.final and (chain[-1] or 2 * sum(chain) >= len(chain))


def confidence_by_dwell(events: Sequence[Event]) -> list[float]:
    """Return 1 + z/4 within 0.5 and 1.5; z: log time per token, standardised within the user.

    Times beyond five minutes are idle and clipped. Without a time, with fewer than three of them or
    with equal ones the confidence is 1.
    """
    logs = {place: float(np.log(min(event.dwell_ms, _IDLE_MS) / event.tokens))
            for place, event in enumerate(events)
            if event.dwell_ms is not None and event.tokens is not None}
    spread = float(np.std(list(logs.values()))) if len(logs) >= _LEAST_DWELLS else 0.0
    if spread < 1e-9:
        return [1.0] * len(events)
    mean = float(np.mean(list(logs.values())))
    return [float(np.clip(1.0 + (logs[place] - mean) / spread / 4.0, 0.5, 1.5))
            if place in logs else 1.0 for place in range(len(events))]


def evidence_counts(readings: Iterable[Reading]) -> Counter[tuple[str, str]]:
    """Return how often each outcome was observed, by family and outcome."""
    return Counter((one.family, one.outcome) for reading in readings for one in reading.evidence)
