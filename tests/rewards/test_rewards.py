"""What online objectives maximise: planted truth, functions, trained judges, and their mixture."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedrlhf.config import build, load, schema
from fedrlhf.data.source import Source
from fedrlhf.errors import ConfigError, RunFailed
from fedrlhf.rewards import own
from fedrlhf.rewards.base import Client
from fedrlhf.rewards.function import Function
from fedrlhf.rewards.judged import RewardModelReward, SelectorReward
from fedrlhf.rewards.mixing import ADDITIVE, CONVEX, Mixed, mix
from fedrlhf.rewards.open import check_reward, check_weights, open_scorer
from fedrlhf.rewards.own import OwnRewardModel
from fedrlhf.rewards.planted import Planted
from fedrlhf.types import PreferencePair, Prompt

QUESTION = "What is overfitting?"
TEXTS = ("Hint: look at the test error.", "It is like learning the answers by heart.")
ONLINE = ("objective=rloo", "strategy=fedbis", "run.stages=[partition,rlhf,evaluate]")


def client(config: schema.Config, *pairs: PreferencePair, name: str = "student_000") -> Client:
    """Return a client with these pairs to train on."""
    return Client(config, name, pairs)


def source(config: schema.Config) -> Source:
    """Return the source that a configuration names."""
    return build(config.data, "data")  # type: ignore[no-any-return]


def words(prompt: str, completions: list[str], person: str) -> list[float]:
    """Count words; the reward that the tests name by its dotted path."""
    return [float(len(text.split())) for text in completions]


def quoting(prompt: str, completions: list[str], person: str) -> list[float]:
    """Fail with a message that quotes what it was given."""
    raise KeyError(prompt + completions[0] + person)


def no_numbers(prompt: str, completions: list[str], person: str) -> list[str]:
    """Return texts, which numpy quotes when it refuses them."""
    return completions


def broken(prompt: str, completions: list[str], person: str) -> list[float]:
    """Return something that is no number for each completion."""
    return [math.nan]


def test_the_two_mixtures() -> None:
    """With R0 = (1, 2), H = (10, -10), lambda = 0.25.

    Additive: 1 + 2.5 = 3.5 and 2 - 2.5 = -0.5. Convex: 0.75 + 2.5 = 3.25 and 1.5 - 2.5 = -1.
    """
    shared, personal = np.array([1.0, 2.0]), np.array([10.0, -10.0])
    np.testing.assert_allclose(mix(shared, personal, 0.25, ADDITIVE), [3.5, -0.5])
    np.testing.assert_allclose(mix(shared, personal, 0.25, CONVEX), [3.25, -1.0])


def test_the_personal_part_is_bounded() -> None:
    """|H| <= H_max = 3 (FedRLHF): of 10 and -10 remain 3 and -3, also in what is reported."""
    def shared(prompt: Prompt, completions: Sequence[str], person: str) -> np.ndarray:
        return np.zeros(2)

    def personal(prompt: Prompt, completions: Sequence[str], person: str) -> np.ndarray:
        return np.array([10.0, -10.0])

    scores = Mixed(shared, personal, CONVEX, 0.5, 3.0).score("q", ("a", "b"), "ann")
    np.testing.assert_allclose(scores.personal, [3.0, -3.0])
    np.testing.assert_allclose(scores.total, [1.5, -1.5])


def test_planted_rewards_are_the_sources_truth() -> None:
    """The person is the one who asked, not the client that holds the question."""
    config = load([*ONLINE])
    truth = source(config).truth()
    assert truth is not None
    for of, expected in (
            ("everyone", [truth.utility(QUESTION, text) for text in TEXTS]),
            ("person", [truth.utility_of("student_004", QUESTION, text) for text in TEXTS]),
            ("learning", [truth.learning(QUESTION, text) for text in TEXTS])):  # type: ignore[attr-defined]
        score = Planted(of=of).open(client(config))
        np.testing.assert_array_equal(score(QUESTION, TEXTS, "student_004"), expected)


def test_the_clients_own_lambda_goes_first() -> None:
    """Student 1 has lambda 0.9, the others that of all, 0.1."""
    config = load([*ONLINE, "reward.weight=0.1", "+reward.weights.student_001=0.9"])
    assert open_scorer(client(config, name="student_000")).weight == 0.1
    assert open_scorer(client(config, name="student_001")).weight == 0.9
    check_weights(config, ["student_000", "student_001"])
    with pytest.raises(ConfigError, match="names student_001, but the clients are ann$"):
        check_weights(config, ["ann"])


def test_a_pool_scores_each_person_with_the_persons_own_lambda() -> None:
    """What one client holds for two students is mixed as it would be at the students'."""
    config = load([*ONLINE, "reward.weight=0.25", "+reward.weights.student_001=1"])
    pool = open_scorer(client(config, name="pool"))
    for name in ("student_000", "student_001"):
        at_home = open_scorer(client(config, name=name)).score(QUESTION, TEXTS, name)
        np.testing.assert_array_equal(pool.score(QUESTION, TEXTS, name).total, at_home.total)
    np.testing.assert_array_equal(at_home.total, at_home.personal)


def test_a_function_is_called_with_texts_and_checked() -> None:
    """Four words and nine; an answer of the wrong length or NaN stops the client by name."""
    config = load([*ONLINE, "trust=[tests]"])
    score = Function(path=f"{__name__}.words").open(client(
        load([*ONLINE, f"trust=[{__name__.partition('.')[0]}]"])))
    np.testing.assert_array_equal(score(QUESTION, ("a b", "c"), "ann"), [2, 1])
    wrong = Function(path=f"{__name__}.broken").open(client(
        load([*ONLINE, f"trust=[{__name__.partition('.')[0]}]"])))
    with pytest.raises(RunFailed, match="must return 2 finite numbers for 2 completions"):
        wrong(QUESTION, TEXTS, "ann")
    for name in ("quoting", "no_numbers"):
        fails = Function(path=f"{__name__}.{name}").open(client(
            load([*ONLINE, f"trust=[{__name__.partition('.')[0]}]"])))
        with pytest.raises(RunFailed, match=f"{name} failed with (Key|Value)Error") as caught:
            fails(QUESTION, TEXTS, "ann")
        assert not any(text in str(caught.value) for text in (QUESTION, *TEXTS, "ann"))
    with pytest.raises(ConfigError, match="named with its module.*got 'words'"):
        Function(path="words").check(config, source(config))
    with pytest.raises(ConfigError, match=r"not in a trusted package.*trust=\[os\]"):
        Function(path="os.getcwd").open(client(config))


@pytest.mark.parametrize(("more", "words"), [
    (("data=jsonl", "data.path=x.jsonl"), "the data 'x' have no planted truth"),
    (("reward/shared=selector", "reward.shared.adapter=/nowhere"), "/nowhere is no folder with"),
    (("reward/shared=function", "reward.shared.path=my.thing"), "not in a trusted package"),
    (("reward/personal=selector", "reward.personal.adapter=x", "objective.completions=1"),
     "objective.completions must be at least 2"),
])
def test_what_cannot_work_is_refused_before_the_first_round(more: tuple[str, ...], words: str,
                                                            tmp_path: Path) -> None:
    """Each message names the value and what to do."""
    if more[0] == "data=jsonl":
        (tmp_path / "x.jsonl").write_text("")
        more = (more[0], f"data.path={tmp_path / 'x.jsonl'}")
    config = load([*ONLINE, *more])
    with pytest.raises(ConfigError, match=words):
        build(config.objective, "objective")
        check_reward(config, source(config))


def trained(config: schema.Config, kind: str, folder: Path) -> np.ndarray:
    """Save a random adapter of a judge as a stage select would; return its vector."""
    objective = build(load([f"objective={kind}", *small()]).objective, "objective")
    slot = objective.open(config).slot
    vector = np.random.default_rng(0).normal(0, 0.2, slot.layout.size).astype(np.float32)
    slot.save(vector, folder / "selector_0")
    return vector


def small() -> list[str]:
    """Return overrides that keep the judges small."""
    return ["selector.adapter.rank=2"]


def test_a_reward_model_scores_as_itself(tmp_path: Path) -> None:
    """r(first) - r(second) is what the reward model's own judgement says."""
    from fedrlhf.objectives.base import Objective
    from fedrlhf.types import CompletionPair

    config = load([*ONLINE, *small()])
    vector = trained(config, "reward", tmp_path)
    score = RewardModelReward(adapter=str(tmp_path)).open(client(config))
    found = score(QUESTION, TEXTS, "ann")
    objective: Objective = build(load(["objective=reward", *small()]).objective, "objective")
    judge = objective.open(config)
    judge.slot.write(vector)
    expected = judge.judge([CompletionPair(QUESTION, *TEXTS)])[0, 0]
    assert found[0] - found[1] == pytest.approx(expected, abs=1e-4)


def test_a_selector_leaves_the_trained_policy_alone(tmp_path: Path) -> None:
    """The selector acts on a copy of the base: the policy's adapter stays active and as it was.

    Of two completions, the score is the mean log-odds over both orders, with opposite signs.
    """
    config = load([*ONLINE, *small()])
    trained(config, "choice", tmp_path)
    policy = build(config.objective, "objective").open(config)
    before = np.arange(policy.slot.layout.size, dtype=np.float32) / 1e6
    policy.slot.write(before)
    found = SelectorReward(adapter=str(tmp_path / "selector_0")).open(client(config))(
        QUESTION, TEXTS, "ann")
    assert found[0] == -found[1] != 0
    np.testing.assert_array_equal(policy.slot.read(), before)
    assert policy.base.attached is policy.slot


def test_an_own_reward_model_learns_the_persons_taste_alone() -> None:
    """Ann prefers friendly answers and Bob plain ones; each one's model ranks so.

    It is the same when it is opened again, and whoever else's pairs the client holds.
    """
    config = load([*ONLINE, *small()])
    kind, plain = "Great question! It is a mean.", "It is a mean."
    pairs = [PreferencePair(f"What is {n}?", *((kind, plain) if who == "ann" else (plain, kind)),
                            who, "s") for who in ("ann", "bob") for n in range(16)]
    reward = OwnRewardModel(learning_rate=1e-2, steps=15, batch_size=8)
    score = reward.open(client(config, *pairs))
    ann, bob = (score("What is a median?", (kind, plain), who) for who in ("ann", "bob"))
    assert ann[0] > ann[1]
    assert bob[0] < bob[1]
    alone = OwnRewardModel(learning_rate=1e-2, steps=15, batch_size=8).open(client(
        config, *(pair for pair in pairs if pair.client_id == "ann")))
    np.testing.assert_array_equal(alone("What is a median?", (kind, plain), "ann"), ann)
    with pytest.raises(RunFailed, match="has no pair to train a reward model on") as caught:
        score("What is a median?", (kind, plain), "cy")
    assert "cy" not in str(caught.value)  # the server need not know the people of a client


def test_a_process_holds_a_bounded_number_of_own_reward_models(
        monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for one: what was asked for last stays, the other is trained to the same bits."""
    monkeypatch.setattr(own, "_MOST", 1)
    monkeypatch.setattr(own, "_trained", own.OrderedDict())
    config = load([*ONLINE, *small()])
    pairs = [PreferencePair("What is a mean?", *TEXTS, who, "s") for who in ("ann", "bob")]

    def rewards(who: str) -> np.ndarray:
        score = OwnRewardModel(learning_rate=1e-2, steps=1, batch_size=1).open(
            client(config, *pairs))
        return score(QUESTION, TEXTS, who)

    first, _ = rewards("ann"), rewards("bob")
    assert len(own._trained) == 1
    np.testing.assert_array_equal(rewards("ann"), first)


@pytest.mark.parametrize("key", ["learning_rate", "steps", "batch_size"])
def test_settings_of_own_reward_models_are_named(key: str) -> None:
    """The key is that of the section `reward`, not the objective's inside."""
    good: dict[str, Any] = {"learning_rate": 1e-2, "steps": 1, "batch_size": 1}
    with pytest.raises(ConfigError, match=f"reward.personal.{key} must be greater than 0, got 0"):
        OwnRewardModel(**good | {key: 0})
