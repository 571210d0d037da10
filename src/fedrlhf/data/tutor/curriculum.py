"""Topics of the tutoring scenario and the questions that students ask about them."""

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from fedrlhf.errors import DataError

QUESTION_FORMS = (
    "What is {}?",
    "Explain {} to me.",
    "Why does {} matter?",
    "How do I use {}?",
    "I do not understand {}. Can you help?",
    "When would I need {}?",
    "My homework is about {}. Where do I start?",
)
_GRADED = "homework"


@dataclass(frozen=True)
class Topic:
    """What a tutor can say about one notion: a sentence for each part of an answer."""

    name: str
    definition: str
    example: str
    code: str
    analogy: str
    steps: tuple[str, ...]
    hint: str
    caveat: str


@lru_cache(maxsize=1)
def topics() -> tuple[Topic, ...]:
    """Return the topics of the curriculum in a fixed order."""
    rows = json.loads(files(__package__).joinpath("topics.json").read_text("utf-8"))
    return tuple(Topic(**{**row, "steps": tuple(row["steps"])}) for row in rows)


@lru_cache(maxsize=1)
def questions() -> tuple[str, ...]:
    """Return all questions, topic by topic."""
    return tuple(form.format(topic.name) for topic in topics() for form in QUESTION_FORMS)


@lru_cache(maxsize=4096)
def topic_of(text: str) -> Topic | None:
    """Return the topic that a question names, the longest name first, or None."""
    lowered = text.lower()
    found = [topic for topic in topics() if topic.name.lower() in lowered]
    return max(found, key=lambda topic: len(topic.name), default=None)


def asked_topic(question: str) -> Topic:
    """Return the topic of a question of the curriculum.

    Raises:
        DataError: It names none.
    """
    topic = topic_of(question)
    if topic is None:
        raise DataError(f"the question {question!r} names no topic of the curriculum "
                        "(fedrlhf/data/tutor/topics.json)")
    return topic


def graded(question: str) -> bool:
    """Tell whether a question is about a task that the student is graded for."""
    return _GRADED in question.lower()
