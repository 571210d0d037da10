"""Bayesian knowledge tracing (Corbett and Anderson, 1995): what to expect of a student's quiz.

A skill is known or not. A student who knows it slips with probability `slip`, one who does not
guesses right with probability `guess`; after each question it is learned with probability `learn`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from fedrlhf.errors import ConfigError

Bucket = Literal["low", "middle", "high"]
_MIDDLE, _HIGH = 0.4, 0.75


@dataclass(frozen=True)
class Tracing:
    """The four parameters, each a probability; starting values, to be fitted.

    Attributes:
        prior: The skill is known before the first question.
        learn: It is learned after a question.
        guess: A right answer without the skill.
        slip: A wrong answer with it.
    """

    prior: float = 0.3
    learn: float = 0.1
    guess: float = 0.2
    slip: float = 0.1

    def __post_init__(self) -> None:
        """Refuse parameters under which a right answer would speak against the skill.

        Raises:
            ConfigError: They are no probabilities, or guess + slip is not below 1.
        """
        for name in ("prior", "learn", "guess", "slip"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigError(f"knowledge tracing: {name} must lie between 0 and 1, "
                                  f"got {getattr(self, name)}")
        if self.guess + self.slip >= 1.0:
            raise ConfigError("knowledge tracing: guess + slip must be below 1, got "
                              f"{self.guess} + {self.slip}")

    def expected(self, known: float) -> float:
        """Return P(correct) = known (1 - slip) + (1 - known) guess."""
        return known * (1.0 - self.slip) + (1.0 - known) * self.guess

    def updated(self, known: float, correct: bool) -> float:
        """Return P(known) after a question: Bayes' rule, then learning."""
        right = self.expected(known)
        if correct:
            posterior = known * (1.0 - self.slip) / right if right else known
        else:
            posterior = known * self.slip / (1.0 - right) if right < 1.0 else known
        return posterior + (1.0 - posterior) * self.learn


@dataclass
class Knowledge:
    """One student's P(known) by skill, as their quizzes come in."""

    tracing: Tracing = field(default_factory=Tracing)
    known: dict[str, float] = field(default_factory=dict)

    def mastery(self, skill: str) -> float:
        """Return P(known) of a skill."""
        return self.known.get(skill, self.tracing.prior)

    def answered(self, skill: str, correct: bool) -> float:
        """Take in an answer and return its residual: correct - P(correct) before it."""
        before = self.mastery(skill)
        self.known[skill] = self.tracing.updated(before, correct)
        return float(correct) - self.tracing.expected(before)

    def bucket(self, skills: Sequence[str]) -> Bucket:
        """Return how much of some skills is known: their mean below 0.4, below 0.75, above."""
        if not skills:
            return "low"
        mean = sum(self.mastery(skill) for skill in skills) / len(skills)
        return "low" if mean < _MIDDLE else "middle" if mean < _HIGH else "high"
