"""Which parts an answer shows, and policies that choose them with known probabilities."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np

from fedrlhf.data.tutor.answers import ATTRIBUTES, OPENERS, compose, read
from fedrlhf.data.tutor.curriculum import Topic, graded

Style = frozenset[str]

# How many attributes an answer shows: none, one, two or three.
COUNT_CHANCES = (0.1, 0.35, 0.35, 0.2)
STYLES: tuple[Style, ...] = tuple(
    frozenset(chosen) for count in range(len(COUNT_CHANCES))
    for chosen in combinations(ATTRIBUTES, count))


@dataclass(frozen=True)
class StylePolicy:
    """A tutor that draws the style of its answers.

    Attributes:
        name: Its id in the events.
        ungraded: Probability of each of ``STYLES`` for a question that is not graded, shape
            (style,).
        graded: The same for a graded task.
    """

    name: str
    ungraded: tuple[float, ...]
    graded: tuple[float, ...]

    def draw(self, question: str, topic: Topic, rng: np.random.Generator) -> tuple[str, float]:
        """Return an answer and the probability of its style."""
        chances = self._chances(question)
        number = int(rng.choice(len(STYLES), p=chances))
        return compose(topic, STYLES[number], rng), round(float(chances[number]), 12)

    def chance(self, question: str, answer: str) -> float:
        """Return the probability of an answer's style; 0 for one that this policy never shows."""
        number = self._numbers.get(read(question, answer).attributes)
        return 0.0 if number is None else float(self._chances(question)[number])

    @property
    def leaks(self) -> float:
        """Return the probability that an answer to a graded task gives the solution away."""
        return sum(chance for style, chance in zip(STYLES, self.graded, strict=True)
                   if "code" in style)

    def _chances(self, question: str) -> np.ndarray:
        return self._arrays[graded(question)]

    @cached_property
    def _arrays(self) -> tuple[np.ndarray, np.ndarray]:
        return np.asarray(self.ungraded), np.asarray(self.graded)

    @cached_property
    def _numbers(self) -> Mapping[Style, int]:
        return {style: number for number, style in enumerate(STYLES)}


def logging_policy() -> StylePolicy:
    """Return the policy whose answers the students see: by count, then any attributes alike."""
    sizes = np.bincount([len(style) for style in STYLES])
    chances = tuple(float(COUNT_CHANCES[len(style)] / sizes[len(style)]) for style in STYLES)
    return StylePolicy("logging", chances, chances)


def softmax_policy(name: str, ungraded: np.ndarray, graded: np.ndarray,
                   temperature: float) -> StylePolicy:
    """Return the policy that prefers styles of high value, shape (style,) each."""
    return StylePolicy(name, _softmax(ungraded / temperature), _softmax(graded / temperature))


def rewritten(topic: Topic, answer: str, style: Collection[str],
              rng: np.random.Generator) -> str:
    """Rewrite an answer to another style; the parts that stay keep their words."""
    text, had = compose(topic, style, rng), read(topic.name, answer).attributes
    for name in sorted(had.intersection(style)):
        old = next(opener for opener in OPENERS[name] if opener.strip() in answer)
        for opener in OPENERS[name]:
            text = text.replace(opener.strip(), old.strip())
    return text


def _softmax(values: np.ndarray) -> tuple[float, ...]:
    powers = np.exp(values - values.max())
    return tuple(float(value) for value in powers / powers.sum())
