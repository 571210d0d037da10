"""Students in preference groups: tastes, utilities and the choices that they make."""

from dataclasses import dataclass

import numpy as np

from fedrlhf.data.tutor.answers import ATTRIBUTES, leaks, read
from fedrlhf.errors import ConfigError
from fedrlhf.seeding import generator

# What every student likes, before groups differ. Utility is in units of log-odds / temperature.
COMMON_TASTE = {"example": 2.5, "hint": -2.5, "friendly": 1.5}
WORDS_TASTE = -0.25  # for every ten words
# Group g likes the g-th of these; the groups beyond cycle with another dislike.
_CONTESTED = ("code", "analogy", "steps", "caveat")


@dataclass(frozen=True)
class Taste:
    """A linear utility over what can be read in an answer.

    Attributes:
        attributes: Utility of each name of ``ATTRIBUTES``, shape (attribute,).
        words: Utility of ten words.
        leaked: What is added for the solution of a graded task.
    """

    attributes: tuple[float, ...]
    words: float = WORDS_TASTE
    leaked: float = 0.0

    def utility(self, question: str, answer: str) -> float:
        """Return the true utility of any text as an answer to a question."""
        reading = read(question, answer)
        liked = sum(value for name, value in zip(ATTRIBUTES, self.attributes, strict=True)
                    if name in reading.attributes)
        return (liked + self.words * reading.words / 10
                + self.leaked * leaks(question, answer))


@dataclass(frozen=True)
class Student:
    """A simulated client."""

    client_id: str
    group: int
    taste: Taste


def group_tastes(groups: int, heterogeneity: float) -> list[Taste]:
    """Return the taste of each group: a common part, a favourite and a dislike of its own.

    Raises:
        ConfigError: More groups than there are pairs of a favourite and a dislike.
    """
    pairs = [(like, dislike) for shift in range(1, len(_CONTESTED))
             for place, like in enumerate(_CONTESTED)
             for dislike in [_CONTESTED[(place + shift) % len(_CONTESTED)]]]
    if not 1 <= groups <= len(pairs):
        raise ConfigError(f"data.groups must be between 1 and {len(pairs)}, got {groups}")
    return [_taste({**COMMON_TASTE, like: heterogeneity, dislike: -heterogeneity / 2})
            for like, dislike in pairs[:groups]]


def _taste(named: dict[str, float]) -> Taste:
    return Taste(tuple(named.get(name, 0.0) for name in ATTRIBUTES))


def make_students(clients: int, tastes: list[Taste], shares: list[float], noise: float,
                  seed: int) -> list[Student]:
    """Create the students, group by group in turn, each with a deviation of their own.

    Args:
        clients: How many students.
        tastes: Taste of each group.
        shares: Share of each group; empty for equal groups.
        noise: Standard deviation of a student's deviation in each attribute.
        seed: Seed of the deviations.

    Raises:
        ConfigError: The shares do not fit the groups, or a group would be empty.
    """
    students = []
    for number, group in enumerate(_group_of_each(clients, len(tastes), shares)):
        own = generator(seed, "student", number).normal(0.0, noise, len(ATTRIBUTES))
        taste = Taste(tuple(float(value + more) for value, more in
                            zip(tastes[group].attributes, own, strict=True)))
        students.append(Student(f"student_{number:03d}", group, taste))
    return students


def _group_of_each(clients: int, groups: int, shares: list[float]) -> list[int]:
    if clients < groups:
        raise ConfigError(f"data.clients={clients} is fewer than data.groups={groups}")
    if not shares:
        return [number % groups for number in range(clients)]
    if len(shares) != groups or min(shares) <= 0:
        raise ConfigError(f"data.group_shares must be {groups} positive numbers, got {shares}")
    ends = np.rint(np.cumsum(shares) / sum(shares) * clients).astype(int)
    sizes = np.diff(ends, prepend=0)
    if sizes.min() == 0:
        raise ConfigError(f"data.group_shares={shares} leave a group of {clients} clients empty")
    return np.repeat(np.arange(groups), sizes).tolist()
