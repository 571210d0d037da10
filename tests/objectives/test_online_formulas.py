"""Advantages, returns and clipped losses of the online objectives beside literal computations."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from online_cases import REWARDS, adapter, opened, rollouts
from torch import Tensor

from fedrlhf.config import build, load, schema
from fedrlhf.objectives.kl_control import KlControl
from fedrlhf.objectives.online_dpo import best_and_worst
from fedrlhf.objectives.policy_gradient import Part, clipped_losses
from fedrlhf.objectives.ppo import Credit, gae, token_rewards, value_losses, whitened
from fedrlhf.objectives.remax import returns
from fedrlhf.objectives.rollouts import Rollouts

Composer = Callable[..., schema.Config]


def masked(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return random numbers that are 0 after random ends, and where they are not."""
    mask = np.arange(shape[1]) < rng.integers(1, shape[1] + 1, shape[0])[:, None]
    return rng.normal(size=shape) * mask, mask


def test_gae_is_the_double_sum() -> None:
    """A_t = sum over l of (gamma lambda)^l d_{t+l}, d_t = r_t + gamma v_{t+1} - v_t, to the end."""
    rng, gamma, lam = np.random.default_rng(0), 0.9, 0.8
    rewards, mask = masked(rng, (5, 7))
    values = rng.normal(size=mask.shape) * mask
    wanted = np.zeros_like(rewards)
    for row in range(len(mask)):
        end = mask[row].sum()
        for start in range(end):
            for place in range(start, end):
                worth = values[row, place + 1] if place + 1 < end else 0.0
                surprise = rewards[row, place] + gamma * worth - values[row, place]
                wanted[row, start] += (gamma * lam) ** (place - start) * surprise
    found = gae(torch.tensor(rewards), torch.tensor(values), torch.tensor(mask), gamma, lam)
    np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_gae_without_a_critic_is_the_rest_of_the_rewards() -> None:
    """With v = 0 and gamma = lambda = 1, A_t is the sum of r_t and what follows."""
    rewards, mask = masked(np.random.default_rng(1), (3, 4))
    found = gae(torch.tensor(rewards), torch.zeros(3, 4), torch.tensor(mask), 1.0, 1.0)
    np.testing.assert_allclose(found, np.cumsum(rewards[:, ::-1], 1)[:, ::-1] * mask, atol=1e-12)


@pytest.mark.parametrize(("ratio", "advantage", "loss"), [
    (1.5, 2.0, -2.4),  # a gain is held at 1.2 * 2
    (0.5, 2.0, -1.0),  # a loss of probability of what is good is not: 0.5 * 2
    (1.5, -2.0, 3.0),  # nor a gain of what is bad: 1.5 * 2
    (0.5, -2.0, 1.6),  # what is bad is pushed down to 0.8 * 2 and no further
    (1.1, 2.0, -2.2)])
def test_clipped_loss(ratio: float, advantage: float, loss: float) -> None:
    """-min(rho A, clip(rho, 0.8, 1.2) A), by hand; no gradient where the clip holds."""
    rho = torch.tensor(ratio, requires_grad=True)
    found = clipped_losses(rho, torch.tensor(advantage), 0.2)
    found.backward()
    assert found.item() == pytest.approx(loss)
    held = (ratio > 1.2 and advantage > 0) or (ratio < 0.8 and advantage < 0)
    assert rho.grad.item() == pytest.approx(0.0 if held else -advantage)


@pytest.mark.parametrize(("value", "loss"), [
    (0.1, 0.405),  # near the old value 0: 1/2 (0.1 - 1)^2
    (0.9, 0.32),  # beyond old + 0.2: 1/2 (0.2 - 1)^2 is more than 1/2 (0.9 - 1)^2
    (-0.5, 1.125)])  # farther off than the clipped -0.2: 1/2 (-0.5 - 1)^2
def test_clipped_value_loss(value: float, loss: float) -> None:
    """1/2 max((v - 1)^2, (clip(v, -0.2, 0.2) - 1)^2) with v_old = 0 and R = 1, by hand."""
    known = Credit(torch.zeros(1), torch.zeros(1), torch.ones(1))
    assert value_losses(torch.tensor([value]), known, 0.2).item() == pytest.approx(loss)


def test_whitening_ignores_padding() -> None:
    """The selected numbers get mean 0 and deviation 1; the rest is 0."""
    values, mask = masked(np.random.default_rng(2), (4, 5))
    found = whitened(torch.tensor(values + 3), torch.tensor(mask)).numpy()
    assert found[mask].mean() == pytest.approx(0, abs=1e-6)
    assert found[mask].std() == pytest.approx(1, abs=1e-6)
    assert not found[~mask].any()


def test_remax_returns() -> None:
    """G_t = -beta log-ratio_t + gamma^(T - t) (r - r_greedy), t = 1 … T, place by place."""
    ratios, mask = masked(np.random.default_rng(3), (4, 6))
    gains = np.array([1.0, -0.5, 0.3, 2.0])
    wanted = np.zeros_like(ratios)
    for row, (gain, end) in enumerate(zip(gains, mask.sum(1), strict=True)):
        for t in range(1, end + 1):
            wanted[row, t - 1] = -0.05 * ratios[row, t - 1] + 0.9 ** (end - t) * gain
    found = returns(torch.tensor(ratios), torch.tensor(gains), torch.tensor(mask), 0.05, 0.9)
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_token_rewards(composed: Composer) -> None:
    """They add up to r - beta log(pi / pi_ref), and r is at the last token."""
    _, policy = opened(composed("objective=ppo"))
    policy.slot.write(adapter(policy, 0))
    made = rollouts(policy)
    found = token_rewards(made, 0.1)
    torch.testing.assert_close(found.sum(1), made.rewards - 0.1 * made.kl)
    plain = token_rewards(made, 0.0)
    for row, one in enumerate(made.written):
        assert plain[row, len(one.completion) - 1].item() == pytest.approx(REWARDS[row])
        assert plain[row].count_nonzero() == 1


def test_best_and_worst() -> None:
    """The first best and the first worst of each group of three; a group of equals has none."""
    rewards = torch.tensor([1.0, 2, 2, 5, 5, 5, 0, -1, -1])
    assert best_and_worst(rewards, 3) == [(1, 0), (6, 7)]


def test_kl_control() -> None:
    """Beta moves by at most 2 % a step towards the target and goes on from what was kept.

    KL 12 of target 10: error 0.2, beta 1.02 times as large. KL 9: error -0.1, 0.99 times. KL 0:
    error -1 counts as -0.2, 0.98 times.
    """
    control = KlControl(0.5, 10.0, {})
    for kl, factor in ((12.0, 1.02), (9.0, 0.99), (0.0, 0.98)):
        before = control.beta
        control.observe(kl)
        assert control.beta == pytest.approx(before * factor)
    assert KlControl(0.5, 10.0, control.kept()).beta == control.beta
    fixed = KlControl(0.5, None, control.kept())
    fixed.observe(100.0)
    assert (fixed.beta, fixed.kept()) == (0.5, {})


# ------------------------------------------------------------- a policy over a handful of texts


class Toy:
    """A policy over four completions: one token of four, by logits."""

    worth = torch.tensor([0.1, 0.7, -0.4, 0.9])
    reference = torch.log_softmax(torch.tensor([0.5, 0.0, 0.3, -0.2]), 0)

    def __init__(self) -> None:
        self.logits = torch.tensor([0.2, -0.3, 0.4, 0.1], requires_grad=True)

    def log_probs(self) -> Tensor:
        """Return log pi of the four."""
        return torch.log_softmax(self.logits, 0)

    def objective(self, beta: float) -> Tensor:
        """Return E r - beta KL(pi || pi_ref), exactly."""
        log_p = self.log_probs()
        return (log_p.exp() * (self.worth - beta * (log_p - self.reference))).sum()

    def drawn(self, group: tuple[int, ...]) -> Rollouts:
        """Return a group of completions as rollouts."""
        index = list(group)
        behaviour = self.log_probs().detach()[index][:, None]
        written: Any = [SimpleNamespace(completion=(one,)) for one in index]
        asks: Any = ["the prompt"]
        worth = self.worth[index]
        return Rollouts(written, asks, worth, worth, 0 * worth, torch.ones(len(index), 1) > 0,
                        behaviour, self.reference[index][:, None], torch.ones(len(index)) > 0,
                        torch.full((len(index),), float(self.worth[2])))


@pytest.mark.parametrize(("name", "count", "share"), [
    ("rloo", 3, 1.0), ("remax", 2, 1.0), ("grpo", 3, 2 / 3)])
def test_the_expected_gradient_is_that_of_the_reward(name: str, count: int, share: float) -> None:
    """Over all groups of completions, weighted by their probability, the gradients add up.

    To -grad(E r - beta KL) for RLOO and ReMax. GRPO's baseline contains the completion itself, so
    without scale it is (K - 1)/K of the reward's gradient, and all of the divergence's.
    """
    extra = "objective.scale=none" if name == "grpo" else "objective.max_length=128"
    objective = build(load(f"objective={name} objective.completions={count} {extra}").objective,
                      "objective")
    beta = 0.3
    toy = Toy()
    expected = torch.zeros(4)
    for group in itertools.product(range(4), repeat=count):
        made = toy.drawn(group)
        chance = made.behaviour.sum().exp()
        advantages = objective.advantages(made, beta)
        loss = objective.part_loss(toy.log_probs()[list(group)][:, None],
                                   Part(made, advantages, beta, count, count))
        expected += chance * torch.autograd.grad(loss, toy.logits)[0]
    reward, = torch.autograd.grad(toy.objective(0.0), toy.logits)
    divergence = (reward - torch.autograd.grad(toy.objective(beta), toy.logits)[0]) / beta
    torch.testing.assert_close(expected, beta * divergence - share * reward, atol=1e-6, rtol=1e-5)


def test_grpo_pulls_to_the_reference(composed: Composer) -> None:
    """Where the policy is its reference, k3 and its gradient are 0; elsewhere k3 is positive."""
    objective, policy = opened(composed("objective=grpo", "objective.beta=1"))
    policy.slot.write(adapter(policy, 0))
    made = rollouts(policy)
    zero = torch.zeros(6)
    part = Part(made, zero, 1.0, 6, int(made.mask.sum()))
    assert objective.part_loss(made.behaviour, part).item() > 0
    there = replace(made, behaviour=made.reference)
    now = made.reference.clone().requires_grad_(True)
    loss = objective.part_loss(now, Part(there, zero, 1.0, 6, int(made.mask.sum())))
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert now.grad.abs().max().item() == pytest.approx(0, abs=1e-6)
