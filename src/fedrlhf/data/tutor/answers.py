"""Answers composed of attributes, and the attributes read back from any text."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from fedrlhf.data.tutor.curriculum import Topic, graded, topic_of, topics

ATTRIBUTES = ("example", "code", "analogy", "steps", "hint", "caveat", "friendly")

# How a tutor opens each part; a reader recognises the attribute by these words.
OPENERS = {
    "example": ("For example, ", "Here is a case: "),
    "code": ("In Python: ", "As code: "),
    "analogy": ("Think of ", "It is like "),
    "steps": ("Step 1: ",),
    "hint": ("Hint: ", "Ask yourself: "),
    "caveat": ("Careful: ", "A warning: "),
    "friendly": ("Great question!", "Happy to help!", "Good that you ask!"),
}
_MARKERS = {
    name: re.compile("|".join(re.escape(opener.strip()) for opener in openers))
    for name, openers in OPENERS.items()
}
_SENTENCE_PARTS = ("example", "code", "analogy", "hint", "caveat")
_BOUNDARY = re.compile(r"\s*(?:Step \d+: |" + "|".join(
    re.escape(opener) for name in (*_SENTENCE_PARTS, "friendly") for opener in OPENERS[name]
) + r"|(?<=[.!?`])\s+(?=[A-Z]))")


@dataclass(frozen=True)
class Reading:
    """What can be seen in an answer.

    Attributes:
        attributes: The names of ``ATTRIBUTES`` that are present.
        words: Number of words.
        facts: Share of the statements that the curriculum has for the question's topic, in [0, 1].
    """

    attributes: frozenset[str]
    words: int
    facts: float


def compose(topic: Topic, attributes: Collection[str], rng: np.random.Generator) -> str:
    """Write an answer about a topic that shows exactly the given attributes."""
    parts = []
    if "friendly" in attributes:
        parts.append(_opener("friendly", rng))
    parts.append(_sentence(topic, "hint", rng) if "hint" in attributes else topic.definition)
    parts += [_sentence(topic, name, rng) for name in ("analogy", "example", "code")
              if name in attributes]
    if "steps" in attributes:
        parts += [f"Step {n}: {step}" for n, step in enumerate(topic.steps, 1)]
    if "caveat" in attributes:
        parts.append(_sentence(topic, "caveat", rng))
    return " ".join(parts)


def _opener(name: str, rng: np.random.Generator) -> str:
    return OPENERS[name][rng.integers(len(OPENERS[name]))]


def _sentence(topic: Topic, name: str, rng: np.random.Generator) -> str:
    content = getattr(topic, name)
    return _opener(name, rng) + (f"`{content}`." if name == "code" else content)


@lru_cache(maxsize=65536)
def read(question: str, answer: str) -> Reading:
    """Read the attributes of any text as an answer to a question."""
    present = frozenset(name for name, marker in _MARKERS.items() if marker.search(answer))
    return Reading(present, len(answer.split()), _facts(topic_of(question), answer))


def leaks(question: str, answer: str) -> bool:
    """Tell whether an answer gives the solution of a graded task away: it shows the code."""
    return graded(question) and "code" in read(question, answer).attributes


def _facts(topic: Topic | None, answer: str) -> float:
    statements = [piece.strip() for piece in _BOUNDARY.split(answer) if piece and piece.strip()]
    if not statements or topic is None:
        return 0.0
    known = _statements()
    return sum(topic.name in known.get(statement, ()) for statement in statements) / len(statements)


@lru_cache(maxsize=1)
def _statements() -> dict[str, set[str]]:
    """Map each statement of the curriculum to the names of the topics that it is true of."""
    known: dict[str, set[str]] = {}
    for topic in topics():
        contents = [topic.definition, topic.example, topic.analogy, topic.hint, topic.caveat,
                    f"`{topic.code}`.", *topic.steps]
        for content in contents:
            known.setdefault(content, set()).add(topic.name)
    return known
