"""KTO: its balance, its mismatched completions, weights and clients with labels of one kind."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fedrlhf.config import build, load, schema
from fedrlhf.errors import ConfigError
from fedrlhf.models.likelihood import Written
from fedrlhf.objectives.base import LocalTask
from fedrlhf.objectives.kto import Kto, balanced, mismatched
from fedrlhf.types import PreferencePair, Rating

GOOD = [Rating(f"What is {name}?", f"It is {name}.", 1.0, "ann", "made")
        for name in ("a mean", "a median", "bias")]
BAD = [replace(one, value=0.0) for one in GOOD]


@pytest.fixture
def config(tiny_llama: Path, fresh_bases: Callable[[], None]) -> schema.Config:
    """Compose a configuration on the tiny random Llama."""
    return load([f"tutor.model.path={tiny_llama}", "objective=kto", "objective.learning_rate=1e-2",
                 "objective.local_steps=8", "objective.batch_size=4"])


@pytest.mark.parametrize(("good", "bad", "expected"), [
    (10, 10, (1.0, 1.0)),  # ratio 1: within [1, 4/3]
    (5, 20, (4.0, 1.0)),  # 0.25: lambda_D 4 makes 4 * 5 / 20 = 1
    (20, 5, (1.0, 3.0)),  # 4: lambda_U 3 makes 20 / (3 * 5) = 4/3
    (0, 7, (1.0, 1.0)), (7, 0, (1.0, 1.0))])
def test_balance(good: float, bad: float, expected: tuple[float, float]) -> None:
    """The ratio lambda_D n_D / (lambda_U n_U) ends in [1, 4/3]; one kind alone stays."""
    assert balanced(1.0, 1.0, good, bad) == pytest.approx(expected)


def test_mismatched() -> None:
    """Each prompt gets the completion before its own, cut at the limit."""
    one, two = Written((1, 2), (3,)), Written((4,), (5, 6, 7))
    assert mismatched([one, two], limit=4) == [Written((1, 2), (5, 6)), Written((4,), (3,))]


@pytest.mark.parametrize("held", [GOOD, BAD], ids=["good", "bad"])
def test_a_client_with_one_kind_of_label_learns(config: schema.Config,
                                                held: list[Rating]) -> None:
    """The implicit reward of good answers rises, that of bad ones falls: from 0 at the start."""
    objective: Kto = build(config.objective, "objective")
    start = objective.open(config).slot.initial(0)
    trained = objective.train(config, held, LocalTask(start, seed=0))
    assert trained.examples == 3
    policy = objective.open(config)
    policy.slot.write(trained.adapter)
    rewards = policy.score([(one.prompt, one.completion) for one in held])
    assert ((rewards > 0.01) if held is GOOD else (rewards < -0.01)).all()


def test_a_pair_is_two_labels(config: schema.Config) -> None:
    """Same gradient as its two ratings; it counts as one preference of the client."""
    pair = PreferencePair("What is bias?", "It is bias.", "No.", "ann", "made", weight=0.5)
    two = [Rating(pair.prompt, pair.chosen, 0.9, "ann", "made", 0.5),
           Rating(pair.prompt, pair.rejected, 0.2, "ann", "made", 0.5)]
    objective: Kto = build(config.objective, "objective")
    found = []
    for held in ([pair], two):
        judge = objective.open(config)
        judge.slot.write(np.random.default_rng(0).normal(
            0, 0.05, judge.slot.layout.size).astype(np.float32))
        prepared = objective.prepare(judge, held)
        found.append((prepared.backward([0, 1]), prepared.preferences))
    assert found[0][0] == found[1][0]
    assert [count for _, count in found] == [1, 2]


def test_weights_are_a_mean(config: schema.Config) -> None:
    """A rating of weight 3 counts as three: (3 a + b) / 4 of the single losses, with the same z0.

    At the start z0 and all log-ratios are 0, so a = lambda_D / 2 and b = lambda_U / 2.
    """
    config.objective |= {"desirable_weight": 2.0, "undesirable_weight": 1.0}
    objective: Kto = build(config.objective, "objective")
    held = [replace(GOOD[0], weight=3.0), BAD[1]]
    start = objective.open(config).slot.initial(0)
    assert objective.losses(config, held, [start])[0] == pytest.approx((3 * 1.0 + 0.5) / 4)
    assert np.isnan(objective.losses(config, [replace(GOOD[0], value=0.5)], [start])[0])


@pytest.mark.parametrize("change", ["beta=0", "desirable_weight=0", "undesirable_weight=-1",
                                    "batch_size=1"])
def test_refused_settings(change: str) -> None:
    """The message names the key."""
    name = change.partition("=")[0]
    with pytest.raises(ConfigError, match=f"objective.{name} must be"):
        build(load(["objective=kto", f"objective.{change}"]).objective, "objective")
