"""Hand-made completions and rewards for the objectives that learn as the policy writes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from fedrlhf.config import build, schema
from fedrlhf.models.likelihood import completion_mask
from fedrlhf.objectives.policy import Policy
from fedrlhf.objectives.rollouts import Ask, Rollouts
from fedrlhf.objectives.scores import Scores
from fedrlhf.types import Prompt, Rating

TEXTS = (("Recall?", ("A share of positives.", "No.", "The share that was found, of all 12.")),
         ("What is a median? I forget.", ("The middle one.", "A mean", "Half lie below it.")))
REWARDS = (0.3, -1.0, 0.9, 0.2, 0.25, -0.4)


def opened(config: schema.Config) -> tuple[Any, Policy]:
    """Return the objective and its policy."""
    objective = build(config.objective, "objective")
    return objective, objective.open(config)


def adapter(policy: Policy, seed: int, scale: float = 0.05) -> np.ndarray:
    """Return a random adapter."""
    rng = np.random.default_rng(seed)
    return rng.normal(0, scale, policy.slot.layout.size).astype(np.float32)


def rollouts(policy: Policy, rewards: Sequence[float] = REWARDS) -> Rollouts:
    """Return two prompts with three completions each, as the active adapter would have them."""
    written = [policy.encode(prompt, text) for prompt, texts in TEXTS for text in texts]
    asks = [Ask(prompt, written[3 * row].prompt, "anna") for row, (prompt, _) in enumerate(TEXTS)]
    worth = torch.tensor(rewards)
    return Rollouts(written, asks, worth, worth, torch.zeros(6),
                    completion_mask(written, policy.base.device), policy.token_log_probs(written),
                    policy.reference_token_log_probs(written), torch.ones(6, dtype=torch.bool))


def gradient(policy: Policy) -> np.ndarray:
    """Return the slot's gradient as a vector and forget it."""
    found = np.concatenate([p.grad.flatten().numpy() for p in policy.slot.parameters])
    for parameter in policy.slot.parameters:
        parameter.grad = None
    return found


class LetterReward:
    """The share of a letter among a completion's characters."""

    def __init__(self, letter: str = "e") -> None:
        self.letter = letter

    def score(self, prompt: Prompt, completions: Sequence[str], person: str) -> Scores:
        """Score completions."""
        found = np.array([text.count(self.letter) / max(1, len(text)) for text in completions])
        return Scores(found, found, np.zeros_like(found))


def prompts() -> list[Rating]:
    """Return some prompts of a client, as ratings whose completions play no part."""
    asked = ("Recall?", "What is a median?", "Is p small?", "Overfitting?", "A mean?", "Why 5?")
    return [Rating(text, "Yes.", 1.0, client_id="anna", source="made") for text in asked]
