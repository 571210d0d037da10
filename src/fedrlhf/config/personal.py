"""The schema of the personal models and their defaults; the rest is in `schema.py`."""

from dataclasses import dataclass

from omegaconf import MISSING


@dataclass
class NoPersonal:
    """Clients have the shared adapter alone."""

    _target_: str = "fedrlhf.objectives.personal.Shared"


@dataclass
class FedPer:
    """Some tensors of the adapter are a client's own and stay with it."""

    _target_: str = "fedrlhf.objectives.personal.FedPer"
    entries: str = MISSING  # regular expression on the tensors' names, such as lora_B or score


@dataclass
class Ditto:
    """A whole adapter of the client's own, pulled towards the shared one."""

    _target_: str = "fedrlhf.objectives.personal.Ditto"
    mu: float = 0.1  # the pull, mu/2 |v - w|^2; 0: local training
    learning_rate: float | None = None  # of the own adapter; null: objective.learning_rate
    local_steps: int | None = None  # of the own adapter in a round; null: as the objective


@dataclass
class Reconstruction:
    """Some tensors are rebuilt from the client's support set wherever they are needed."""

    _target_: str = "fedrlhf.objectives.personal.Reconstruction"
    entries: str = MISSING
    support: float = 0.5  # share of the client's prompts that they are rebuilt on
    learning_rate: float | None = None  # of the rebuilding; null: objective.learning_rate
    local_steps: int | None = None
