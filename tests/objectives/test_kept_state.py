"""What a client keeps between its rounds: moments of its optimiser, its value head, its beta."""

from collections.abc import Callable

import numpy as np
import pytest
from online_cases import LetterReward, adapter, opened, prompts

from fedrlhf.config import schema
from fedrlhf.errors import RunFailed
from fedrlhf.objectives.base import LocalTask
from fedrlhf.types import PreferencePair

Composer = Callable[..., schema.Config]
PAIRS = [PreferencePair("Recall?", "A share of positives.", "No.", client_id="anna", source="made"),
         PreferencePair("A mean?", "A sum over n.", "Perhaps.", client_id="anna", source="made")]


@pytest.mark.parametrize("optimizer", ["adamw", "rmsprop", "sgd"])
def test_two_rounds_are_one_of_twice_the_steps(composed: Composer, optimizer: str) -> None:
    """With the moments kept, n steps and n more are 2n steps; anew, they are not (but for SGD).

    Each step sees both pairs, so the order of the data is the same.
    """
    def trained(steps: int, rounds: int, state: str) -> np.ndarray:
        config = composed("objective=dpo", "objective.batch_size=2", "objective.max_length=128",
                          f"objective.local_steps={steps}", f"objective.optimizer={optimizer}",
                          "objective.learning_rate=1e-2", f"objective.optimizer_state={state}")
        objective, policy = opened(config)
        vector, private = adapter(policy, 0), {}
        for _ in range(rounds):
            result = objective.train(config, PAIRS, LocalTask(vector, seed=1, private=private))
            vector, private = result.adapter, dict(result.private)
        assert bool(private) == (state == "keep" and optimizer != "sgd")
        return vector

    whole = trained(6, 1, "keep")
    np.testing.assert_allclose(trained(3, 2, "keep"), whole, atol=2e-6)
    anew = np.abs(trained(3, 2, "reset") - whole).max()
    assert anew < 2e-6 if optimizer == "sgd" else anew > 1e-3


def test_moments_of_another_adapter_are_refused(composed: Composer) -> None:
    """The message says what does not fit and what to do."""
    config = composed("objective=dpo", "objective.optimizer_state=keep", "objective.max_length=128")
    objective, policy = opened(config)
    with pytest.raises(RunFailed, match=r"kept 3 values of optimizer\.square_avg.*reset"):
        objective.train(config, PAIRS, LocalTask(
            adapter(policy, 0), seed=1, private={"optimizer.square_avg": np.zeros(3, np.float32)}))


def test_frozen_parameters_have_zeros() -> None:
    """A parameter without a gradient is written as if it had not begun, and read back so."""
    import torch

    from fedrlhf.objectives.kept import optimizer_arrays, restore_optimizer

    trained, frozen = (torch.nn.Parameter(torch.ones(2, count)) for count in (1, 2))
    optimizer = torch.optim.AdamW([trained, frozen])
    assert optimizer_arrays(optimizer) == {}
    trained.grad = torch.full((2, 1), 2.0)
    optimizer.step()
    found = optimizer_arrays(optimizer)
    np.testing.assert_allclose(found["optimizer.exp_avg"], [0.2, 0.2, 0, 0, 0, 0])
    np.testing.assert_array_equal(found["optimizer.step"], [1, 0])
    again = torch.optim.AdamW([trained, frozen])
    restore_optimizer(again, found)
    for name, values in optimizer_arrays(again).items():
        np.testing.assert_array_equal(values, found[name])


SMALL = ("objective.local_steps=1", "objective.batch_size=3", "objective.completions=2",
         "objective.max_new_tokens=8", "objective.max_length=64")


def test_the_value_head_goes_on(composed: Composer) -> None:
    """It begins with zeros, is returned apart from the adapter, and the next round starts there.

    With a learning rate of the head near 0 the second round's head is the first one's.
    """
    config = composed("objective=ppo", *SMALL)
    objective, policy = opened(config)
    start = adapter(policy, 0)
    first = objective.train(config, prompts(), LocalTask(start, 0, scorer=LetterReward()))
    assert set(first.private) == {"value_head.weight", "value_head.bias"}
    assert first.adapter.shape == start.shape
    assert np.abs(first.private["value_head.weight"]).max() > 1e-3
    still = composed("objective=ppo", "objective.value_rate=1e-12", *SMALL)
    second = opened(still)[0].train(still, prompts(), LocalTask(
        first.adapter, 1, scorer=LetterReward(), private=first.private))
    np.testing.assert_allclose(second.private["value_head.weight"],
                               first.private["value_head.weight"], atol=1e-9)
    with pytest.raises(RunFailed, match="kept a value head with weight of shape"):
        objective.train(config, prompts(), LocalTask(start, 0, scorer=LetterReward(), private={
            "value_head.weight": np.zeros((1, 5), np.float32)}))


def test_the_adapter_does_not_learn_the_values(composed: Composer) -> None:
    """With all advantages 0 the adapter's gradient is 0, whatever the values miss."""
    import torch
    from online_cases import rollouts

    from fedrlhf.objectives.ppo import Credit
    from fedrlhf.objectives.value_head import value_head

    objective, policy = opened(composed("objective=ppo", *SMALL))
    policy.slot.write(adapter(policy, 0))
    made, head = rollouts(policy), value_head(policy.base, {})
    zero = torch.zeros(made.mask.shape)
    loss = objective.backward(policy, head, made, Credit(zero, zero, zero + 1))
    assert loss == pytest.approx(0.5)  # 1/2 (0 - 1)^2 at every token
    assert head.weight.grad.abs().max() > 0.1
    assert max(p.grad.abs().max().item() for p in policy.slot.parameters) == 0


def test_beta_goes_on(composed: Composer) -> None:
    """A target far above the divergence lowers beta by 2 % a step, over rounds; metrics name it."""
    config = composed("objective=rloo", "objective.kl_target=1e6", "objective.beta=1", *SMALL)
    objective, policy = opened(config)
    task = LocalTask(adapter(policy, 0), 0, scorer=LetterReward())
    first = objective.train(config, prompts(), task)
    assert first.private["kl_control.beta"] == pytest.approx([0.98])
    second = objective.train(config, prompts(), LocalTask(
        first.adapter, 1, scorer=LetterReward(), private=first.private))
    assert second.private["kl_control.beta"] == pytest.approx([0.98 ** 2])
    assert second.metrics["beta"] == pytest.approx(0.98)


def test_a_round_without_a_pair_moves_nothing(composed: Composer) -> None:
    """Online DPO takes no step where all completions are worth the same."""
    config = composed("objective=online_dpo", *SMALL)
    objective, policy = opened(config)
    start = adapter(policy, 0)
    found = objective.train(config, prompts(), LocalTask(start, 0, scorer=LetterReward("\0")))
    np.testing.assert_array_equal(found.adapter, start)
    assert (found.metrics["steps"], found.metrics["train_loss"]) == (0.0, 0.0)
