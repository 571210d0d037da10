"""Local training of a selector: the loss, its gradient's pieces, and what must not matter."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from fedrlhf.config import build, load, schema
from fedrlhf.errors import ConfigError, RunFailed
from fedrlhf.objectives.base import LocalResult, LocalTask
from fedrlhf.objectives.choice import Choice
from fedrlhf.selectors.selector import Selector, open_selector
from fedrlhf.types import CompletionPair, PreferencePair

TEXTS = [("Recall?", "A share of positives.", "No."),
         ("What is a median? I forget.", "The middle one.", "A kind of mean, for example."),
         ("Overfitting?", "It learns the noise of 45 points.", "Bad"),
         ("Is p small?", "Yes: 0.01.", "Perhaps it is, who knows?")]


def pairs(weights: Sequence[float] = (1, 1, 1, 1)) -> list[PreferencePair]:
    """Return four pairs of one client."""
    return [PreferencePair(*texts, client_id="anna", source="made", weight=weight)
            for texts, weight in zip(TEXTS, weights, strict=True)]


@pytest.fixture
def configured(tiny_llama: Path, fresh_bases: Callable[[], None]) -> Callable[..., schema.Config]:
    """Return a function that composes a configuration on the tiny random Llama."""
    def compose(*more: str) -> schema.Config:
        return load([f"selector.model.path={tiny_llama}", "runtime.autocast=off",
                     "selector.max_tokens=128", "objective.batch_size=4", "objective.local_steps=1",
                     *more])

    return compose


def start(config: schema.Config) -> np.ndarray:
    """Return an adapter that changes the model's judgements."""
    size = open_selector(config).slot.layout.size
    return np.random.default_rng(0).normal(0, 0.05, size).astype(np.float32)


def train(config: schema.Config, given: Sequence[PreferencePair], adapter: np.ndarray,
          seed: int = 0, mu: float = 0.0) -> LocalResult:
    """Train as a client does."""
    objective: Any = build(config.objective, "objective")
    return objective.train(config, given, LocalTask(adapter, seed, mu))


def logits(selector: Selector, pair: PreferencePair) -> torch.Tensor:
    """Return the two letters' full logits of both orders, shape (order, letter)."""
    both = selector.encode(CompletionPair(pair.prompt, pair.chosen, pair.rejected))
    assert both is not None
    return torch.stack([selector.base.model(input_ids=torch.tensor(
        [order.prefix + order.suffix])).logits[0, -1, list(selector.letters)] for order in both])


def by_hand(selector: Selector, given: Sequence[PreferencePair]) -> torch.Tensor:
    """Return the weighted mean over pairs of the mean cross-entropy of both orders (Eq. 2).

    Letter 0 is right where the chosen completion is shown first, letter 1 where it is second.
    """
    losses = torch.stack([cross_entropy(logits(selector, pair), torch.tensor([0, 1]))
                          for pair in given])
    weights = torch.tensor([pair.weight for pair in given])
    return (losses * weights).sum() / weights.sum()


@pytest.mark.parametrize("weights", [(1, 1, 1, 1), (1, 2, 0.5, 4)])
def test_the_loss_is_cross_entropy(configured: Callable[..., schema.Config],
                                   weights: Sequence[float]) -> None:
    """One step over all four pairs reports the loss before it: that of full logits."""
    config = configured()
    adapter = start(config)
    found = train(config, pairs(weights), adapter)
    selector = open_selector(config)
    selector.slot.write(adapter)
    assert found.metrics["train_loss"] == pytest.approx(by_hand(selector, pairs(weights)).item(),
                                                        abs=1e-5)
    assert found.examples == 4 and found.metrics["steps"] == 1


@pytest.mark.parametrize("weights", [(1, 1, 1, 1), (1, 2, 0.5, 4)])
def test_one_sgd_step_by_hand(configured: Callable[..., schema.Config],
                              weights: Sequence[float]) -> None:
    """Plain SGD without clipping: new = old - rate x gradient of the loss above."""
    config = configured("objective.optimizer=sgd", "objective.learning_rate=0.1",
                        "objective.max_grad_norm=1e9")
    adapter = start(config)
    found = train(config, pairs(weights), adapter)
    selector = open_selector(config)
    selector.slot.write(adapter)
    gradient = torch.autograd.grad(by_hand(selector, pairs(weights)), selector.slot.parameters)
    flat = torch.cat([g.flatten() for g in gradient]).numpy()
    np.testing.assert_allclose(found.adapter, adapter - 0.1 * flat, rtol=0, atol=1e-6)
    assert np.abs(flat).max() > 1e-2


def test_the_gradient_is_clipped(configured: Callable[..., schema.Config]) -> None:
    """A bound of 0.01 on the gradient's norm: one SGD step at rate 1 moves by exactly that."""
    config = configured("objective.optimizer=sgd", "objective.learning_rate=1",
                        "objective.max_grad_norm=0.01")
    adapter = start(config)
    moved = train(config, pairs(), adapter).adapter - adapter
    assert np.linalg.norm(moved) == pytest.approx(0.01, rel=1e-3)


def test_the_proximal_term_by_hand(configured: Callable[..., schema.Config]) -> None:
    """Two SGD steps at rate r on one pair. The first starts at w0, where mu (w - w0) is 0: w1 is
    the same for any mu. The second moves by -r (g(w1) + mu (w1 - w0)), so that two runs differ by
    r mu (w1 - w0).
    """
    settings = ["objective.optimizer=sgd", "objective.learning_rate=0.1",
                "objective.max_grad_norm=1e9", "objective.batch_size=1"]
    config, given = configured(*settings), pairs()[:1]
    adapter = start(config)
    first = train(config, given, adapter, mu=3.0).adapter
    np.testing.assert_array_equal(first, train(config, given, adapter).adapter)
    two = configured(*settings, "objective.local_steps=2")
    without, pulled = (train(two, given, adapter, mu=mu).adapter for mu in (0.0, 3.0))
    np.testing.assert_allclose(without - pulled, 0.1 * 3.0 * (first - adapter), rtol=0, atol=1e-6)


@pytest.mark.parametrize("tokens", [16, 60, 150])
def test_micro_batches_change_nothing(configured: Callable[..., schema.Config],
                                      tokens: int) -> None:
    """One sequence a forward pass, a few, or all eight: the same step."""
    whole = configured("objective.optimizer=sgd", "selector.tokens_per_forward=100000")
    adapter = start(whole)
    parts = configured("objective.optimizer=sgd", f"selector.tokens_per_forward={tokens}")
    weighted = pairs((1, 2, 0.5, 4))
    one, other = train(whole, weighted, adapter), train(parts, weighted, adapter)
    np.testing.assert_allclose(one.adapter, other.adapter, rtol=0, atol=1e-6)
    assert one.metrics["train_loss"] == pytest.approx(other.metrics["train_loss"], abs=1e-6)


def test_a_weight_is_a_repetition(configured: Callable[..., schema.Config]) -> None:
    """One step over a pair of weight 2 and one of weight 1 is one over three pairs, two equal."""
    one, other = pairs((2, 1, 1, 1))[:2]
    plain = pairs()
    config = configured("objective.optimizer=sgd", "objective.batch_size=2")
    adapter = start(config)
    weighted = train(config, [one, other], adapter)
    repeated = train(configured("objective.optimizer=sgd", "objective.batch_size=3"),
                     [plain[0], plain[0], plain[1]], adapter)
    np.testing.assert_allclose(weighted.adapter, repeated.adapter, rtol=0, atol=1e-6)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "rmsprop"])
def test_training_repeats_bit_for_bit(configured: Callable[..., schema.Config],
                                      optimizer: str) -> None:
    """Same seed, same bits, dropout included and whatever was drawn in between; another differs."""
    config = configured(f"objective.optimizer={optimizer}", "objective.local_steps=3",
                        "objective.batch_size=2", "selector.adapter.dropout=0.2")
    adapter = start(config)
    found = train(config, pairs(), adapter, seed=1)
    torch.manual_seed(99)
    torch.rand(5)
    assert train(config, pairs(), adapter, seed=1).adapter.tobytes() == found.adapter.tobytes()
    assert train(config, pairs(), adapter, seed=2).adapter.tobytes() != found.adapter.tobytes()
    assert found.metrics["steps"] == 3


def test_training_leaves_the_random_state_alone(configured: Callable[..., schema.Config]) -> None:
    """A client in the server's process must not decide what the server draws next."""
    config = configured("selector.adapter.dropout=0.2")
    adapter = start(config)
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    train(config, pairs(), adapter)
    torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)


def test_ties_are_never_trained_on(configured: Callable[..., schema.Config]) -> None:
    """Two ties among the pairs change neither the result nor the count nor the loss."""
    config = configured("objective.local_steps=2")
    adapter = start(config)
    ties = [PreferencePair("Which?", f"Text {i}", "Other", "anna", "made", tie=True)
            for i in range(2)]
    found = train(config, [ties[0], *pairs(), ties[1]], adapter)
    assert found.adapter.tobytes() == train(config, pairs(), adapter).adapter.tobytes()
    assert found.examples == 4
    objective: Choice = build(config.objective, "objective")
    np.testing.assert_array_equal(objective.losses(config, [*ties, *pairs()], [adapter]),
                                  objective.losses(config, pairs(), [adapter]))


def test_losses_by_hand(configured: Callable[..., schema.Config]) -> None:
    """Each adapter's mean cross-entropy; NaN where there is nothing to measure."""
    config = configured()
    objective: Choice = build(config.objective, "objective")
    adapters = [start(config), 0.5 * start(config)]
    found = objective.losses(config, pairs(), adapters)
    selector = open_selector(config)
    for loss, adapter in zip(found, adapters, strict=True):
        selector.slot.write(adapter)
        with torch.no_grad():
            assert loss == pytest.approx(by_hand(selector, pairs()).item(), abs=1e-5)
    assert found[0] != found[1]
    assert np.isnan(objective.losses(config, [], adapters)).all()


def test_untouched_losses_are_equal_for_all(configured: Callable[..., schema.Config]) -> None:
    """Fresh selectors (B = 0) leave the model unchanged: all have its loss, whatever their seed."""
    config = configured()
    slot = open_selector(config).slot
    objective: Choice = build(config.objective, "objective")
    losses = objective.losses(config, pairs(), [slot.initial(seed) for seed in range(3)])
    assert losses[0] == losses[1] == losses[2]


def test_pairs_that_do_not_fit_are_counted(configured: Callable[..., schema.Config]) -> None:
    """A completion longer than max_tokens is left out; a long prompt is cut."""
    config = configured()
    more = [PreferencePair("q", "word " * 300, "No.", "anna", "made"),
            PreferencePair("word " * 300, "Yes.", "No.", "anna", "made")]
    found = train(config, [*pairs(), *more], start(config))
    assert found.examples == 5
    assert (found.metrics["left_out_pairs"], found.metrics["cut_pairs"]) == (1, 1)


@pytest.mark.parametrize("given", [
    [], [PreferencePair("q", "a", "b", "anna", "made", tie=True)],
    [PreferencePair("q", "word " * 300, "b", "anna", "made")]])
def test_nothing_to_train_on(configured: Callable[..., schema.Config],
                             given: list[PreferencePair]) -> None:
    """The message says what may be the cause, with the value to change."""
    config = configured()
    with pytest.raises(RunFailed, match="no pair that can be trained on.*selector.max_tokens=128"):
        train(config, given, start(config))


def test_a_loss_that_is_no_number_stops(configured: Callable[..., schema.Config]) -> None:
    """The message names the key to lower and its value."""
    config = configured("objective.learning_rate=0.002")
    with pytest.raises(RunFailed, match=r"became nan; lower objective.learning_rate \(now 0.002\)"):
        train(config, pairs(), np.full_like(start(config), np.inf))


def test_epochs_decide_where_steps_do_not(configured: Callable[..., schema.Config]) -> None:
    """Two epochs of four pairs in steps of three: ceil(4 / 3) = 2 steps each, 4 in all."""
    config = configured("objective.local_steps=null", "objective.local_epochs=2",
                        "objective.batch_size=3")
    assert train(config, pairs(), start(config)).metrics["steps"] == 4


@pytest.mark.parametrize(("setting", "message"), [
    ("optimizer=adam", "objective.optimizer must be one of adamw, sgd, rmsprop, got 'adam'"),
    ("learning_rate=0", "objective.learning_rate must be greater than 0, got 0"),
    ("max_grad_norm=-1", "objective.max_grad_norm must be greater than 0, got -1"),
    ("batch_size=0", "objective.batch_size must be greater than 0, got 0"),
    ("local_epochs=0", "objective.local_epochs must be greater than 0, got 0"),
    ("local_steps=0", "objective.local_steps must be at least 1, got 0"),
])
def test_wrong_settings(setting: str, message: str) -> None:
    """The message names the key and the value."""
    with pytest.raises(ConfigError, match=message):
        build(load(f"objective.{setting}").objective, "objective")


def test_a_strong_taste_is_learnt(fresh_bases: Callable[[], None]) -> None:
    """A student who always prefers the longer answer: 40 steps on the embedded tutor lower the
    loss of pairs that were held out well below ln 2, at which every pair is a coin toss.
    """
    config = load("runtime.autocast=off objective.local_steps=40 objective.batch_size=8")
    answers = [f"{n} of {n + 3} are found" for n in range(12)]
    made = [PreferencePair(f"What does {word} mean?", f"{text}. For example, {text}.", f"{text}.",
                           "anna", "made")
            for word in ("recall", "precision", "variance", "a median") for text in answers]
    training, held_out = made[::2], made[1::2]
    slot = open_selector(config).slot
    objective: Choice = build(config.objective, "objective")
    before = slot.initial(0)
    result = train(config, training, before)
    losses = objective.losses(config, held_out, [before, result.adapter])
    assert losses[1] < 0.3 and losses[1] < losses[0] / 2
