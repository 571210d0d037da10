"""Local training of in-context judges on a tiny base: steps, schedules, people and rewards."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fedrlhf.config import build, load, schema
from fedrlhf.errors import ConfigError, RunFailed
from fedrlhf.objectives.base import LocalTask
from fedrlhf.objectives.in_context import halves
from fedrlhf.objectives.predictor import Predictor
from fedrlhf.objectives.variational import Variational
from fedrlhf.rewards.base import Client
from fedrlhf.rewards.predictor import PredictorReward
from fedrlhf.selectors.predictor import Embedded, padded, predictor_loss
from fedrlhf.selectors.questions import questions_of
from fedrlhf.types import CompletionPair, Preference, PreferencePair, Rating

WORDS = ("mean", "median", "variance", "range", "mode", "sample", "error", "slope", "outlier",
         "bias", "trend", "share", "rank", "ratio", "chance", "model")
Compose = Callable[..., schema.Config]


@pytest.fixture
def composed(tiny_llama: Path, fresh_bases: Callable[[], None]) -> Compose:
    """Return a function that composes a configuration on the tiny random Llama."""
    def compose(*more: str) -> schema.Config:
        return load([f"selector.model.path={tiny_llama}", "selector.max_tokens=64",
                     "run.stages=[partition,select,evaluate]", "data=opinions",
                     "objective.width=8", "objective.local_steps=1", *more])
    return compose


def answers(person: str, sign: int = 1, count: int = 8) -> list[Preference]:
    """Return one person's ratings: who has sign 1 likes the code, who has -1 the story."""
    likes = 0.5 + 0.4 * sign
    return [Rating(f"What is the {word}?", text, value, person, "made")
            for word in WORDS[:count]
            for text, value in ((f"As code: {word}()", likes),
                                (f"Think of a {word} in a tale.", 1 - likes))]


def predictor(compose: Compose, *more: str) -> tuple[schema.Config, Predictor]:
    """Return a small predictor's configuration and objective."""
    config = compose("objective=predictor", "objective.feed_forward=8", "objective.heads=2",
                     "objective.layers=1", *more)
    return config, build(config.objective, "objective")


def test_halves_are_a_person_s_own() -> None:
    """Of a, b, a, a, b, c: a1 and a3 against a2, b1 against b2; c has nothing beside it."""
    shard = [Embedded(person, np.zeros((2, 1)), np.array([1.0, 0.0])) for person in "abaabc"]
    places = {id(one): place for place, one in enumerate(shard)}
    found = [tuple([places[id(one)] for one in part] for part in task) for task in halves(shard)]
    assert found == [([0, 3], [2]), ([2], [0, 3]), ([1], [4]), ([4], [1])]


def test_validation_predicts_shares_by_the_same_person_s_answers(composed: Compose) -> None:
    """In one shard with another person, ann's shares are those that her own shard gives."""
    config, objective = predictor(composed)
    adapter = objective.open(config).slot.initial(0)
    mine, others = answers("ann"), answers("bob", sign=-1)

    def shares(held: list[Preference]) -> np.ndarray:
        return np.array([one.shares for one in objective.predict_shares(config, held, adapter)])

    both = shares([*others, *mine])
    np.testing.assert_allclose(both[8:], shares(mine), atol=1e-6)
    assert np.abs(both[:8] - both[8:]).max() > 1e-5


def test_a_step_is_the_gradient_of_the_formula(composed: Compose) -> None:
    """SGD on 2 questions, of which one becomes the context of the other: w - lr grad F(w).

    With two questions both targets of the step, one context question leaves one target.
    """
    config, objective = predictor(composed, "objective.optimizer=sgd", "objective.batch_size=2",
                                  "objective.learning_rate=0.5", "objective.max_grad_norm=1e9",
                                  "objective.context=[1,1]", "objective.cosine_rounds=null")
    judge = objective.open(config)
    start = judge.slot.initial(0)
    held = answers("ann", count=2)
    trained = objective.train(config, held, LocalTask(start, seed=4))
    one, other = judge.encode(questions_of(held)[0])[0]
    expected = []
    for context, target in ((one, other), (other, one)):
        judge.slot.write(start)
        judge.slot.network.zero_grad()
        loss = predictor_loss(judge.slot.network, padded([([context], [target])],  # type: ignore[arg-type]
                                                         torch.device("cpu")))
        loss.backward()  # type: ignore[no-untyped-call]
        gradient = torch.cat([p.grad.flatten() for p in judge.slot.parameters]).numpy()  # type: ignore[union-attr]
        expected.append((start - 0.5 * gradient, loss.item()))
    near = [np.abs(vector - trained.adapter).max() for vector, _ in expected]
    assert min(near) < 1e-5
    assert max(near) > 1e-3
    assert trained.metrics["train_loss"] == pytest.approx(expected[int(np.argmin(near))][1])
    assert trained.examples == 2


def test_the_rate_falls_as_a_cosine(composed: Compose) -> None:
    """lr (1 + cos(pi t/4))/2 for t = 0, 1, 2 and 0 from round 5 on; then nothing moves."""
    config, objective = predictor(composed, "objective.learning_rate=2e-3",
                                  "objective.cosine_rounds=4")
    start = objective.open(config).slot.initial(0)
    rates = [objective.rate(LocalTask(start, 0, server_round=n)) for n in (1, 2, 3, 5, 9)]
    np.testing.assert_allclose(rates, [2e-3, 1e-3 * (1 + math.sqrt(0.5)), 1e-3, 0, 0], atol=1e-12)
    still = objective.train(config, answers("ann"), LocalTask(start, 0, server_round=9))
    np.testing.assert_array_equal(still.adapter, start)


def test_it_learns_shares_and_serves_a_person_it_never_saw(composed: Compose,
                                                          tmp_path: Path) -> None:
    """Two people who like the code train it; a third one is served, as a reward too.

    What another context says changes the values.
    """
    config, objective = predictor(
        composed, "objective.local_steps=60", "objective.batch_size=8",
        "objective.learning_rate=1e-2", "objective.context=[2,4]", "objective.cosine_rounds=null")
    judge = objective.open(config)
    start = judge.slot.initial(1)
    trained = objective.train(config, [*answers("ann"), *answers("bob")],
                              LocalTask(start, 0)).adapter
    held, known = answers("eve")[:8], answers("eve")[8:]
    before, after = objective.losses(config, known, [start, trained])
    assert after < before
    predicted = objective.predict_shares(config, held, trained, known)
    assert len(predicted) == 4
    assert all(one.shares[0] > 0.6 and one.truth[0] == pytest.approx(0.9) for one in predicted)
    knows = objective.judge_of(config, known)
    knows.slot.write(trained)
    texts = ["As code: bias()", "Think of a bias in a tale.", "word " * 200]
    log_odds = knows.judge([CompletionPair("What is the bias?", texts[0], texts[1])])
    assert log_odds.shape == (1, 2)
    judge.slot.save(trained, tmp_path)
    score = PredictorReward(folder=str(tmp_path), cache=None).open(
        Client(config, "club", tuple([*known, *answers("max", -1)])))
    values = score("What is the bias?", texts, "eve")
    assert values[0] - values[1] == pytest.approx(log_odds[0, 0], rel=1e-4)
    assert values[2] == pytest.approx(values[:2].mean())  # it does not fit
    assert np.abs(score("What is the bias?", texts, "max") - values).max() > 1e-6
    np.testing.assert_array_equal(score("What is the bias?", texts, "eve"), values)
    with pytest.raises(RunFailed, match="no answer"):
        score("What is the bias?", texts, "tom")


def pairs(person: str, sign: int, count: int) -> list[Preference]:
    """Return one person's comparisons of code with a story."""
    found: list[Preference] = []
    for word in WORDS[:count]:
        texts = f"As code: {word}()", f"Think of a {word} in a tale."
        found.append(PreferencePair(f"What is the {word}?", *texts[::sign], person, "made"))
    return found


def test_the_latent_tells_people_apart(composed: Compose) -> None:
    """Trained on two opposite people, own latents judge rightly, strangers' half of the time.

    For two opposite people a latent that is not used can be right for one of them only.
    """
    config = composed("objective=variational", "objective.width=16", "objective.latent=4",
                      "objective.local_steps=150", "objective.batch_size=8",
                      "objective.learning_rate=5e-3", "objective.context=[3,6]",
                      "objective.cosine_rounds=null", "objective.kl_weight=1e-3")
    objective: Variational = build(config.objective, "objective")
    both = [*pairs("ann", 1, 16), *pairs("bob", -1, 16)]
    start = objective.open(config).slot.initial(0)
    result = objective.train(config, both, LocalTask(start, 0))
    assert set(result.metrics) == {"train_loss", "steps", "cut_pairs", "left_out_pairs", "kl"}
    right = stranger = total = 0.0
    for person, sign in (("eve", 1), ("max", -1)):
        counts = objective.further_counts(config, pairs(person, sign, 8),
                                          pairs(person, sign, 16)[8:], result.adapter)
        total += counts["latent_pairs"]
        right += counts["latent_own"]
        stranger += counts["latent_stranger"]
        assert counts["latent_kl"] > 0.01
    assert total == 16
    assert right >= 15
    assert stranger == pytest.approx(8, abs=0.51)  # each stranger is right about one of the two
    begun, after = objective.losses(config, pairs("eve", 1, 8), [start, result.adapter])
    assert after < begun


def test_who_has_one_question_has_no_context(composed: Compose) -> None:
    """Nothing can be trained or judged, and the message says what is missing."""
    config, objective = predictor(composed)
    judge = objective.open(config)
    with pytest.raises(RunFailed, match="another question beside it"):
        objective.train(config, answers("ann", count=1), LocalTask(judge.slot.initial(0), 0))
    with pytest.raises(RunFailed, match="given a person's context first"):
        judge.judge([CompletionPair("p", "a", "b")])
    with pytest.raises(RunFailed, match=r"partition\.validation"):
        judge.with_context([])


@pytest.mark.parametrize("key", ["pooling=max", "context=[3,2]", "context=[0,2]", "context=[4]",
                                 "cosine_rounds=0", "heads=3", "depth=0"])
def test_refused_settings(composed: Compose, key: str) -> None:
    """The message names the key."""
    with pytest.raises(ConfigError, match=f"objective.{key.partition('=')[0]}"):
        predictor(composed, f"objective.{key}")


@pytest.mark.parametrize("key", ["latent=0", "kl_cycle=0", "gap=-1", "kl_weight=-1"])
def test_refused_settings_of_the_latent(composed: Compose, key: str) -> None:
    """The message names the key."""
    config: Any = composed("objective=variational", f"objective.{key}")
    with pytest.raises(ConfigError, match=f"objective.{key.partition('=')[0]}"):
        build(config.objective, "objective")
