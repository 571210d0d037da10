"""How simulated students behave: the chance of each trace after a good and after a bad answer.

These tables are the simulator's assumptions. They differ on purpose from the starting table with
which the trace pipeline reads the traces (data/traces), as a guess differs from what is true.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Chance:
    """The probability of something that a student does.

    Attributes:
        good: After an answer that is good in the trace's channel.
        bad: After any other.
    """

    good: float
    bad: float

    def of(self, good: bool | None) -> float:
        """Return the probability; None: the student has not taken the answer in, between both."""
        return (self.good + self.bad) / 2 if good is None else self.good if good else self.bad

    def happens(self, good: bool | None, rng: np.random.Generator) -> bool:
        """Draw whether the student does it."""
        return bool(rng.random() < self.of(good))


LIKING_NOISE = 0.5  # temperature of liking an answer that differs from the usual, in utility
# Satisfaction: good means that the student likes the answer.
UP = Chance(0.85, 0.25)  # of a vote; a student's generosity adds to its log-odds
EDIT = Chance(0.03, 0.08)
COPY = Chance(0.35, 0.20)
KEPT = Chance(0.80, 0.45)  # of copied text: most of it is still there after ten minutes
INSERT = Chance(0.30, 0.30)  # of code
REVERTED = Chance(0.08, 0.30)  # of inserted code
REGENERATE = Chance(0.04, 0.15)
GAVE_UP = Chance(0.10, 0.30)  # of the last answers of sessions
FOLLOWUP = 0.5
FOLLOWUPS = {"thanks": Chance(0.35, 0.12), "next_step": Chance(0.40, 0.25),
             "clarification": Chance(0.15, 0.20), "rephrase": Chance(0.06, 0.28),
             "correction": Chance(0.04, 0.15)}
# Learning: good means that the answer teaches.
RAN_OK = Chance(0.70, 0.35)
SAME_ERROR = Chance(0.15, 0.45)
FURTHER_HINT = Chance(0.10, 0.25)
NEXT_HINT = Chance(0.20, 0.80)

# What does not depend on the answer.
AB_SHOWN, AB_ANSWERED = 0.08, 0.8
RAN, CHANGED_CODE = 0.3, 0.9
QUIZ, DELAYED_QUIZ, DELAY_DAYS = 0.5, 0.25, 3.0
ACCIDENT = 0.01  # a second click on "regenerate" within two seconds
ATTENTIVE = 0.8  # the rest is read half: its traces say nothing, and nothing is learnt
IDLE = 0.02  # the answer stays on screen while the student is away
FORGETS = 0.15  # a mastered topic, before it is asked about again

# Graded tasks: their students vote more often and copy a leaked solution whatever it is worth.
GRADED_VOTING, LEAK_COPIED = 1.5, 0.8
# Gaming: bursts through the hints to the last one, which is copied to pass the quiz at once.
BURST, BURST_VOTES, BURST_UP, BURST_PASSES = 0.5, 0.5, 0.9, 0.95


@dataclass(frozen=True)
class Habits:
    """What is one student's own.

    Attributes:
        voting: Chance to vote on an answer.
        generosity: Added to the log-odds of an up vote.
        pace: Mean log of the milliseconds spent on a token.
        slip: Chance to fail a quiz on a mastered topic.
        guess: Chance to pass a quiz on another one.
        gaming: Whether the student clicks through hints to the last one.
    """

    voting: float
    generosity: float
    pace: float
    slip: float
    guess: float
    gaming: bool


def draw_habits(gaming: bool, rng: np.random.Generator) -> Habits:
    """Draw a student's habits: 5 to 20 % vote, some are generous and some grumpy."""
    return Habits(voting=rng.uniform(0.05, 0.2), generosity=rng.normal(0.0, 0.8),
                  pace=rng.normal(5.5, 0.3), slip=rng.uniform(0.05, 0.15),
                  guess=rng.uniform(0.1, 0.3), gaming=gaming)
