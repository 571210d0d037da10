"""From evidence to P(good) in two channels, and from the channels to a reward."""

from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import expit

from fedrlhf.data.traces.em import Model, Prior, fit, starting_model
from fedrlhf.data.traces.evidence import CHANNELS, Channel, design
from fedrlhf.data.traces.histories import Reading
from fedrlhf.errors import ConfigError


@dataclass(frozen=True)
class Judged:
    """One answer's quality as its traces tell it.

    Attributes:
        reading: The answer.
        satisfaction: P(good) for the student's satisfaction; without evidence the student's b_u.
        learning: P(good) for the student's learning.
    """

    reading: Reading
    satisfaction: float
    learning: float

    def heard(self, channel: Channel) -> bool:
        """Whether there is evidence for a channel that says something."""
        return any(one.channel == channel and not one.silent for one in self.reading.evidence)


def judge(readings: Sequence[Reading], prior: Prior | None) -> tuple[list[Judged],
                                                                    dict[Channel, Model]]:
    """Return each answer's P(good) by channel, and the models that gave it.

    Args:
        readings: One user's answers; nobody else's are looked at.
        prior: Of the fit; None: the table's starting values as they are.
    """
    turns = [reading.evidence for reading in readings]
    models, found = {}, {}
    for channel in CHANNELS:
        observed, start = design(turns, channel), starting_model(channel)
        model = start if prior is None else fit(start, observed, channel, prior)
        models[channel] = model
        found[channel] = expit(model.log_odds(observed)).tolist()
    return [Judged(*row) for row in zip(readings, found["satisfaction"], found["learning"],
                                        strict=True)], models


@dataclass(frozen=True)
class Reward:
    """r = lambda L + (1 - lambda) S - kappa * violations; one channel alone has the whole weight.

    Attributes:
        learning_share: lambda, 0 (satisfaction only) to 1 (learning only).
        penalty: kappa, for each violation.
        channels: Which channels are looked at. The student's own comparisons (votes between two
            answers, edits, accepted regenerates) belong to satisfaction.
    """

    learning_share: float = 0.5
    penalty: float = 1.0
    channels: tuple[Channel, ...] = CHANNELS

    def __post_init__(self) -> None:
        """Refuse values out of range.

        Raises:
            ConfigError: The share is not within 0 and 1, the penalty is negative, or the channels
                are none, unknown or repeated.
        """
        if not 0.0 <= self.learning_share <= 1.0:
            raise ConfigError("data.reward_lambda, the share of learning in the reward, must lie "
                              f"between 0 and 1, got {self.learning_share}")
        if not 0.0 <= self.penalty < float("inf"):
            raise ConfigError("data.kappa, the penalty of a violation, must be at least 0, "
                              f"got {self.penalty}")
        if not self.channels or len(set(self.channels) & set(CHANNELS)) < len(self.channels):
            raise ConfigError(f"data.channels must hold one or both of {', '.join(CHANNELS)}, each "
                              f"once, got {list(self.channels)}")

    def __call__(self, satisfaction: float, learning: float, violations: int = 0) -> float:
        """Return the reward of an answer; without violations it lies between 0 and 1."""
        share = self.learning_share if len(self.channels) == len(CHANNELS) else float(
            "learning" in self.channels)
        return share * learning + (1.0 - share) * satisfaction - self.penalty * violations

    def of(self, judged: Judged) -> float:
        """Return the reward of a judged answer."""
        return self(judged.satisfaction, judged.learning, len(judged.reading.violations))
