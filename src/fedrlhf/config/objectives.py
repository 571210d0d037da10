"""Settings of the objectives that improve the policy on a reward or on scored completions."""

from dataclasses import dataclass

from fedrlhf.config.schema import LocalTraining


@dataclass
class LocalOnline(LocalTraining):
    """Steps on completions that the policy writes for the client's own prompts (stage rlhf)."""

    learning_rate: float = 1e-3
    beta: float = 0.05  # reward for each nat of divergence from the reference
    kl_target: float | None = None  # nats a completion towards which each client moves its beta
    completions: int = 4  # of each prompt in a step
    max_new_tokens: int = 96
    max_length: int = 1024
    iterations: int = 1  # optimiser steps on the same completions


@dataclass
class LocalRloo(LocalOnline):
    """REINFORCE with a leave-one-out baseline on the client's own reward."""

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
