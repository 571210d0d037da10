"""Sessions of a simulated student with a tutor, as events with the truth beside them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np

from fedrlhf.data.traces.events import (
    Abandon,
    Alternative,
    Copied,
    Event,
    Hint,
    Policy,
    Quiz,
    Regenerate,
)
from fedrlhf.data.tutor import behaviour as acts
from fedrlhf.data.tutor.answers import compose
from fedrlhf.data.tutor.curriculum import Topic, asked_topic, graded
from fedrlhf.data.tutor.learner import Impression, Learner
from fedrlhf.data.tutor.styles import StylePolicy

HINT_FORM = "Give me a hint for {}."
HINTS = (("hint",), ("hint", "steps"), ("steps", "code"))  # the last gives the solution
_GRADED_WEIGHT, _MASTERED_WEIGHT = 2.0, 0.25  # how much more or less often such questions are asked
_SESSION = (6, 15)  # tasks, the end excluded
_FIRST_DAY = datetime(2026, 1, 5, 8, tzinfo=UTC)


@dataclass(frozen=True)
class Observed:
    """A row of a trace file and the truth behind it, which no file holds."""

    event: Event
    truth: Impression


@dataclass(frozen=True)
class _Row:
    """A row whose session is not over."""

    prompt: str
    answer: str
    seen: Impression
    fields: dict[str, Any]


@dataclass(frozen=True)
class Classroom:
    """What students ask and who answers.

    Attributes:
        questions: Those that students may ask.
        policy: The tutor.
        choice_noise: Temperature of a choice between two answers, in units of utility.
    """

    questions: Sequence[str]
    policy: StylePolicy
    choice_noise: float

    def lessons(self, learner: Learner, turns: int, rng: np.random.Generator) -> list[Observed]:
        """Let a student work for at least so many turns; the last session is cut there."""
        observed: list[Observed] = []
        session = 0
        while len(observed) < turns:
            rows = [row for _ in range(rng.integers(*_SESSION))
                    for row in self._task(learner, rng)]
            rows[-1] = _ended(rows[-1], rng)
            start = _FIRST_DAY + timedelta(days=session)
            observed += [_observed(learner, session, turn, start, row)
                         for turn, row in enumerate(rows)]
            session += 1
        return observed[:turns]

    def _task(self, learner: Learner, rng: np.random.Generator) -> Iterator[_Row]:
        """Ask one question, with what follows from its answer."""
        question, topic = self._question(learner, rng)
        learner.forget(topic, rng)
        first = self._answered(learner, question, topic, rng)
        if rng.random() < acts.AB_SHOWN:
            yield self._compared(learner, first, topic, rng)
            return
        wanted = acts.REGENERATE.happens(first.seen.seen_liked, rng)
        accident = rng.random() < acts.ACCIDENT
        again = self._answered(learner, question, topic, rng) if wanted or accident else None
        if again is not None:
            taken = learner.prefers(question, again.answer, first.answer, self.choice_noise, rng)
            after = rng.uniform(0.3, 1.5) if accident else rng.uniform(5.0, 60.0)
            first.fields["quizzes"] = ()
            first.fields["regenerate"] = Regenerate(
                after_seconds=round(after, 2), accepted_answer=again.answer if taken else None)
        yield first
        if again is not None:
            yield again
        if not graded(question):
            yield from _hints(learner, topic, (again or first).seen, rng)

    def _question(self, learner: Learner, rng: np.random.Generator) -> tuple[str, Topic]:
        known = [topic.name in learner.mastered for topic in self._topics]
        weights = self._weights * np.where(known, _MASTERED_WEIGHT, 1.0)
        number = rng.choice(len(weights), p=weights / weights.sum())
        return self.questions[number], self._topics[number]

    @cached_property
    def _topics(self) -> list[Topic]:
        return [asked_topic(question) for question in self.questions]

    @cached_property
    def _weights(self) -> np.ndarray:
        return np.where([graded(question) for question in self.questions], _GRADED_WEIGHT, 1.0)

    def _answered(self, learner: Learner, question: str, topic: Topic,
                  rng: np.random.Generator) -> _Row:
        answer, chance = self.policy.draw(question, topic, rng)
        seen = learner.impression(question, answer, rng)
        return _Row(question, answer, seen, {
            **learner.reactions(question, answer, seen, rng),
            **learner.dwell(answer, seen, rng), "propensity": chance,
            "policy": Policy(id=self.policy.name)})

    def _compared(self, learner: Learner, row: _Row, topic: Topic,
                  rng: np.random.Generator) -> _Row:
        """Show a second answer beside the first; all other traces would be of both."""
        other, _ = self.policy.draw(row.prompt, topic, rng)
        fields = {name: row.fields[name] for name in
                  ("dwell_ms", "tokens", "propensity", "policy", "quizzes")}
        if rng.random() < acts.AB_ANSWERED and other != row.answer:
            taken = learner.prefers(row.prompt, row.answer, other, self.choice_noise, rng)
            fields["ab"] = "chosen" if taken else "other"
        other_side = Alternative(answer=other, side="second" if rng.random() < 0.5 else "first")
        return replace(row, fields={**fields, "alternative": other_side})


def _hints(learner: Learner, topic: Topic, before: Impression,
           rng: np.random.Generator) -> Iterator[_Row]:
    """Ask for hint after hint: until one teaches, or in a burst to the last one."""
    burst = learner.habits.gaming and rng.random() < acts.BURST
    if not burst and not acts.FURTHER_HINT.happens(before.seen_taught, rng):
        return
    for level, style in enumerate(HINTS, 1):
        question, answer = HINT_FORM.format(topic.name), compose(topic, style, rng)
        latency = rng.uniform(0.4, 1.8) if burst else rng.lognormal(3.2, 0.5)
        final = level == len(HINTS)
        hint = {"hint": Hint(level=level, latency_seconds=round(latency, 2), final=final),
                "policy": Policy(id="hints")}
        if burst:
            yield _burst(learner, question, answer, topic, hint, rng)
            continue
        seen = learner.impression(question, answer, rng)
        yield _Row(question, answer, seen, {
            **learner.reactions(question, answer, seen, rng), **learner.dwell(answer, seen, rng),
            **hint})
        if not acts.NEXT_HINT.happens(seen.seen_taught, rng):
            return


def _burst(learner: Learner, question: str, answer: str, topic: Topic, hint: dict[str, Any],
           rng: np.random.Generator) -> _Row:
    """Click through a hint; the last one is praised and copied, and passes the quiz at once."""
    seen = learner.gamed(question, answer)
    fields: dict[str, Any] = {**hint, **learner.dwell(answer, seen, rng)}
    if not hint["hint"].final:
        fields["dwell_ms"] = round(rng.uniform(400.0, 1800.0), 1)
    if hint["hint"].final:
        fields |= {"copied": Copied(characters=len(answer), block=0), "survival": {600: 1.0}}
        if rng.random() < acts.BURST_VOTES:
            fields["vote"] = "up" if rng.random() < acts.BURST_UP else "down"
        passed = bool(rng.random() < acts.BURST_PASSES)
        later = [quiz for quiz in learner.quizzes(topic, rng) if quiz.days_later]
        fields["quizzes"] = (Quiz(item=f"{topic.name}, day 0", skill=topic.name, correct=passed),
                             *later)
    return _Row(question, answer, seen, fields)


def _ended(row: _Row, rng: np.random.Generator) -> _Row:
    gave_up = acts.GAVE_UP.happens(row.seen.seen_liked, rng)
    reason = "gave_up" if gave_up else "end_of_class" if rng.random() < 0.5 else "completed"
    return replace(row, fields={**row.fields, "abandon": Abandon(reason=reason)})  # type: ignore[arg-type]


def _observed(learner: Learner, session: int, turn: int, start: datetime, row: _Row) -> Observed:
    topic = asked_topic(row.prompt)
    task = graded(row.prompt)
    event = Event(user=learner.student.client_id, session=f"session {session}", turn=turn,
                  time=start + timedelta(minutes=3 * turn), prompt=row.prompt, answer=row.answer,
                  task=f"{topic.name}, {'graded' if task else 'practice'}", skills=(topic.name,),
                  graded=task, reference_solution=topic.code if task else None, **row.fields)
    return Observed(event, row.seen)
