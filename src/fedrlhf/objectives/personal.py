"""Personal models: what a client trains beside the shared adapter and keeps to itself.

Each kind is a way to train around `Objective.train`, whatever the objective. What a client sends
is the shared adapter with the server's own values wherever an entry is personal.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from fedrlhf.config import schema
from fedrlhf.data.turns import prompt_key
from fedrlhf.errors import ConfigError
from fedrlhf.models.slot import Layout, Slot
from fedrlhf.objectives.base import LocalResult, LocalTask, Objective
from fedrlhf.seeding import generator, seed_for
from fedrlhf.types import Preference

_PREFIX = "personal."  # of the names in a client's memory that belong to its personal model
_MODEL, _INSIDE = f"{_PREFIX}model", f"{_PREFIX}objective."


@dataclass(kw_only=True)
class Shared:
    """No personal models (``personal=none``), and what all kinds answer.

    Attributes:
        separate: Whether a client has a model that is not the shared one.
        rebuilds: Whether it trains its model anew wherever one is needed.
    """

    separate: ClassVar[bool] = False
    rebuilds: ClassVar[bool] = False

    def further_steps(self, steps: int) -> int:
        """Return the own model's steps in a round, beside so many others; for `fedrlhf plan`."""
        return 0

    def check(self, objective: Objective, layout: Layout) -> None:
        """Refuse an objective or an adapter that it cannot work with.

        Raises:
            ConfigError: Names the key.
        """

    def train(self, objective: Objective, config: schema.Config,
              preferences: Sequence[Preference], task: LocalTask) -> LocalResult:
        """Train what is sent to the server, and what stays in `LocalResult.private`."""
        return objective.train(config, preferences, task)

    def complete(self, objective: Objective, config: schema.Config,
                 preferences: Sequence[Preference], task: LocalTask) -> np.ndarray:
        """Return the shared adapter as this client trains on from it: with its own entries."""
        return task.adapter

    def adapter(self, objective: Objective, config: schema.Config,
                preferences: Sequence[Preference], task: LocalTask) -> np.ndarray:
        """Return the client's personal adapter beside the shared one of the task."""
        return self.complete(objective, config, preferences, task)


@dataclass(kw_only=True)
class Partial(Shared):
    """Some tensors of the adapter are the client's own, the others are shared.

    Attributes:
        entries: Regular expression; a tensor whose name it is found in is personal.
    """

    separate: ClassVar[bool] = True

    entries: str

    def __post_init__(self) -> None:
        try:
            re.compile(self.entries)
        except re.error as error:
            raise ConfigError(f"personal.entries must be a regular expression, "
                              f"got {self.entries!r}: {error}") from None

    def check(self, objective: Objective, layout: Layout) -> None:
        """Refuse a pattern that finds no tensor, or all.

        Raises:
            ConfigError: Says so with names of tensors.
        """
        count = sum(self.own(layout))
        if not 0 < count < len(layout.names):
            raise ConfigError(f"personal.entries={self.entries!r} is found in {count} of the "
                              f"adapter's {len(layout.names)} tensors; some must be personal and "
                              f"some shared. Their names go from {layout.names[0]} to "
                              f"{layout.names[-1]}")

    def own(self, layout: Layout) -> list[bool]:
        """Return for each tensor whether it is personal."""
        return [re.search(self.entries, name) is not None for name in layout.names]

    def mask(self, layout: Layout) -> np.ndarray:
        """Return for each value of the vector whether it is personal, ``Bool[size]``."""
        return np.repeat(self.own(layout), [int(np.prod(shape)) for shape in layout.shapes])


@dataclass(kw_only=True)
class FedPer(Partial):
    """Own entries live on from round to round at the client (Arivazhagan et al., 2019).

    The paper keeps the last layers; here the tensors are chosen by name.
    """

    def train(self, objective: Objective, config: schema.Config,
              preferences: Sequence[Preference], task: LocalTask) -> LocalResult:
        """Put the own entries in, train all, and take them out again."""
        mask = self.mask(objective.open(config, task.reference).slot.layout)
        start = self.complete(objective, config, preferences, task)
        result = objective.train(config, preferences, replace(
            task, adapter=start, private=_outside(task.private)))
        return replace(result, adapter=np.where(mask, task.adapter, result.adapter),
                       private={**result.private, _MODEL: result.adapter[mask]})

    def complete(self, objective: Objective, config: schema.Config,
                 preferences: Sequence[Preference], task: LocalTask) -> np.ndarray:
        """Put the own entries in; before its first round a client has the server's."""
        if _MODEL not in task.private:
            return task.adapter
        found = task.adapter.copy()
        found[self.mask(objective.open(config, task.reference).slot.layout)] = task.private[_MODEL]
        return found


@dataclass(kw_only=True)
class Apart(Shared):
    """The personal model has local steps of its own.

    Attributes:
        learning_rate: Of the personal model; None: `objective.learning_rate`.
        local_steps: Of the personal model in a round; None: as many as the shared one.
    """

    separate: ClassVar[bool] = True

    learning_rate: float | None
    local_steps: int | None

    def __post_init__(self) -> None:
        if self.learning_rate is not None and not self.learning_rate > 0:
            raise ConfigError("personal.learning_rate must be greater than 0 or null, "
                              f"got {self.learning_rate}")
        if self.local_steps is not None and self.local_steps < 1:
            raise ConfigError("personal.local_steps must be at least 1 or null, "
                              f"got {self.local_steps}")

    def further_steps(self, steps: int) -> int:
        """Return the own model's steps in a round."""
        return self.local_steps or steps

    def steps_of(self, objective: Objective) -> Objective:
        """Return the objective with the personal model's steps."""
        changed: dict[str, Any] = {key: value for key in ("learning_rate", "local_steps")
                                   if (value := getattr(self, key)) is not None}
        return replace(objective, **changed)


@dataclass(kw_only=True)
class Ditto(Apart):
    """A whole adapter v of the client's own, near the shared one w (Li et al., 2021).

    min_v F_k(v) + mu/2 |v - w|^2 (Eq. 1 with lambda = mu; Algorithm 1: each round takes steps on w
    as without personal models and steps on v towards the w that was sent).

    Attributes:
        mu: How strongly v is pulled towards w; 0: local training.
    """

    mu: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.mu >= 0:
            raise ConfigError(f"personal.mu must be at least 0, got {self.mu}")

    def train(self, objective: Objective, config: schema.Config,
              preferences: Sequence[Preference], task: LocalTask) -> LocalResult:
        """Train the shared adapter for the server and the client's own beside it."""
        result = objective.train(config, preferences, replace(
            task, private=_outside(task.private)))
        own = self.steps_of(objective).train(config, preferences, replace(
            task, adapter=self.adapter(objective, config, preferences, task), anchor=task.adapter,
            proximal_mu=self.mu, private=_inside(task.private)))
        kept = {f"{_INSIDE}{name}": value for name, value in own.private.items()}
        return replace(result, metrics=result.metrics | _renamed(own.metrics),
                       private={**result.private, **kept, _MODEL: own.adapter})

    def adapter(self, objective: Objective, config: schema.Config,
                preferences: Sequence[Preference], task: LocalTask) -> np.ndarray:
        """Return v; before its first round a client has w."""
        return task.private.get(_MODEL, task.adapter)


@dataclass(kw_only=True)
class Reconstruction(Apart, Partial):
    """Own entries are rebuilt wherever they are needed, and stored nowhere (Singhal et al., 2021).

    Algorithm 1: with the shared entries g frozen, the own entries l are trained from their initial
    values on the support set; then g is trained on the query set with l frozen.

    Attributes:
        support: Share of the client's prompts in the support set; the rest is the query set.
    """

    rebuilds: ClassVar[bool] = True

    support: float

    def __post_init__(self) -> None:
        Partial.__post_init__(self)
        Apart.__post_init__(self)
        if not 0 < self.support < 1:
            raise ConfigError(f"personal.support must lie between 0 and 1, got {self.support}")

    def check(self, objective: Objective, layout: Layout) -> None:
        """Refuse an optimiser whose state would have to be kept, too.

        Raises:
            ConfigError: Names the key.
        """
        super().check(objective, layout)
        if objective.optimizer_state == "keep":
            raise ConfigError("personal=reconstruction keeps nothing at a client: set "
                              "objective.optimizer_state=reset, got keep")

    def train(self, objective: Objective, config: schema.Config,
              preferences: Sequence[Preference], task: LocalTask) -> LocalResult:
        """Rebuild the own entries, then train the others; the reply weighs its query examples."""
        slot = objective.open(config, task.reference).slot
        support, query = split_prompts(preferences, self.support, config.run.seed)
        rebuilt = self._rebuilt(objective, config, support, task)
        with frozen(slot, self.own(slot.layout)):
            result = objective.train(config, query, replace(
                task, adapter=rebuilt.adapter, private={}))
        return replace(
            result, adapter=np.where(self.mask(slot.layout), task.adapter, result.adapter),
            metrics=result.metrics | _renamed(rebuilt.metrics), private={})

    def complete(self, objective: Objective, config: schema.Config,
                 preferences: Sequence[Preference], task: LocalTask) -> np.ndarray:
        """Rebuild the own entries on the support set; a client without data has the server's."""
        if not preferences:
            return task.adapter
        support, _ = split_prompts(preferences, self.support, config.run.seed)
        return self._rebuilt(objective, config, support, task).adapter

    def _rebuilt(self, objective: Objective, config: schema.Config,
                 support: Sequence[Preference], task: LocalTask) -> LocalResult:
        slot = objective.open(config, task.reference).slot
        with frozen(slot, [not own for own in self.own(slot.layout)]):
            return self.steps_of(objective).train(config, support, replace(
                task, proximal_mu=0.0, seed=seed_for(task.seed, "rebuild"), private={}))


@contextmanager
def frozen(slot: Slot, held: Sequence[bool]) -> Iterator[None]:
    """Hold tensors of the adapter inside the block: no gradient, no step, no weight decay.

    Args:
        slot: Where the adapter is trained.
        held: For each tensor whether it stays as it is.
    """
    for parameter, hold in zip(slot.parameters, held, strict=True):
        parameter.requires_grad_(not hold)
    try:
        yield
    finally:
        for parameter in slot.parameters:
            parameter.requires_grad_(True)


def split_prompts(preferences: Sequence[Preference], share: float,
                  seed: int) -> tuple[list[Preference], list[Preference]]:
    """Divide preferences by prompt, in the same way in every round.

    Args:
        preferences: Of one client.
        share: Of the prompts in the first part.
        seed: The run's.

    Returns:
        Two parts, neither empty; with a single prompt both are all of it.
    """
    prompts = sorted({prompt_key(one.prompt) for one in preferences})
    if len(prompts) < 2:
        return list(preferences), list(preferences)
    count = min(max(1, round(share * len(prompts))), len(prompts) - 1)
    order = generator(seed, "support").permutation(len(prompts))
    first = {prompts[index] for index in order[:count]}
    return ([one for one in preferences if prompt_key(one.prompt) in first],
            [one for one in preferences if prompt_key(one.prompt) not in first])


def _outside(private: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return what the objective itself keeps."""
    return {name: value for name, value in private.items() if not name.startswith(_PREFIX)}


def _inside(private: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return what the objective keeps of the personal model's training."""
    return {name.removeprefix(_INSIDE): value for name, value in private.items()
            if name.startswith(_INSIDE)}


def _renamed(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the personal training's loss under a name of its own."""
    return {"personal_loss": metrics["train_loss"]} if "train_loss" in metrics else {}
