"""A reward model that a client trains on its own pairs and sends to nobody."""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from fedrlhf.config import schema
from fedrlhf.errors import ConfigError, RunFailed
from fedrlhf.objectives.base import LocalTask
from fedrlhf.objectives.reward import Reward as RewardObjective
from fedrlhf.rewards.base import Client, Reward, Score
from fedrlhf.rewards.judged import scalar_rewards
from fedrlhf.seeding import seed_for
from fedrlhf.selectors.reward_model import open_reward_model
from fedrlhf.types import PreferencePair, Prompt, only_pairs

_MOST = 256  # adapters that a process holds; one that was dropped is trained again
_trained: OrderedDict[str, np.ndarray] = OrderedDict()  # by a digest of all that decides them


class OwnRewardModel(Reward):
    """H_k of FedRLHF: Bradley-Terry on the pairs of the person who asked, in this process only.

    It is trained the first time that a process scores for a person, from a seed of the person's
    own, so that every round and every process has the same one. ``selector.model`` and
    ``selector.adapter`` say what it is made of.

    Args:
        learning_rate: Of AdamW.
        steps: Optimiser steps.
        batch_size: Pairs in a step.
    """

    def __init__(self, *, learning_rate: float, steps: int, batch_size: int) -> None:
        for key, value in (("learning_rate", learning_rate), ("steps", steps),
                           ("batch_size", batch_size)):
            if not value > 0:
                raise ConfigError(f"reward.personal.{key} must be greater than 0, got {value}")
        self.objective = RewardObjective(
            optimizer="adamw", learning_rate=learning_rate, betas=[0.9, 0.95], weight_decay=0.0,
            max_grad_norm=1.0, local_steps=steps, local_epochs=1, batch_size=batch_size)

    def open(self, client: Client) -> Score:
        """Return a score that trains a person's reward model when it first needs it."""
        known: dict[str, np.ndarray] = {}

        def score(prompt: Prompt, completions: Sequence[str], person: str) -> np.ndarray:
            if person not in known:
                known[person] = self._of_person(client, person)
            return scalar_rewards(open_reward_model(client.config), known[person], prompt,
                                  completions)

        return score

    def _of_person(self, client: Client, person: str) -> np.ndarray:
        """Return the person's adapter, trained here or found among those of this process."""
        config = client.config
        own = [pair for pair in only_pairs(client.train) if pair.client_id == person]
        if not own:
            # The server reads this, and it need not know the people of a client.
            raise RunFailed("a person of this client has no pair to train a reward model on; "
                            "choose another reward/personal")
        key = self._key(config, person, own)
        if key not in _trained:
            seed = seed_for(config.run.seed, "own reward model", person)
            _trained[key] = self.objective.train(config, own, LocalTask(
                open_reward_model(config).slot.initial(seed), seed)).adapter
        _trained.move_to_end(key)
        while len(_trained) > _MOST:
            _trained.popitem(last=False)
        return _trained[key]

    def _key(self, config: schema.Config, person: str, own: Sequence[PreferencePair]) -> str:
        decides = [person, [asdict(pair) for pair in own], asdict(config.selector),
                   config.runtime.autocast, config.run.seed, asdict(self.objective)]
        return hashlib.sha256(json.dumps(decides).encode()).hexdigest()
