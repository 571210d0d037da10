"""The schema of the objectives that know a person by a few answered questions."""

from dataclasses import dataclass, field

from fedrlhf.config.schema import LocalTraining


@dataclass
class InContextTraining(LocalTraining):
    """What both have; selector.model embeds the texts and stays as it is."""

    learning_rate: float = 1e-3
    local_steps: int | None = 6
    batch_size: int = 16  # target questions in a step
    pooling: str = "mean"  # mean | last: which hidden states of a completion make its vector
    cache: str | None = None  # folder at the client that keeps the vectors; null: none
    context: list[int] = field(default_factory=lambda: [4, 24])  # context questions: from, to
    cosine_rounds: int | None = 100  # the rate falls to 0 over so many rounds; null: it stays


@dataclass
class Predictor(InContextTraining):
    """The group preference predictor. Paper: 128, 128, 4, 6, 4; rate 3e-4."""

    _target_: str = "fedrlhf.objectives.predictor.Predictor"
    width: int = 64
    feed_forward: int = 64
    heads: int = 4
    layers: int = 3
    depth: int = 4


@dataclass
class Variational(InContextTraining):
    """A reward model with a latent variable of the person. Paper: latent 512, rate 1e-4."""

    _target_: str = "fedrlhf.objectives.variational.Variational"
    context: list[int] = field(default_factory=lambda: [8, 32])  # context pairs: from, to
    latent: int = 16
    width: int = 64
    gap: float = 0.1  # ratings make a pair where their shares differ by more
    kl_weight: float = 1e-3  # paper: 3e-6
    kl_cycle: int = 10  # rounds in which the weight rises from 0 to kl_weight, again and again
