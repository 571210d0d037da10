"""A reward model that a client trains on its own pairs and sends to nobody."""

import json
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from fedrlhf.config import schema
from fedrlhf.errors import RunFailed
from fedrlhf.objectives.base import LocalTask
from fedrlhf.objectives.reward import Reward as RewardObjective
from fedrlhf.rewards.base import Client, Reward, Score
from fedrlhf.rewards.judged import scalar_rewards
from fedrlhf.seeding import seed_for
from fedrlhf.selectors.reward_model import open_reward_model
from fedrlhf.types import Prompt, only_pairs

_trained: dict[str, np.ndarray] = {}  # of this process, by what decides them


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
        self.objective = RewardObjective(
            optimizer="adamw", learning_rate=learning_rate, betas=[0.9, 0.95], weight_decay=0.0,
            max_grad_norm=1.0, local_steps=steps, local_epochs=1, batch_size=batch_size)

    def open(self, client: Client) -> Score:
        """Return a score that trains a person's reward model when it first needs it."""
        pairs = only_pairs(client.train)

        def score(prompt: Prompt, completions: Sequence[str], person: str) -> np.ndarray:
            own = [pair for pair in pairs if pair.client_id == person]
            if not own:
                raise RunFailed(f"{person!r} has no pair to train a reward model on; choose "
                                "another reward/personal")
            key = self._key(client.config, person, [vars(pair) for pair in own])
            if key not in _trained:
                model = open_reward_model(client.config)
                seed = seed_for(client.config.run.seed, "own reward model", person)
                _trained[key] = self.objective.train(client.config, own, LocalTask(
                    model.slot.initial(seed), seed)).adapter
            return scalar_rewards(open_reward_model(client.config), _trained[key], prompt,
                                  completions)

        return score

    def _key(self, config: schema.Config, person: str, pairs: list[dict[str, object]]) -> str:
        return json.dumps([person, pairs, asdict(config.selector), config.runtime.autocast,
                           config.run.seed, asdict(self.objective)])
