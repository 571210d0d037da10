"""Planted groups of opinion: each divides its preference among the same questions' options."""

from functools import cached_property

import numpy as np

from fedrlhf.data.source import Instructions
from fedrlhf.data.tutor.answers import ATTRIBUTES, compose
from fedrlhf.data.tutor.curriculum import questions, topic_of
from fedrlhf.data.tutor.students import COMMON_TASTE, Taste
from fedrlhf.errors import ConfigError
from fedrlhf.seeding import generator
from fedrlhf.types import Prompt, Rating, as_text

_MOST_ATTRIBUTES = 3  # that an option shows


class OpinionsTruth:
    """The groups' tastes, which no part of a run may use except to measure it."""

    any_text = True

    def __init__(self, tastes: dict[str, Taste]) -> None:
        self.tastes = tastes
        self.groups = {name: number for number, name in enumerate(tastes)}

    def utility(self, prompt: Prompt, completion: str) -> float:
        """Return the mean utility of an answer over all groups."""
        return float(np.mean([taste.utility(as_text(prompt), completion)
                              for taste in self.tastes.values()]))


class OpinionsSource:
    """Groups rate the composed answers to questions of the tutor's curriculum.

    A group's taste is the students' common one plus its own normal deviation in each attribute. Of
    a question's options with utilities u, its shares are softmax(u / temperature). A rating is one
    group's share of one option; columns: ``question`` (its number), ``group`` and ``topic``.
    """

    name = "opinions"

    def __init__(self, *, groups: int, questions: int, options: int, heterogeneity: float,
                 temperature: float, seed: int) -> None:
        for key, value, least in (("groups", groups, 1), ("questions", questions, 1),
                                  ("options", options, 2), ("heterogeneity", heterogeneity, 0)):
            if value < least:
                raise ConfigError(f"data.{key} must be at least {least}, got {value}")
        if temperature <= 0:
            raise ConfigError(f"data.temperature must be greater than 0, got {temperature}")
        self.number, self.options, self.temperature = questions, options, temperature
        self.seed = seed
        self.tastes = {f"group_{number:02d}": self._taste(number, heterogeneity)
                       for number in range(groups)}

    def preferences(self) -> list[Rating]:
        """Return every group's share of every option."""
        return [Rating(prompt, option, float(share), group, self.name, columns={
                    "question": number, "group": group, "topic": _topic(prompt)})
                for number, (prompt, options) in enumerate(self._asked)
                for group, taste in self.tastes.items()
                for option, share in zip(options, self._shares(taste, prompt, options),
                                         strict=True)]

    def instructions(self) -> Instructions:
        """Return none: the predictor trains no tutor."""
        return Instructions()

    def truth(self) -> OpinionsTruth:
        """Return the planted tastes."""
        return OpinionsTruth(self.tastes)

    @cached_property
    def _asked(self) -> list[tuple[str, list[str]]]:
        every = questions()
        if self.number > len(every):
            raise ConfigError(f"data.questions={self.number}, but the curriculum has {len(every)}")
        order = generator(self.seed, "opinions").permutation(len(every))[:self.number]
        return [(every[place], self._composed(every[place])) for place in order]

    def _composed(self, question: str) -> list[str]:
        """Write different answers to a question."""
        topic = topic_of(question)
        assert topic is not None
        rng = generator(self.seed, "options", question)
        found: dict[str, None] = {}
        while len(found) < self.options:
            count = int(rng.integers(_MOST_ATTRIBUTES + 1))
            shown = rng.choice(ATTRIBUTES, size=count, replace=False).tolist()
            found[compose(topic, shown, rng)] = None
        return list(found)

    def _shares(self, taste: Taste, question: str, options: list[str]) -> np.ndarray:
        utility = np.array([taste.utility(question, option) for option in options])
        shares = np.exp((utility - utility.max()) / self.temperature)
        return shares / shares.sum()

    def _taste(self, number: int, heterogeneity: float) -> Taste:
        own = generator(self.seed, "group", number).normal(0.0, heterogeneity, len(ATTRIBUTES))
        return Taste(tuple(float(COMMON_TASTE.get(name, 0.0) + more)
                           for name, more in zip(ATTRIBUTES, own, strict=True)))


def _topic(question: str) -> str:
    topic = topic_of(question)
    assert topic is not None
    return topic.name
