"""The table of evidence: how much each trace says about an answer's quality, by channel.

Two channels are kept apart: satisfaction (did the student like it?) and learning (did the student
get further?). The strengths are log-odds. They are starting values, guessed and to be fitted
(`em.py`), never measured results.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Channel = Literal["satisfaction", "learning"]
CHANNELS: tuple[Channel, ...] = ("satisfaction", "learning")
NONE = "none"
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Family:
    """Outcomes that exclude each other, with the log-odds log P(o|good) / P(o|bad) of each.

    Attributes:
        name: What was observed, such as the vote.
        channel: The channel that it speaks about.
        strengths: Log-odds by outcome; 0: neutral.
        rate: For a family whose absence is an observation (`none`): P(outcome | bad); its strength
            is then the log of the odds ratio, what the outcome says beyond its absence.
            None: where it is absent nothing was observed, as for a student who does not vote.
        neutral: Probability of the neutral outcomes together.
    """

    name: str
    channel: Channel
    strengths: Mapping[str, float]
    rate: float | None = None
    neutral: float = 0.2

    @property
    def outcomes(self) -> tuple[str, ...]:
        """The outcomes, and `none` where absence is one."""
        return (*self.strengths, *((NONE,) if self.rate is not None else ()))


TABLE = (
    Family("vote", "satisfaction", {"up": 1.5, "down": -2.0}),
    Family("rating", "satisfaction", {"high": 1.5, "low": -2.0, "middle": 0.0}),
    Family("edit", "satisfaction", {"small": 0.3, "large": -1.0, "middle": 0.0}),
    Family("use", "satisfaction", {"kept": 0.8, "taken": 0.1, "reverted": -1.0}),
    Family("regenerate", "satisfaction", {"asked": -0.8}, rate=0.1),
    Family("followup", "satisfaction", {"rephrase": -0.7, "correction": -1.2, "thanks": 0.7,
                                        "next_step": 0.4, "clarification": 0.0}),
    Family("abandon", "satisfaction", {"gave_up": -0.2}, rate=0.1),
    Family("run", "learning", {"ok": 0.7, "same_error": -0.7, "error": 0.0}),
    Family("more_help", "learning", {"asked": -0.4}, rate=0.2),
    Family("quiz", "learning", {"right": 1.5, "wrong": -1.5}),
    Family("later_quiz", "learning", {"right": 2.5, "wrong": -2.5}),
)
FAMILIES = {family.name: family for family in TABLE}


@dataclass(frozen=True)
class Evidence:
    """One observed outcome.

    Attributes:
        family: Its family in the table.
        outcome: Which outcome.
        weight: What its log-odds are multiplied with: a classifier's confidence, a quiz's residual,
            the confidence from the time that the student looked at the answer.
    """

    family: str
    outcome: str
    weight: float = 1.0

    @property
    def channel(self) -> Channel:
        """The channel that it speaks about."""
        return FAMILIES[self.family].channel

    @property
    def silent(self) -> bool:
        """Whether it says nothing: neutral, or without weight."""
        return not self.weight or not FAMILIES[self.family].strengths[self.outcome]


def columns_of(channel: Channel) -> list[tuple[str, str]]:
    """Return a channel's families and outcomes in the order of every array below."""
    return [(family.name, outcome) for family in TABLE if family.channel == channel
            for outcome in family.outcomes]


def starting_likelihoods(channel: Channel) -> Floats:
    """Return P(outcome | good) and P(outcome | bad) that have the table's strengths.

    Returns:
        Shape [2, outcomes]; each family's outcomes sum to 1.
    """
    found = [pair for family in TABLE if family.channel == channel
             for pair in likelihoods_of(family)]
    return np.array(found).T


def likelihoods_of(family: Family) -> list[tuple[float, float]]:
    """Return (P(o|good), P(o|bad)) of a family's outcomes, with the table's log ratios.

    With p = P(o|bad) equal to `a` for every positive outcome and to `b` for every negative one, and
    m the mass of the neutral ones, both columns must sum to 1: with n+ and n- outcomes
    a n+ + b n- = 1 - m and a sum exp(s+) + b sum exp(s-) = 1 - m, two equations for a and b.
    """
    if family.rate is not None:
        (strength,) = family.strengths.values()
        odds = exp(strength) * family.rate / (1.0 - family.rate)
        good = odds / (1.0 + odds)
        return [(good, family.rate), (1.0 - good, 1.0 - family.rate)]
    values = list(family.strengths.values())
    above, below = [v for v in values if v > 0], [v for v in values if v < 0]
    neutral = len(values) - len(above) - len(below)
    mass = 1.0 - (family.neutral if neutral else 0.0)
    system = np.array([[len(above), len(below)],
                       [sum(map(exp, above)), sum(map(exp, below))]])
    one, two = np.linalg.solve(system, [mass, mass])
    bad = [one if v > 0 else two if v < 0 else family.neutral / neutral for v in values]
    return [(p * exp(v), p) for p, v in zip(bad, values, strict=True)]


def design(turns: Sequence[Sequence[Evidence]], channel: Channel) -> Floats:
    """Return how often each outcome was observed after each answer.

    A family that observes absence gives what is missing to 1 to `none`.

    Returns:
        Shape [turns, outcomes].
    """
    places = {column: place for place, column in enumerate(columns_of(channel))}
    observed = np.zeros((len(turns), len(places)))
    for row, turn in enumerate(turns):
        for one in turn:
            if one.channel == channel:
                observed[row, places[one.family, one.outcome]] += one.weight
    for family in TABLE:
        if family.channel == channel and family.rate is not None:
            seen = [places[family.name, outcome] for outcome in family.strengths]
            missing = 1.0 - observed[:, seen].sum(axis=1)
            observed[:, places[family.name, NONE]] = np.maximum(missing, 0.0)
    return observed


def blocks_of(channel: Channel) -> list[slice]:
    """Return where each family of a channel stands among the outcomes."""
    blocks, start = [], 0
    for family in TABLE:
        if family.channel == channel:
            blocks.append(slice(start, start + len(family.outcomes)))
            start += len(family.outcomes)
    return blocks
