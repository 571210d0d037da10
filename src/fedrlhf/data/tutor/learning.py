"""What answers teach: the planted truth beside the students' tastes."""

import math

from fedrlhf.data.tutor.answers import leaks, read

# How much each part of an answer teaches, in log-odds of learning. These are assumptions: hints and
# worked steps teach most, politeness nothing. No student's taste is used here.
GAINS = {"hint": 1.5, "steps": 1.2, "example": 1.0, "analogy": 0.8, "code": 0.6, "caveat": 0.4}
LEAK = -4.0  # a full solution is copied, not learnt from
BASE = -2.5  # log-odds of learning from an answer that has none of these parts


def learning(question: str, answer: str) -> float:
    """Return how much any text teaches as an answer to a question, in log-odds of learning.

    The gains of the parts that are present, times the share of its statements that are true of the
    question's topic; the leaked solution of a graded task counts LEAK instead of a gain.
    """
    reading = read(question, answer)
    leaked = leaks(question, answer)
    gains = sum(gain for name, gain in GAINS.items()
                if name in reading.attributes and not (leaked and name == "code"))
    return reading.facts * gains + LEAK * leaked


def learns(question: str, answer: str) -> float:
    """Return the probability that a student who has not mastered the topic learns it so.

    It is the transition P(T) of Bayesian knowledge tracing (Corbett and Anderson, 1995), here of
    the answer: sigmoid(BASE + learning).
    """
    return 1 / (1 + math.exp(-BASE - learning(question, answer)))
