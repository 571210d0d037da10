"""A population of simulated students, and the traces that all of them leave with a tutor."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fedrlhf.data.tutor.answers import compose
from fedrlhf.data.tutor.behaviour import draw_habits
from fedrlhf.data.tutor.classroom import Classroom, Observed
from fedrlhf.data.tutor.curriculum import QUESTION_FORMS, topics
from fedrlhf.data.tutor.learner import new_learner
from fedrlhf.data.tutor.students import Student
from fedrlhf.data.tutor.styles import STYLES, StylePolicy, logging_policy
from fedrlhf.errors import ConfigError
from fedrlhf.seeding import generator

_PRIOR = 0.2  # share of the topics that a student knows before the first session
_USUAL_TOPICS = 8  # whose answers decide what a student is used to


@dataclass(frozen=True)
class School:
    """Students who work with a tutor and leave traces.

    Attributes:
        students: Who they are; each has a taste.
        gaming_share: Share of the students who click through hints to the last one.
        choice_noise: Temperature of a choice between two answers, in units of utility.
        seed: Seed of their habits and of everything that they do.
    """

    students: Sequence[Student]
    gaming_share: float
    choice_noise: float
    seed: int

    def __post_init__(self) -> None:
        """Refuse what is no share and no temperature.

        Raises:
            ConfigError: `gaming_share` is outside 0 to 1 or `choice_noise` is not positive.
        """
        if not 0 <= self.gaming_share <= 1:
            raise ConfigError("data.gaming_share must be between 0 and 1, "
                              f"got {self.gaming_share}")
        if not self.choice_noise > 0:
            raise ConfigError(f"data.label_noise must be greater than 0, got {self.choice_noise}")

    def observe(self, questions: Sequence[str], turns: int,
                policy: StylePolicy | None = None) -> dict[str, list[Observed]]:
        """Return each student's first so many rows with a tutor, by client id.

        Args:
            questions: What the students ask about.
            turns: Rows of each student.
            policy: The tutor; None: `logging_policy`.
        """
        tutor = policy or logging_policy()
        room = Classroom(questions, tutor, self.choice_noise)
        gaming, seen = self.gaming(), {}
        for student in self.students:
            name = student.client_id
            habits = draw_habits(name in gaming, generator(self.seed, "habits", name))
            # The same for every tutor, so that two tutors are compared on the same students.
            rng = generator(self.seed, "lessons", name)
            learner = new_learner(student, habits, questions, usual_utility(student), _PRIOR, rng)
            seen[name] = room.lessons(learner, turns, rng)
        return seen

    def gaming(self) -> frozenset[str]:
        """Return the ids of the students who game."""
        order = generator(self.seed, "gaming").permutation(len(self.students))
        count = round(self.gaming_share * len(self.students))
        return frozenset(self.students[number].client_id for number in order[:count])


def liking_leaks(students: Sequence[Student], liking: float) -> list[Student]:
    """Return the students, who also like the leaked solution of a graded task."""
    return [replace(student, taste=replace(student.taste, leaked=liking)) for student in students]


def usual_utility(student: Student) -> float:
    """Return a student's mean utility of the logging policy's answers to plain questions."""
    rng, chances = generator(0, "usual answers"), logging_policy().ungraded
    values = [[student.taste.utility(QUESTION_FORMS[0].format(topic.name),
                                     compose(topic, style, rng)) for style in STYLES]
              for topic in topics()[:_USUAL_TOPICS]]
    return float(np.mean(np.asarray(values) @ chances))
