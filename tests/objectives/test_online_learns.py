"""Each online objective raises a simple reward of the embedded tutor."""

from collections.abc import Callable

import pytest
from online_cases import LetterReward, opened, prompts

from fedrlhf.config import schema
from fedrlhf.objectives.base import LocalTask

# PPO and ReMax write one completion of each prompt, the others four of fewer prompts.
SAMPLES = {"rloo": (4, 8), "grpo": (4, 8), "ppo": (1, 32), "remax": (1, 32), "online_dpo": (4, 8)}


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLES)
def test_the_reward_rises(composed: Callable[..., schema.Config], name: str) -> None:
    """In three rounds of 8 steps the share of the letter e grows by half, from about 0.09."""
    completions, batch = SAMPLES[name]
    config = composed(f"objective={name}", "tutor.model.path=tiny_tutor", "objective.beta=0.001",
                      f"objective.completions={completions}", f"objective.batch_size={batch}",
                      "objective.max_new_tokens=6", "objective.max_length=64",
                      "objective.optimizer=adamw", "objective.learning_rate=1e-2",
                      "objective.local_steps=8")
    objective, policy = opened(config)
    found, task = [], LocalTask(policy.slot.initial(0), 0, scorer=LetterReward())
    for turn in range(3):
        result = objective.train(config, prompts(), task)
        found.append(result.metrics["reward"])
        task = LocalTask(result.adapter, turn + 1, scorer=LetterReward(), private=result.private)
    assert found[-1] > 1.5 * found[0], found
