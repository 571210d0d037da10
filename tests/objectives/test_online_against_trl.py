"""Online losses, gradients and advantages beside TRL's trainers on the same completions."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from online_cases import REWARDS, TEXTS, adapter, gradient, opened, rollouts

from fedrlhf.config import schema
from fedrlhf.models.adapters import NAME
from fedrlhf.objectives.online_dpo import best_and_worst
from fedrlhf.objectives.policy import Policy
from fedrlhf.objectives.ppo import values_of
from fedrlhf.objectives.value_head import value_head

Composer = Callable[..., schema.Config]


def settings(folder: Path, **more: Any) -> dict[str, Any]:
    """Return what the trainers have in common: six completions in a step, on the CPU."""
    return {"output_dir": str(folder), "per_device_train_batch_size": 6, "use_cpu": True,
            "bf16": False, "report_to": [], "activation_checkpointing": False, "max_steps": 1,
            "num_generations": 3, "max_completion_length": 40, **more}


def trainer_of(kind: str, policy: Policy, **more: Any) -> Any:
    """Return a trainer on the policy's model whose completions and rewards are the made ones."""
    import trl

    def rewards(completions: list[Any], **_: Any) -> list[float]:
        assert len(completions) == 6
        return list(REWARDS)

    made = getattr(trl, f"{kind}Trainer")(
        model=policy.slot.model, args=getattr(trl, f"{kind}Config")(**more),
        reward_funcs=rewards, processing_class=policy.base.tokenizer,
        train_dataset=Dataset.from_list([{"prompt": prompt} for prompt, _ in TEXTS]))
    if "ref" in policy.slot.model.peft_config:
        policy.slot.model.delete_adapter("ref")  # without it the reference is the base
    policy.slot.model.set_adapter(NAME)
    for parameter in policy.slot.parameters:
        parameter.requires_grad_(True)
    made.model.train()
    made.current_gradient_accumulation_steps = 1  # its training loop sets this
    return made


def scored_by(trainer: Any, policy: Policy) -> dict[str, Any]:
    """Let the trainer compute its inputs of a step: log-probabilities and advantages."""
    written = rollouts(policy).written
    texts = [text for _, of_prompt in TEXTS for text in of_prompt]
    prompts = [list(one.prompt) for one in written]
    answers = [list(one.completion) for one in written]
    trainer._generate = lambda _: (
        (prompts, answers, texts) if "RLOO" in type(trainer).__name__
        else (prompts, answers, None, texts, None, {}, None, None))
    inputs = [{"prompt": prompt} for prompt, of_prompt in TEXTS for _ in of_prompt]
    found: dict[str, Any] = trainer._generate_and_score_completions(inputs)
    return found


def compare(own: tuple[float, np.ndarray], loss: torch.Tensor, policy: Policy) -> None:
    """Check that loss and gradient agree, and that there is something to compare."""
    loss.backward()
    theirs = gradient(policy)
    assert own[0] == pytest.approx(loss.item(), rel=1e-4, abs=1e-6)
    assert np.abs(theirs).max() > 1e-4
    np.testing.assert_allclose(own[1], theirs, atol=1e-4 * np.abs(theirs).max())


@pytest.mark.parametrize("moved", [0.0, 0.02], ids=["same", "moved"])
def test_rloo(composed: Composer, tmp_path: Path, moved: float) -> None:
    """Advantages, loss and gradient are those of RLOOTrainer, also after a step of the policy.

    `moved` is the standard deviation of what was added to the adapter since the completions were
    written; some ratios then lie beyond the clip.
    """
    objective, policy = opened(composed("objective=rloo", "objective.beta=0.1",
                                        "objective.max_length=128", "objective.max_new_tokens=40"))
    start = adapter(policy, 0)
    policy.slot.write(start)
    made = rollouts(policy)
    trainer = trainer_of("RLOO", policy, **settings(tmp_path, beta=0.1))
    inputs = scored_by(trainer, policy)
    advantages = objective.advantages(made, 0.1)
    np.testing.assert_allclose(advantages, inputs["advantages"], rtol=1e-4, atol=1e-5)
    policy.slot.write(start + adapter(policy, 1, moved))
    own = objective.backward(policy, made, advantages, 0.1), gradient(policy)
    compare(own, trainer._compute_loss(trainer.model, inputs), policy)


@pytest.mark.parametrize(("loss", "scale"), [
    ("dapo", "group"), ("grpo", "none"), ("dr_grpo", "batch")])
def test_grpo(composed: Composer, tmp_path: Path, loss: str, scale: str) -> None:
    """Advantages, loss and gradient are those of GRPOTrainer after a step of the policy."""
    objective, policy = opened(composed(
        "objective=grpo", "objective.beta=0.1", f"objective.loss={loss}",
        f"objective.scale={scale}", "objective.max_length=128", "objective.max_new_tokens=40"))
    start = adapter(policy, 0)
    policy.slot.write(start)
    made = rollouts(policy)
    trainer = trainer_of("GRPO", policy, **settings(
        tmp_path, beta=0.1, loss_type=loss, scale_rewards=scale, num_iterations=2))
    inputs = scored_by(trainer, policy)
    advantages = objective.advantages(made, 0.1)
    np.testing.assert_allclose(advantages, inputs["advantages"], rtol=1e-4, atol=1e-5)
    policy.slot.write(start + adapter(policy, 1, 0.05))
    own = objective.backward(policy, made, advantages, 0.1), gradient(policy)
    compare(own, trainer._compute_loss(trainer.model, inputs), policy)


def test_default_of_grpo_is_trls(composed: Composer) -> None:
    """Loss, scale and clip are what GRPOConfig has."""
    from trl import GRPOConfig

    own, theirs = composed("objective=grpo").objective, GRPOConfig.__dataclass_fields__
    assert own["loss"] == theirs["loss_type"].default
    assert own["scale"] == theirs["scale_rewards"].default
    assert own["clip"] == theirs["epsilon"].default


def test_online_dpo_is_dpo_of_its_pairs(composed: Composer) -> None:
    """Loss and gradient are objective=dpo's on the best and the worst completion of each prompt.

    With three completions of a prompt, where OnlineDPOTrainer has two.
    """
    from fedrlhf.types import PreferencePair

    more = ("objective.beta=0.3", "objective.max_length=128")
    objective, policy = opened(composed("objective=online_dpo", "objective.max_new_tokens=40",
                                        "objective.completions=3", *more))
    policy.slot.write(adapter(policy, 0))
    made = rollouts(policy)
    pairs = best_and_worst(made.rewards, 3)
    assert pairs == [(2, 1), (4, 5)]
    own = objective.backward(policy, made, pairs, 0.3), gradient(policy)
    offline, judge = opened(composed("objective=dpo", *more))
    judge.slot.write(adapter(policy, 0))
    texts = [text for _, of_prompt in TEXTS for text in of_prompt]
    stored = [PreferencePair(TEXTS[row][0], texts[best], texts[worst], client_id="anna",
                             source="made") for row, (best, worst) in enumerate(pairs)]
    loss = offline.prepare(judge, stored).backward([0, 1])
    theirs = gradient(judge)
    assert own[0] == pytest.approx(loss, rel=1e-5)
    np.testing.assert_allclose(own[1], theirs, atol=1e-5 * np.abs(theirs).max())


def test_online_dpo(composed: Composer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loss and gradient of two completions of each prompt are those of OnlineDPOTrainer's step."""
    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")
    from trl.experimental.online_dpo import OnlineDPOConfig, OnlineDPOTrainer

    objective, policy = opened(composed("objective=online_dpo", "objective.beta=0.3",
                                        "objective.max_length=128", "objective.max_new_tokens=40"))
    policy.slot.write(adapter(policy, 0))
    made = rollouts(policy).take([0, 1, 3, 5])  # two of each prompt's three
    made = replace(made, asks=[made.asks[0], made.asks[2]])
    own = (objective.backward(policy, made, best_and_worst(made.rewards, 2), 0.3),
           gradient(policy))
    order = [0, 2, 1, 3]  # the trainer has the first completion of every prompt first
    trainer = OnlineDPOTrainer(
        model=policy.slot.model, processing_class=policy.base.tokenizer,
        reward_funcs=lambda **_: [REWARDS[(0, 1, 3, 5)[row]] for row in order],
        args=OnlineDPOConfig(**{key: value for key, value in settings(
            tmp_path, beta=0.3, max_new_tokens=40).items()
            if key not in ("num_generations", "max_completion_length")}),
        train_dataset=Dataset.from_list([{"prompt": prompt} for prompt, _ in TEXTS]))
    trainer.ref_model = None  # a copy of the policy as it is; without it the reference is the base
    policy.slot.model.set_adapter(NAME)
    for parameter in policy.slot.parameters:
        parameter.requires_grad_(True)
    trainer._generate = lambda *_: (*padded([made.written[row].prompt for row in order], True),
                                    *padded([made.written[row].completion for row in order], False),
                                    None)
    loss = trainer.training_step(trainer.model, {"prompt": [prompt for prompt, _ in TEXTS]})
    theirs = gradient(policy)
    assert own[0] == pytest.approx(loss.item(), rel=1e-5)
    assert abs(own[0] - np.log(2)) > 1e-3
    np.testing.assert_allclose(own[1], theirs, atol=1e-4 * np.abs(theirs).max())


def padded(rows: list[tuple[int, ...]], left: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Return token numbers in a rectangle, and where they are tokens."""
    width = max(len(row) for row in rows)
    gaps = [(0,) * (width - len(row)) for row in rows]
    join = (lambda row, gap: gap + row) if left else (lambda row, gap: row + gap)
    return tuple(torch.tensor([join(row, gap) for row, gap in zip(values, gaps, strict=True)])
                 for values in (rows, [(1,) * len(row) for row in rows]))


@pytest.mark.parametrize("name", ["rloo", "grpo", "remax"])
def test_micro_batches_do_not_matter(composed: Composer, name: str) -> None:
    """The gradient of a step is the same whether one pass or several compute it."""
    found = []
    for budget in (4096, 16):
        objective, policy = opened(composed(
            f"objective={name}", f"selector.tokens_per_forward={budget}"))
        policy.slot.write(adapter(policy, 0))
        made = rollouts(policy)
        advantages = torch.linspace(-1, 1, 6)
        if name == "remax":
            advantages = advantages[:, None] * made.mask
        found.append((objective.backward(policy, made, advantages, 0.1), gradient(policy)))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    np.testing.assert_allclose(found[0][1], found[1][1], atol=1e-5)


def test_micro_batches_do_not_matter_to_ppo(composed: Composer) -> None:
    """Nor to what the value head learns: its gradient is the same, too."""
    found = []
    for budget in (4096, 16):
        objective, policy = opened(composed(
            "objective=ppo", f"selector.tokens_per_forward={budget}"))
        policy.slot.write(adapter(policy, 0))
        made = rollouts(policy)
        head = value_head(policy.base, {})
        torch.nn.init.constant_(head.weight, 0.01)
        credit = objective.credit(made, values_of(policy, head, made.written), 0.1)
        loss = objective.backward(policy, head, made, credit)
        found.append((loss, gradient(policy), head.weight.grad.numpy()))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-4)
    for whole, parts in zip(found[0][1:], found[1][1:], strict=True):
        assert np.abs(whole).max() > 1e-3
        np.testing.assert_allclose(whole, parts, atol=1e-4)
