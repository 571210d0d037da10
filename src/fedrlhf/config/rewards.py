"""The schema of the rewards and their defaults; the rest is in `schema.py`."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING


@dataclass
class Reward:
    """What online objectives maximise: a shared and a personal part, mixed by lambda."""

    shared: Any = MISSING
    personal: Any = MISSING
    mix: str = "convex"  # convex: (1 - lambda) R0 + lambda H | additive: R0 + lambda H
    weight: float = 0.5  # lambda: 0 is the shared reward alone, 1 (convex) the personal alone
    weights: dict[str, float] = field(default_factory=dict)  # lambda of single clients, by id
    bound: float | None = None  # H_max: the personal part is cut to [-bound, bound]


@dataclass
class Planted:
    """The truth of a simulation: what an answer teaches, or what one or all students like."""

    _target_: str = "fedrlhf.rewards.planted.Planted"
    of: str = "learning"  # learning | everyone | person


@dataclass
class Function:
    """A Python function (prompt, completions, person) -> numbers, from a package in `trust`."""

    _target_: str = "fedrlhf.rewards.function.Function"
    path: str = MISSING


@dataclass
class Selector:
    """A trained binary selector: mean log-odds against the other completions of the prompt."""

    _target_: str = "fedrlhf.rewards.judged.SelectorReward"
    adapter: str = MISSING  # folder of a trained adapter, such as runs/tutor/select/selector_0


@dataclass
class RewardModel:
    """A trained scalar reward model."""

    _target_: str = "fedrlhf.rewards.judged.RewardModelReward"
    adapter: str = MISSING


@dataclass
class Predictor:
    """A trained predictor or variational reward model; it knows a person by the shard's answers."""

    _target_: str = "fedrlhf.rewards.predictor.PredictorReward"
    folder: str = MISSING  # such as runs/opinions/select/selector_0
    cache: str | None = None  # folder at the client that keeps texts' vectors; null: none


@dataclass
class OwnRewardModel:
    """A reward model that each client trains on its own pairs and keeps to itself."""

    _target_: str = "fedrlhf.rewards.own.OwnRewardModel"
    learning_rate: float = 4e-3
    steps: int = 60
    batch_size: int = 8
