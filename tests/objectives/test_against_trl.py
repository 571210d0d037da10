"""Losses and gradients of the local objectives beside TRL's trainers on the same model."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset

from fedrlhf.config import build, load, schema
from fedrlhf.models.adapters import NAME
from fedrlhf.objectives.base import LocalTask, Objective
from fedrlhf.objectives.kto import Kto, mismatched
from fedrlhf.types import Preference, PreferencePair, Rating

TEXTS = [("Recall?", "A share of positives.", "No."),
         ("What is a median? I forget.", "The middle one.", "A kind of mean, for example."),
         ("Overfitting?", "It learns the noise of 45 points.", "Bad"),
         ("Is p small?", "Yes: 0.01.", "Perhaps it is, who knows?")]


def pairs() -> list[PreferencePair]:
    """Return four pairs of one client."""
    return [PreferencePair(*texts, client_id="anna", source="made") for texts in TEXTS]


def ratings(labels: Sequence[bool] = (True, False, False, True)) -> list[Rating]:
    """Return four ratings of one client."""
    return [Rating(prompt, completion, float(label), "anna", "made")
            for (prompt, completion, _), label in zip(TEXTS, labels, strict=True)]


def learned(objective: Objective) -> Sequence[Preference]:
    """Return what an objective learns from."""
    return ratings() if isinstance(objective, Kto) else pairs()


@pytest.fixture
def configured(tiny_llama: Path, fresh_bases: Callable[[], None]) -> Callable[..., schema.Config]:
    """Return a function that composes a configuration on the tiny random Llama."""
    def compose(*more: str) -> schema.Config:
        return load([f"selector.model.path={tiny_llama}", f"tutor.model.path={tiny_llama}",
                     "selector.max_tokens=128", "objective.batch_size=4",
                     "objective.local_steps=1", *more])

    return compose


def opened(config: schema.Config, scale: float = 0.05) -> tuple[Objective, Any, np.ndarray]:
    """Return the objective, what it trains and a random adapter that is active there."""
    objective: Objective = build(config.objective, "objective")
    judge = objective.open(config)
    size = judge.slot.layout.size
    adapter = np.random.default_rng(0).normal(0, scale, size).astype(np.float32)
    judge.slot.write(adapter)
    return objective, judge, adapter


def own_loss_and_gradient(objective: Objective, judge: Any) -> tuple[float, np.ndarray]:
    """Return the loss of all four preferences and its gradient as a vector."""
    prepared = objective.prepare(judge, learned(objective))
    loss = prepared.backward([0, 1, 2, 3])
    return loss, gradient(judge)


def gradient(judge: Any) -> np.ndarray:
    """Return the slot's gradient as a vector and forget it."""
    found = np.concatenate([p.grad.flatten().numpy() for p in judge.slot.parameters])
    for parameter in judge.slot.parameters:
        parameter.grad = None
    return found


def trl_loss_and_gradient(kind: str, judge: Any, rows: list[dict[str, Any]], folder: Path,
                          **settings: Any) -> tuple[float, np.ndarray]:
    """Let a trainer of TRL compute the same on the same model."""
    import trl

    config = getattr(trl, f"{kind}Config")(
        str(folder), per_device_train_batch_size=4, use_cpu=True, bf16=False, report_to=[],
        activation_checkpointing=False, max_steps=1, **settings)
    trainer = getattr(trl, f"{kind}Trainer")(
        model=judge.slot.model, args=config, processing_class=judge.base.tokenizer,
        train_dataset=Dataset.from_list(rows))
    if "ref" in judge.slot.model.peft_config:
        judge.slot.model.delete_adapter("ref")  # without it the reference is the base
    judge.slot.model.set_adapter(NAME)
    for parameter in judge.slot.parameters:
        parameter.requires_grad_(True)
    batch = next(iter(trainer.get_train_dataloader()))
    trainer.model.train()
    loss = trainer.compute_loss(trainer.model, batch)
    loss.backward()
    return loss.item(), gradient(judge)


def conversation(prompt: str, **answers: str) -> dict[str, Any]:
    """Return a row in TRL's conversational form."""
    return {"prompt": [{"role": "user", "content": prompt}],
            **{name: [{"role": "assistant", "content": text}] for name, text in answers.items()}}


def test_dpo(configured: Callable[..., schema.Config], tmp_path: Path) -> None:
    """The loss and its gradient are those of TRL's DPOTrainer with the base as reference."""
    objective, judge, _ = opened(configured("objective=dpo", "objective.beta=0.3"))
    loss, own = own_loss_and_gradient(objective, judge)
    rows = [conversation(p.prompt, chosen=p.chosen, rejected=p.rejected) for p in pairs()]
    theirs, reference = trl_loss_and_gradient("DPO", judge, rows, tmp_path, beta=0.3)
    assert loss == pytest.approx(theirs, rel=1e-5)
    assert abs(loss - np.log(2)) > 1e-3  # the adapter matters
    np.testing.assert_allclose(own, reference, atol=1e-5 * np.abs(reference).max() * 10)


@pytest.mark.parametrize("labels", [(True, False, False, True), (False,) * 4])
def test_kto(configured: Callable[..., schema.Config], tmp_path: Path,
             labels: tuple[bool, ...]) -> None:
    """The loss and its gradient are those of TRL's KTOTrainer, also with labels of one kind.

    TRL's batch is in the order of the rows, so the completion before an example's own is the same.
    """
    objective, judge, _ = opened(configured(
        "objective=kto", "objective.beta=0.3", "objective.desirable_weight=1.5",
        "objective.undesirable_weight=0.7"))
    prepared = objective.prepare(judge, ratings(labels))
    loss, own = prepared.backward([0, 1, 2, 3]), gradient(judge)
    rows = [conversation(one.prompt, completion=one.completion) | {"label": one.desirable}
            for one in ratings(labels)]
    theirs, reference = trl_loss_and_gradient("KTO", judge, rows, tmp_path, beta=0.3,
                                              desirable_weight=1.5, undesirable_weight=0.7)
    assert loss == pytest.approx(theirs, rel=1e-5)
    written = [judge.encode(one.prompt, one.completion) for one in ratings()]
    assert judge.log_ratios(mismatched(written, 128)).mean() > 0.01  # z0 takes part
    np.testing.assert_allclose(own, reference, atol=1e-5 * np.abs(reference).max() * 10)


def test_sft(configured: Callable[..., schema.Config], tmp_path: Path) -> None:
    """The loss and its gradient are those of TRL's SFTTrainer on prompts and completions."""
    objective, judge, _ = opened(configured("objective=sft"))
    loss, own = own_loss_and_gradient(objective, judge)
    rows = [conversation(p.prompt, completion=p.chosen) for p in pairs()]
    theirs, reference = trl_loss_and_gradient("SFT", judge, rows, tmp_path)
    assert loss == pytest.approx(theirs, rel=1e-5)
    np.testing.assert_allclose(own, reference, atol=1e-5 * np.abs(reference).max() * 10)


def test_reward(configured: Callable[..., schema.Config], tmp_path: Path) -> None:
    """The loss and its gradient, the scalar head's too, are those of TRL's RewardTrainer."""
    objective, judge, _ = opened(configured("objective=reward"))
    loss, own = own_loss_and_gradient(objective, judge)
    rows = [conversation(p.prompt, chosen=p.chosen, rejected=p.rejected) for p in pairs()]
    theirs, reference = trl_loss_and_gradient("Reward", judge, rows, tmp_path)
    assert loss == pytest.approx(theirs, rel=1e-5)
    assert any("score" in name for name in judge.slot.layout.names)
    np.testing.assert_allclose(own, reference, atol=1e-5 * np.abs(reference).max() * 10)


@pytest.mark.parametrize("name", ["dpo", "kto", "sft", "reward", "choice"])
def test_micro_batches_do_not_matter(configured: Callable[..., schema.Config], name: str) -> None:
    """The gradient of a step is the same whether one pass or several compute it."""
    found = []
    for budget in (4096, 16):
        config = configured(f"objective={name}", f"selector.tokens_per_forward={budget}")
        objective, judge, _ = opened(config)
        found.append(own_loss_and_gradient(objective, judge))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    np.testing.assert_allclose(found[0][1], found[1][1], atol=1e-5)


@pytest.mark.parametrize("name", ["dpo", "kto", "sft", "reward", "choice"])
def test_losses_are_what_training_minimises(configured: Callable[..., schema.Config],
                                            name: str) -> None:
    """The loss on held-out pairs is the training loss of the same pairs and adapter."""
    objective, judge, adapter = opened(configured(f"objective={name}"))
    loss, _ = own_loss_and_gradient(objective, judge)
    config = configured(f"objective={name}")
    found = objective.losses(config, learned(objective), [adapter])[0]
    assert found == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize("name", ["dpo", "kto", "sft", "reward"])
def test_training_lowers_the_loss(configured: Callable[..., schema.Config], name: str) -> None:
    """Thirty steps on four pairs fit them, from a fresh adapter that starts at the known value.

    With B = 0 the policy is its reference, so DPO starts at log 2; so does the reward model up to
    its small random head. KTO starts at sigmoid(0).
    """
    config = configured(f"objective={name}", "objective.local_steps=30",
                        "objective.learning_rate=1e-2", "selector.adapter.targets=all-linear")
    objective: Objective = build(config.objective, "objective")
    fresh = objective.open(config).slot.initial(0)
    held = learned(objective)
    before = objective.losses(config, held, [fresh])[0]
    trained = objective.train(config, held, LocalTask(fresh, seed=0))
    after = objective.losses(config, held, [trained.adapter])[0]
    assert after < 0.6 * before
    if name == "dpo":
        assert before == pytest.approx(np.log(2), rel=1e-6)
    if name == "kto":
        assert before == pytest.approx(0.5, rel=1e-6)
    if name == "reward":
        assert before == pytest.approx(np.log(2), abs=0.1)


def test_reference_is_where_the_run_started(configured: Callable[..., schema.Config]) -> None:
    """With the start policy as reference, the loss at the start is log 2 whatever it is.

    The log-ratios of a policy to itself are 0, so the loss is -log sigmoid(0).
    """
    config = configured("objective=dpo")
    objective, judge, adapter = opened(config)
    at_start = objective.losses(config, pairs(), [adapter], reference=adapter)[0]
    assert at_start == pytest.approx(np.log(2), rel=1e-5)
    assert objective.losses(config, pairs(), [adapter])[0] != pytest.approx(np.log(2), rel=1e-3)
    with torch.no_grad():
        np.testing.assert_array_equal(judge.slot.read(), adapter)


def test_the_head_of_a_bfloat16_model_is_float32(configured: Callable[..., schema.Config]) -> None:
    """What is trained keeps steps far below bfloat16's 0.4 percent, and so do rewards.

    A head weight of 1 moved by 1e-5 is 1 in bfloat16; here it comes back as it was written, under
    autocast too, and one reward differs from another by what float32 resolves.
    """
    _, judge, adapter = opened(configured("objective=reward", "selector.model.dtype=bfloat16",
                                          "runtime.autocast=bfloat16"))
    wanted = np.full_like(adapter, 1 + 1e-5)
    judge.slot.write(wanted)
    np.testing.assert_array_equal(judge.slot.read(), wanted)
    judge.slot.write(adapter)
    rewards = judge.rewards([judge.encode(*text[:2]) for text in TEXTS]).detach()
    assert rewards.dtype == torch.float32
    assert not torch.equal(rewards, rewards.bfloat16().float())


def test_a_cut_prompt_keeps_the_mark_of_its_beginning(tiny_llama: Path) -> None:
    """Of <bos> a b c d and a completion of n tokens, n + 3 leave <bos> and the last two.

    Without room for the mark and one token of the prompt the pair is left out.
    """
    from dataclasses import replace

    from fedrlhf.models.likelihood import encode_written
    from fedrlhf.models.load import load_base

    base = load_base(schema.Model(path=str(tiny_llama)))
    tokenizer = base.tokenizer
    tokenizer.chat_template = None
    whole = encode_written(base, "Is p small?", "Yes.", 128)
    assert whole is not None
    tokenizer.bos_token = tokenizer.convert_ids_to_tokens(whole.prompt[0])
    room = len(whole.completion)
    short = encode_written(base, "Is p small?", "Yes.", room + 3)
    dropped = len(whole.prompt) - 3
    assert short == replace(whole, prompt=(whole.prompt[0], *whole.prompt[-2:]), cut=dropped)
    assert encode_written(base, "Is p small?", "Yes.", room + 1) is None
