"""Settings of the objectives that improve the policy on a reward or on scored completions."""

from dataclasses import dataclass

from fedrlhf.config.schema import LocalTraining


@dataclass
class LocalOnline(LocalTraining):
    """What the objectives share that learn from completions which the policy writes (stage rlhf).

    A step writes `completions` for each of `batch_size` prompts.
    """

    learning_rate: float = 1e-3
    local_steps: int | None = 5
    batch_size: int = 4
    beta: float = 0.05  # weight of the divergence from the reference
    kl_target: float | None = None  # nats a completion towards which a client moves its beta
    completions: int = 4  # K, of each prompt
    max_new_tokens: int = 64
    max_length: int = 1024  # tokens of a prompt and a completion
    iterations: int = 1  # optimiser steps on the same completions


@dataclass
class LocalRloo(LocalOnline):
    """REINFORCE with a leave-one-out baseline."""

    _target_: str = "fedrlhf.objectives.rloo.Rloo"
    clip: float = 0.2


@dataclass
class LocalGrpo(LocalOnline):
    """Group relative policy optimisation."""

    _target_: str = "fedrlhf.objectives.grpo.Grpo"
    clip: float = 0.2
    scale: str = "group"  # what advantages are divided by: sd of group | batch | none
    loss: str = "dapo"  # dapo | grpo | dr_grpo


@dataclass
class LocalPpo(LocalOnline):
    """PPO; the value head stays at the client."""

    _target_: str = "fedrlhf.objectives.ppo.Ppo"
    completions: int = 1
    batch_size: int = 16
    iterations: int = 4
    clip: float = 0.2
    value_clip: float = 0.2
    value_rate: float = 1e-2  # learning rate of the value head
    gamma: float = 1.0
    gae_lambda: float = 0.95
    whiten: bool = True  # advantages get mean 0 and standard deviation 1


@dataclass
class LocalRemax(LocalOnline):
    """REINFORCE against the greedy completion's reward."""

    _target_: str = "fedrlhf.objectives.remax.Remax"
    completions: int = 1
    batch_size: int = 16
    gamma: float = 0.99


@dataclass
class LocalOnlineDpo(LocalOnline):
    """DPO on the best and the worst of the policy's own completions."""

    _target_: str = "fedrlhf.objectives.online_dpo.OnlineDpo"
    optimizer: str = "rmsprop"
    learning_rate: float = 5e-4
    batch_size: int = 8
    beta: float = 0.1
    completions: int = 2


@dataclass
class LocalALol(LocalTraining):
    """A-LoL: policy gradient on stored ratings and pairs (stage rlhf)."""

    _target_: str = "fedrlhf.objectives.a_lol.ALol"
    learning_rate: float = 1e-3
    variant: str = "sequence"  # sequence | token | reference_free
    clip: float = 0.9
    prioritised: bool = True  # steps draw completions in proportion to their advantage
    max_length: int = 1024


COMPONENTS: dict[str, type] = {
    "rloo": LocalRloo, "grpo": LocalGrpo, "ppo": LocalPpo, "remax": LocalRemax,
    "online_dpo": LocalOnlineDpo, "a_lol": LocalALol}
