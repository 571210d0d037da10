"""The planted truth of a simulated population as a reward: what a person would have said."""

from collections.abc import Sequence

import numpy as np

from fedrlhf.config import build, schema
from fedrlhf.data.source import Source, TeachingTruth, Truth
from fedrlhf.errors import ConfigError
from fedrlhf.rewards.base import Client, Reward, Score
from fedrlhf.types import Prompt

OF = ("learning", "everyone", "person")


class Planted(Reward):
    """True utility of a completion: what it teaches, what all like on average, or what one likes.

    Args:
        of: ``learning``, ``everyone`` or ``person`` (the one who asked).
    """

    def __init__(self, *, of: str) -> None:
        if of not in OF:
            raise ConfigError("reward.shared.of and reward.personal.of must be one of "
                              f"{', '.join(OF)}, got {of!r}")
        self.of = of

    def check(self, config: schema.Config, source: Source) -> None:
        """Refuse a source that has no truth, or none of any text.

        Raises:
            ConfigError: Says what to choose instead.
        """
        truth = source.truth()
        if truth is None or not truth.any_text:
            lacks = "no planted truth" if truth is None else (
                "no truth about what the tutor writes")
            raise ConfigError(f"the data {source.name!r} have {lacks}: choose other rewards, for "
                              "example reward/shared=function and reward/personal=own_reward_model "
                              "(conf/reward/)")
        if self.of == "learning" and not isinstance(truth, TeachingTruth):
            raise ConfigError(f"the data {source.name!r} do not say what an answer teaches: choose "
                              "reward/shared=everyone")

    def open(self, client: Client) -> Score:
        """Read the truth of the simulation that the configuration describes."""
        source: Source = build(client.config.data, "data", client.config.trust)
        self.check(client.config, source)
        truth = source.truth()
        assert truth is not None

        def score(prompt: Prompt, completions: Sequence[str], person: str) -> np.ndarray:
            return np.array([self._utility(truth, prompt, text, person) for text in completions])

        return score

    def _utility(self, truth: Truth, prompt: Prompt, completion: str, person: str) -> float:
        if self.of == "learning":
            assert isinstance(truth, TeachingTruth)
            return truth.learning(prompt, completion)
        if self.of == "everyone":
            return truth.utility(prompt, completion)
        return truth.utility_of(person, prompt, completion)
