"""The embedded source: what simulated students prefer, and the truth behind it."""

import math
from collections.abc import Iterator

import numpy as np

from fedrlhf.data.source import Instructions
from fedrlhf.data.tutor.answers import ATTRIBUTES, compose
from fedrlhf.data.tutor.curriculum import Topic, questions, topic_of
from fedrlhf.data.tutor.learning import learning
from fedrlhf.data.tutor.students import Student, group_tastes, make_students
from fedrlhf.data.tutor.styles import COUNT_CHANCES
from fedrlhf.errors import ConfigError, DataError
from fedrlhf.seeding import generator
from fedrlhf.types import PreferencePair, Prompt, as_text

_STUDENT_SHARE = 0.6  # of the questions; the server has the rest
_EVALUATION_SHARE = 0.3  # of the server's questions


class TutorTruth:
    """What the students like and what teaches them; a run may use it only to measure.

    The exception is a simulated reward, which stands for what a person would say.
    """

    any_text = True

    def __init__(self, students: list[Student]) -> None:
        self.students = {student.client_id: student for student in students}
        self.groups = {student.client_id: student.group for student in students}

    def utility(self, prompt: Prompt, completion: str) -> float:
        """Return the mean utility of an answer over all students."""
        question = as_text(prompt)
        return float(np.mean([student.taste.utility(question, completion)
                              for student in self.students.values()]))

    def utility_of(self, person: str, prompt: Prompt, completion: str) -> float:
        """Return the utility of an answer by the taste of one student.

        Raises:
            DataError: There is no such student.
        """
        if person not in self.students:
            raise DataError(f"there is no student {person!r}; there are {len(self.students)}, from "
                            f"{min(self.students)} to {max(self.students)}")
        return self.students[person].taste.utility(as_text(prompt), completion)

    def learning(self, prompt: Prompt, completion: str) -> float:
        """Return how much an answer teaches, the same for all students (`learning.learning`)."""
        return learning(as_text(prompt), completion)


class TutorSource:
    """Students ask the tutor's curriculum and choose between two composed answers.

    A student prefers the first answer with probability sigmoid((u1 - u2) / label_noise), the
    Bradley-Terry model over their own utility u (see `students.Taste`).
    """

    name = "tutor"

    def __init__(self, *, clients: int, groups: int, group_shares: list[float],
                 pairs_per_client: int, heterogeneity: float, personal_noise: float,
                 label_noise: float, seed: int) -> None:
        for key, value, least in (("pairs_per_client", pairs_per_client, 1),
                                  ("heterogeneity", heterogeneity, 0),
                                  ("personal_noise", personal_noise, 0)):
            if value < least:
                raise ConfigError(f"data.{key} must be at least {least}, got {value}")
        if label_noise <= 0:
            raise ConfigError(f"data.label_noise must be greater than 0, got {label_noise}")
        self.pairs_per_client, self.label_noise, self.seed = pairs_per_client, label_noise, seed
        self.students = make_students(clients, group_tastes(groups, heterogeneity), group_shares,
                                      personal_noise, seed)

    def preferences(self) -> list[PreferencePair]:
        """Return every student's choices."""
        return [pair for student in self.students for pair in self._choices(student)]

    def instructions(self) -> Instructions:
        """Return the questions that no student of the population asks."""
        return server_prompts(self.seed)

    def truth(self) -> TutorTruth:
        """Return the planted tastes and groups."""
        return TutorTruth(self.students)

    def _choices(self, student: Student) -> Iterator[PreferencePair]:
        rng = generator(self.seed, "choices", student.client_id)
        truth = self.truth()
        asked = shared_out(self.seed)[0]
        for _ in range(self.pairs_per_client):
            question = asked[rng.integers(len(asked))]
            topic = topic_of(question)
            assert topic is not None
            first, second = _answer(topic, rng), _answer(topic, rng)
            own = student.taste.utility(question, first) - student.taste.utility(question, second)
            shared = truth.utility(question, first) - truth.utility(question, second)
            wins = rng.random() < 1 / (1 + math.exp(-own / self.label_noise))
            sign = 1 if wins else -1
            yield PreferencePair(
                prompt=question, chosen=first if wins else second,
                rejected=second if wins else first, client_id=student.client_id, source=self.name,
                chosen_first=wins, columns={
                    "topic": topic.name, "group": student.group,
                    "oracle_margin": sign * own, "consensus_margin": sign * shared})


def shared_out(seed: int) -> tuple[list[str], list[str]]:
    """Return the students' questions and the server's."""
    order = generator(seed, "questions").permutation(len(questions()))
    shuffled = [questions()[i] for i in order]
    cut = round(len(shuffled) * _STUDENT_SHARE)
    return shuffled[:cut], shuffled[cut:]


def server_prompts(seed: int) -> Instructions:
    """Return the questions that no student of the population asks."""
    owned = shared_out(seed)[1]
    held_out = round(len(owned) * _EVALUATION_SHARE)
    return Instructions(label=tuple(owned[held_out:]), evaluate=tuple(owned[:held_out]))


def _answer(topic: Topic, rng: np.random.Generator) -> str:
    count = rng.choice(len(COUNT_CHANCES), p=COUNT_CHANCES)
    return compose(topic, rng.choice(ATTRIBUTES, size=count, replace=False).tolist(), rng)
