"""What a plan is computed from: clients, sizes of models, lengths of texts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fedrlhf.config import build, schema
from fedrlhf.data.partition import POOL, partition
from fedrlhf.data.population import Population, Shard
from fedrlhf.errors import ConfigError, DataError
from fedrlhf.evaluation.rewards import measured
from fedrlhf.federation.client_grid import Client
from fedrlhf.models.load import LANGUAGE
from fedrlhf.models.skeleton import Skeleton, skeleton
from fedrlhf.objectives.base import Objective
from fedrlhf.objectives.personal import Shared
from fedrlhf.types import SPLITS, Preference, as_text, only_pairs, only_ratings

_CHARACTERS = 4.0  # of a token, where no tokenizer is at hand
_UNKNOWN_PAIRS = (100, 10, 20)  # train, validation and test of a client whose data are not here


@dataclass(frozen=True)
class Workload:
    """Everything that a plan is computed from.

    Attributes:
        config: The whole configuration.
        objective: What the clients optimise.
        personal: Which models of their own they have.
        clients: Who they are and how many pairs each has.
        population: Their shards; None where the data are not here.
        away: Why the data are not here.
        models: Sizes of ``tutor`` and ``selector``, where the run uses them.
        texts: Mean tokens of prompts, chosen and rejected completions; empty: not known.
        teraflops: Sustained 10^12 operations a second.
        measures_rewards: Whether clients measure rewards at the end.
    """

    config: schema.Config
    objective: Objective
    personal: Shared
    clients: Sequence[Client]
    population: Population | None
    away: str
    models: dict[str, Skeleton]
    texts: dict[str, float]
    teraflops: float
    measures_rewards: bool

    @property
    def rounds(self) -> schema.Rounds:
        """The settings of the federated stage."""
        return getattr(self.config, self.objective.stage)  # type: ignore[no-any-return]

    @property
    def trained(self) -> str:
        """The model that the clients train: tutor or selector."""
        return "tutor" if self.objective.stage == "rlhf" else "selector"

    @property
    def sends_reference(self) -> bool:
        """Whether the clients need the reference policy: it is no base model after sft."""
        return self.objective.stage == "rlhf" and "sft" in self.config.run.stages

    @property
    def longest(self) -> int:
        """The most tokens of a sequence in training."""
        return int(getattr(self.objective, "max_length", self.config.selector.max_tokens))

    @property
    def pair(self) -> float:
        """Mean tokens that a step reads of an example, in all its sequences.

        An example is a pair, or a completion that the policy writes, as long as it may be.
        """
        if (written := getattr(self.objective, "max_new_tokens", None)) is not None:
            return min(self.longest, self.texts.get("prompt", self.longest) + written)
        return self.tokens(self.objective.reads, self.longest)

    def tokens(self, sequences: Sequence[Sequence[str]], longest: int) -> float:
        """Return the mean tokens of sequences made of these texts, none longer than allowed."""
        return sum(min(longest, sum(self.texts.get(name, longest) for name in names))
                   for names in sequences)

    def checkpointing(self, part: str) -> bool:
        """Say whether a model computes activations again in training."""
        return bool(getattr(self.config, part).model.gradient_checkpointing)

    def hours(self, flops: float) -> str:
        """Render an amount of arithmetic with the time that it takes."""
        hours = flops / self.teraflops / 1e12 / 3600
        return f"{flops:.2e} operations, {hours:,.2f} h" if hours >= 0.01 else (
            f"{flops:.2e} operations, {3600 * hours:,.1f} s")


def workload(config: schema.Config, teraflops: float) -> Workload:
    """Read the data where they are at hand, and the models' sizes; nothing else is loaded.

    Raises:
        UserError: The configuration or the data are refused, as `fedrlhf run` would refuse them.
    """
    if not teraflops > 0:
        raise ConfigError(f"--teraflops must be greater than 0, got {teraflops:g}")
    objective: Objective = build(config.objective, "objective", config.trust)
    personal: Shared = build(config.personal, "personal", config.trust)
    population, away = _population(config)
    truth = build(config.data, "data", config.trust).truth() if population else None
    return Workload(config, objective, personal, _clients(config, population), population, away,
                    _models(config, objective), _text_tokens(population), teraflops,
                    measured(objective, truth))


def _population(config: schema.Config) -> tuple[Population | None, str]:
    """Partition the source's preferences; None and the reason where they are somewhere else."""
    source = build(config.data, "data", config.trust)
    path = config.data.get("path")
    try:
        preferences = source.preferences()
    except DataError as error:
        if path is not None and Path(path).expanduser().exists():
            raise  # they are here, and `fedrlhf run` would refuse them as well
        return None, str(error).split(". ")[0][:200]
    return partition(preferences, config.partition, config.run.seed), ""


def _clients(config: schema.Config, population: Population | None) -> list[Client]:
    if population is not None:
        return [_client(shard) for shard in population.shards]
    named = config.runtime.clients
    if named:
        return [Client(name, 1, *_UNKNOWN_PAIRS, *_UNKNOWN_PAIRS) for name in sorted(named)]
    if config.partition.clients is None:
        raise DataError("the data are not here and partition.clients is not set, so nothing says "
                        "how many clients there are; set partition.clients, or data.path to a "
                        "local copy")
    count, (train, validation, test) = config.partition.clients, _UNKNOWN_PAIRS
    if config.partition.pool_training:
        return [*(Client(f"client_{i:04d}", 1, 0, 0, test, 0, 0, test) for i in range(count)),
                Client(POOL, 1, *(count * train, count * validation, 0) * 2)]
    return [Client(f"client_{i:04d}", 1, *_UNKNOWN_PAIRS, *_UNKNOWN_PAIRS) for i in range(count)]


def _client(shard: Shard) -> Client:
    every = [shard.split(name) for name in SPLITS]
    pairs = [only_pairs(held) for held in every]
    return Client(shard.client_id, 1, *_sizes(*every), *_sizes(*pairs))


def _sizes(*splits: Sequence[Preference]) -> tuple[int, int, int]:
    """Return what a client declares of train, validation and test: ties only test."""
    train, validation, test = splits
    return sum(not one.tie for one in train), sum(not one.tie for one in validation), len(test)


def _text_tokens(population: Population | None) -> dict[str, float]:
    """Return mean tokens by text: a pair has two completions, a good rating counts as chosen."""
    held = [] if population is None else [
        one for shard in population.shards for one in shard.preferences]
    pairs, ratings = only_pairs(held), only_ratings(held)
    chosen = [*(pair.chosen for pair in pairs),
              *(rating.completion for rating in ratings if rating.desirable)]
    rejected = [pair.rejected for pair in pairs]
    texts = {"prompt": [as_text(one.prompt) for one in held], "chosen": chosen,
             "rejected": rejected, "completion": [
                 *(text for pair in pairs for text in (pair.chosen, pair.rejected)),
                 *(rating.completion for rating in ratings)]}
    return {name: float(np.mean([len(text) for text in found])) / _CHARACTERS
            for name, found in texts.items() if found}


def _models(config: schema.Config, objective: Objective) -> dict[str, Skeleton]:
    found = {"tutor": skeleton(config.tutor.model, config.tutor.adapter, LANGUAGE)}
    if objective.trains == "judge" and {"select", "label"} & set(config.run.stages):
        found["selector"] = skeleton(config.selector.model, config.selector.adapter, objective.head)
        if objective.needs_context:  # a network of its own is trained and sent
            found["selector"] = replace(found["selector"],
                                        adapter=objective.open(config).slot.layout.size)
    return found
