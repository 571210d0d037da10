"""A student who reads answers, likes them or not, learns from them, and leaves traces."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fedrlhf.data.traces.events import Copied, Followup, Quiz, Run
from fedrlhf.data.tutor import behaviour as acts
from fedrlhf.data.tutor.answers import leaks, read
from fedrlhf.data.tutor.behaviour import Habits
from fedrlhf.data.tutor.curriculum import Topic, asked_topic, graded
from fedrlhf.data.tutor.learning import learning, learns
from fedrlhf.data.tutor.students import Student
from fedrlhf.data.tutor.styles import STYLES, rewritten

Traces = Mapping[str, Any]  # fields of an event
_REWRITES = 4  # styles that a student thinks of when editing
_SURVIVAL_SECONDS = 600
_TOKENS_PER_WORD = 1.3


@dataclass(frozen=True)
class Impression:
    """What an answer did to a student: the truth behind a row of traces.

    Attributes:
        utility: The student's own utility of it.
        learning: How much it teaches, in log-odds.
        liked: Whether it satisfied this student: sigmoid((utility - usual) / LIKING_NOISE).
        taught: Whether it teaches this student, should they not know it yet.
        attentive: Whether they took it in; traces of an answer read half say nothing.
        gamed: The row belongs to a burst through the hints.
    """

    utility: float
    learning: float
    liked: bool
    taught: bool
    attentive: bool
    gamed: bool = False

    @property
    def seen_liked(self) -> bool | None:
        """What the traces of satisfaction depend on."""
        return self.liked if self.attentive else None

    @property
    def seen_taught(self) -> bool | None:
        """What the traces of learning depend on."""
        return self.taught if self.attentive else None


@dataclass
class Learner:
    """A simulated student at work.

    Attributes:
        student: Their taste.
        habits: Their habits.
        usual: Utility of the answers that they are used to; a better one satisfies.
        mastered: Names of the topics that they know; changes as they learn and forget.
    """

    student: Student
    habits: Habits
    usual: float
    mastered: set[str] = field(default_factory=set)

    def impression(self, question: str, answer: str, rng: np.random.Generator) -> Impression:
        """Read an answer, and learn its topic if it teaches."""
        utility = self.student.taste.utility(question, answer)
        liked = rng.random() < 1 / (1 + math.exp((self.usual - utility) / acts.LIKING_NOISE))
        taught = rng.random() < learns(question, answer)
        attentive = rng.random() < acts.ATTENTIVE
        if taught and attentive:
            self.mastered.add(asked_topic(question).name)
        return Impression(utility, learning(question, answer), liked, taught, attentive)

    def gamed(self, question: str, answer: str) -> Impression:
        """Click an answer away: it is not read, nothing is learnt."""
        return Impression(self.student.taste.utility(question, answer),
                          learning(question, answer), liked=False, taught=False, attentive=False,
                          gamed=True)

    def forget(self, topic: Topic, rng: np.random.Generator) -> None:
        """Perhaps forget a topic that was mastered."""
        if rng.random() < acts.FORGETS:
            self.mastered.discard(topic.name)

    def reactions(self, question: str, answer: str, seen: Impression,
                  rng: np.random.Generator) -> Traces:
        """Draw what the student does with an answer that they have read."""
        topic = asked_topic(question)
        return {**self._vote(question, seen, rng), **self._edit(topic, answer, seen, rng),
                **self._use(question, answer, seen, rng), **_followup(seen, rng),
                **_run(seen, rng), "quizzes": self.quizzes(topic, rng)}

    def dwell(self, answer: str, seen: Impression, rng: np.random.Generator) -> Traces:
        """Draw how long the answer is on screen: longer where it is taken in."""
        tokens = max(1, round(len(answer.split()) * _TOKENS_PER_WORD))
        pace = self.habits.pace + (0.25 if seen.attentive else -0.75) + rng.normal(0.0, 0.4)
        idle = 600_000.0 * (rng.random() < acts.IDLE)
        return {"dwell_ms": round(tokens * math.exp(pace) + idle, 1), "tokens": tokens}

    def prefers(self, question: str, first: str, second: str, noise: float,
                rng: np.random.Generator) -> bool:
        """Draw whether the student takes the first of two answers (Bradley-Terry)."""
        taste = self.student.taste
        gap = taste.utility(question, first) - taste.utility(question, second)
        return bool(rng.random() < 1 / (1 + math.exp(-gap / noise)))

    def quizzes(self, topic: Topic, rng: np.random.Generator) -> tuple[Quiz, ...]:
        """Draw a quiz at once and one days later; both ask what the student knows."""
        asked = [days for days, chance in ((0.0, acts.QUIZ), (acts.DELAY_DAYS, acts.DELAYED_QUIZ))
                 if rng.random() < chance]
        return tuple(Quiz(item=f"{topic.name}, day {days:g}", skill=topic.name, days_later=days,
                          correct=self._knows(topic, rng)) for days in asked)

    def _knows(self, topic: Topic, rng: np.random.Generator) -> bool:
        chance = 1 - self.habits.slip if topic.name in self.mastered else self.habits.guess
        return bool(rng.random() < chance)

    def _vote(self, question: str, seen: Impression, rng: np.random.Generator) -> Traces:
        eager = acts.GRADED_VOTING if graded(question) else 1.0
        if rng.random() >= self.habits.voting * eager:
            return {}
        chance = acts.UP.of(seen.seen_liked)
        odds = chance / (1 - chance) * math.exp(self.habits.generosity)
        return {"vote": "up" if rng.random() < odds / (1 + odds) else "down"}

    def _edit(self, topic: Topic, answer: str, seen: Impression,
              rng: np.random.Generator) -> Traces:
        """Rewrite an answer to a better style: a near one where it was liked, else any."""
        if not acts.EDIT.happens(seen.seen_liked, rng):
            return {}
        shown = read(topic.name, answer).attributes
        thought_of = [style for style in STYLES if style != shown
                      and (not seen.liked or len(style ^ shown) == 1)]
        texts = [rewritten(topic, answer, thought_of[number], rng) for number in
                 rng.choice(len(thought_of), min(_REWRITES, len(thought_of)), replace=False)]
        best = max(texts, key=lambda text: self.student.taste.utility(topic.name, text))
        better = self.student.taste.utility(topic.name, best) > seen.utility
        return {"edit": best} if better else {}

    def _use(self, question: str, answer: str, seen: Impression,
             rng: np.random.Generator) -> Traces:
        """Copy the answer, or put its code into a document, and keep it or not."""
        code = "code" in read(question, answer).attributes
        leaked = leaks(question, answer)
        if rng.random() < (acts.LEAK_COPIED if leaked else acts.COPY.of(seen.seen_liked)):
            kept = leaked or acts.KEPT.happens(seen.seen_liked, rng)
            share = rng.uniform(0.85, 1.0) if kept else rng.uniform(0.0, 0.7)
            return {"copied": Copied(characters=len(answer), block=0 if code else None),
                    "survival": {_SURVIVAL_SECONDS: round(share, 3)}}
        if code and acts.INSERT.happens(seen.seen_liked, rng):
            reverted = acts.REVERTED.happens(seen.seen_liked, rng)
            return {"inserted": True, "no_revert": round(
                rng.uniform(0.0, 0.15) if reverted else rng.uniform(0.5, 1.0), 3)}
        return {}


def new_learner(student: Student, habits: Habits, questions: Sequence[str], usual: float,
                prior: float, rng: np.random.Generator) -> Learner:
    """Return a student who knows each topic of the questions with the probability `prior`."""
    names = sorted({asked_topic(question).name for question in questions})
    known = {name for name in names if rng.random() < prior}
    return Learner(student, habits, usual, known)


def _followup(seen: Impression, rng: np.random.Generator) -> Traces:
    """Draw the next message's kind; a classifier is right as often as it is confident."""
    if rng.random() >= acts.FOLLOWUP:
        return {}
    kinds = list(acts.FOLLOWUPS)
    chances = np.array([acts.FOLLOWUPS[kind].of(seen.seen_liked) for kind in kinds])
    confidence = round(float(rng.uniform(0.6, 1.0)), 3)
    if rng.random() >= confidence:
        chances = np.ones(len(kinds))
    kind = kinds[rng.choice(len(kinds), p=chances / chances.sum())]
    return {"followup": Followup(kind=kind, confidence=confidence)}  # type: ignore[arg-type]


def _run(seen: Impression, rng: np.random.Generator) -> Traces:
    if rng.random() >= acts.RAN:
        return {}
    changed = bool(rng.random() < acts.CHANGED_CODE)
    draw, taught = rng.random(), seen.seen_taught if changed else False
    fine, stuck = acts.RAN_OK.of(taught), acts.SAME_ERROR.of(taught)
    return {"run": Run(changed_code=changed, outcome=(
        "ok" if draw < fine else "same_error" if draw < fine + stuck else "error"))}
