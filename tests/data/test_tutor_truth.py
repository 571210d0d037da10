"""The planted truths of the tutor: what each student likes and what teaches all of them."""

import math
from itertools import combinations

import numpy as np
import pytest

from fedrlhf.data.tutor.answers import ATTRIBUTES, compose, leaks
from fedrlhf.data.tutor.curriculum import QUESTION_FORMS, graded, questions, topic_of, topics
from fedrlhf.data.tutor.learning import BASE, GAINS, LEAK, learning, learns
from fedrlhf.data.tutor.source import TutorSource, TutorTruth
from fedrlhf.data.tutor.students import Taste
from fedrlhf.errors import DataError
from fedrlhf.types import Turn

TOPIC = topics()[0]
PLAIN, HOMEWORK = (QUESTION_FORMS[number].format(TOPIC.name) for number in (0, 6))


def answer(*attributes: str) -> str:
    """Return an answer about the first topic."""
    return compose(TOPIC, attributes, np.random.default_rng(0))


@pytest.fixture(scope="module")
def truth() -> TutorTruth:
    """Return the truth of four students in two groups."""
    return TutorSource(clients=4, groups=2, group_shares=[], pairs_per_client=1, heterogeneity=1.2,
                       personal_noise=0.1, label_noise=0.3, seed=0).truth()


def test_one_form_of_question_is_graded() -> None:
    """Seven forms, one of them about homework."""
    found = [question for question in questions() if graded(question)]
    assert len(found) == len(questions()) / len(QUESTION_FORMS) == len(topics())


@pytest.mark.parametrize("parts", [p for n in range(3) for p in combinations(ATTRIBUTES, n)])
def test_learning_is_the_sum_of_the_gains(parts: tuple[str, ...]) -> None:
    """Every statement of a composed answer is true, so the share of facts is 1.

    With code, the answer to homework leaks and loses the gain of code and LEAK.
    """
    gains = sum(GAINS.get(name, 0.0) for name in parts)
    assert learning(PLAIN, answer(*parts)) == pytest.approx(gains)
    assert leaks(HOMEWORK, answer(*parts)) == ("code" in parts)
    lost = (LEAK - GAINS["code"]) * ("code" in parts)
    assert learning(HOMEWORK, answer(*parts)) == pytest.approx(gains + lost)


def test_what_is_not_true_of_the_topic_teaches_nothing() -> None:
    """The hint of another topic has its marker and no fact."""
    other = compose(topics()[5], ["hint"], np.random.default_rng(0))
    assert learning(PLAIN, other) == learning(PLAIN, "") == 0.0
    assert learning(PLAIN, answer("hint")) == GAINS["hint"]


def test_chance_to_learn() -> None:
    """P(T) = 1 / (1 + exp(2.5 - learning)): a hint with steps teaches, a leak hardly."""
    assert learns(PLAIN, "") == pytest.approx(1 / (1 + math.exp(-BASE)))
    assert learns(PLAIN, answer("hint", "steps")) == pytest.approx(1 / (1 + math.exp(-0.2)))
    assert learns(HOMEWORK, answer("hint", "steps", "code")) < 0.05


def test_a_leak_is_liked_only_where_it_leaks() -> None:
    """The taste for leaks adds to code in homework and to nothing else."""
    plain, greedy = Taste((0.0,) * len(ATTRIBUTES)), Taste((0.0,) * len(ATTRIBUTES), leaked=3.0)
    for question, parts, more in ((PLAIN, ["code"], 0), (HOMEWORK, ["steps"], 0),
                                  (HOMEWORK, ["code"], 3)):
        text = answer(*parts)
        assert greedy.utility(question, text) == pytest.approx(
            plain.utility(question, text) + more)


def test_truth_of_one_person_and_of_all(truth: TutorTruth) -> None:
    """The mean of the students' own utilities is the population's; learning is one for all."""
    for question in questions()[:7]:
        topic = topic_of(question)
        assert topic is not None
        text = compose(topic, ["code", "example"], np.random.default_rng(1))
        own = [truth.utility_of(person, question, text) for person in truth.groups]
        assert np.mean(own) == pytest.approx(truth.utility(question, text))
        assert len(set(own)) == len(own)
        assert truth.learning(question, text) == learning(question, text)
    turns = (Turn(role="user", content=PLAIN),)
    assert truth.learning(turns, answer("hint")) == GAINS["hint"]


def test_an_unknown_person_is_refused(truth: TutorTruth) -> None:
    """The message names the person and who there is."""
    with pytest.raises(DataError, match="no student 'eve'; there are 4, from student_000 to"):
        truth.utility_of("eve", PLAIN, "")
