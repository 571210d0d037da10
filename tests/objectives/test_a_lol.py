"""A-LoL beside its formula: advantages by hand, the loss from whole log-probabilities."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from online_cases import adapter, gradient, opened

from fedrlhf.config import schema
from fedrlhf.objectives.a_lol import advantages, encode_scored
from fedrlhf.objectives.base import LocalTask
from fedrlhf.types import Preference, PreferencePair, Rating

Composer = Callable[..., schema.Config]


def stored() -> list[Preference]:
    """Return a pair, three ratings of one prompt, one of another and a tie."""
    def rating(prompt: str, text: str, value: float, weight: float = 1.0) -> Rating:
        return Rating(prompt, text, value, client_id="anna", source="made", weight=weight)

    return [PreferencePair("Recall?", "A share of positives.", "No.", client_id="anna",
                           source="made", weight=2.0),
            rating("A mean?", "A sum over n.", 0.9), rating("A mean?", "Perhaps.", 0.1),
            rating("A mean?", "All added and divided by how many.", 0.8, 0.5),
            rating("Is p small?", "Yes: 0.01.", 0.95), rating("Overfitting?", "Hm.", 0.5)]


def test_advantages_by_hand() -> None:
    """A prompt with two or more has its own mean, a lone one the mean of all; ties do not count.

    "A mean?": (0.9 + 0.1 + 0.5 * 0.8) / 2.5 = 0.56. All: (2 * 1 + 2 * 0 + 1.4 + 0.95) / 7.5 = 0.58.
    """
    rows = [("Recall?", "a", 1.0, 2.0), ("Recall?", "b", 0.0, 2.0), ("A mean?", "c", 0.9, 1.0),
            ("A mean?", "d", 0.1, 1.0), ("A mean?", "e", 0.8, 0.5), ("Is p small?", "f", 0.95, 1.0)]
    assert advantages(rows) == pytest.approx([0.5, -0.5, 0.34, -0.46, 0.24, 0.37])
    assert advantages([]) == []


def test_what_is_learned_from(composed: Composer) -> None:
    """Only what is better than V(x), with its weight."""
    _, policy = opened(composed("objective=a_lol", "objective.max_length=128"))
    scored, left_out = encode_scored(policy, stored())
    assert [(one.advantage, one.weight) for one in scored] == [
        (pytest.approx(0.5), 2.0), (pytest.approx(0.34), 1.0), (pytest.approx(0.24), 0.5),
        (pytest.approx(0.37), 1.0)]
    assert left_out == 0


@pytest.mark.parametrize("budget", [4096, 16])
@pytest.mark.parametrize("variant", ["sequence", "token", "reference_free"])
def test_the_formula(composed: Composer, variant: str, budget: int) -> None:
    """Loss and gradient of -sum of w A clamp(pi / pi_ref) log pi over the sum of w.

    The log-probabilities come from the whole logits, each sequence alone; the ratio is a constant
    to the gradient. The adapter is large enough that some ratios are clamped and some are not.
    """
    objective, policy = opened(composed(
        "objective=a_lol", f"objective.variant={variant}", "objective.max_length=128",
        f"selector.tokens_per_forward={budget}"))
    policy.slot.write(adapter(policy, 0, 0.03))
    prepared = objective.prepare(policy, stored())
    loss = prepared.backward([0, 1, 2, 3])
    own = gradient(policy)
    scored, _ = encode_scored(policy, stored())
    total: Any = 0.0
    clamped = Counter()  # type: ignore[var-annotated]
    for one in scored:
        now = literal(policy, one.written)
        with policy.slot.model.disable_adapter(), torch.no_grad():
            start = literal(policy, one.written)
        for parameter in policy.slot.parameters:
            parameter.requires_grad_(True)
        log_ratios = (now - start).detach()
        ratio = {"sequence": log_ratios.sum().exp(), "token": log_ratios.exp(),
                 "reference_free": torch.ones(())}[variant]
        held = ratio.clamp(0.1, 1.9)
        clamped.update((held == ratio).flatten().tolist())
        total = total - one.weight * one.advantage * (held * now).sum() / 4.5
    total.backward()
    assert loss == pytest.approx(total.item(), rel=1e-4)
    theirs = gradient(policy)
    np.testing.assert_allclose(own, theirs, atol=1e-4 * np.abs(theirs).max())
    assert clamped[True] and (variant != "sequence" or clamped[False])


def literal(policy: Any, written: Any) -> torch.Tensor:
    """Return log p of each token of the completion from the whole logits."""
    logits = policy.base.model(torch.tensor([written.prompt + written.completion])).logits[0]
    tokens = torch.tensor(written.completion)
    places = torch.arange(len(tokens)) + len(written.prompt) - 1
    return torch.log_softmax(logits, 1)[places, tokens]


def test_steps_draw_in_proportion_to_advantage(composed: Composer) -> None:
    """Of 4000 draws each example's share is its advantage's share; else epochs treat all alike.

    The largest standard error is sqrt(0.35 * 0.65 / 4000) = 0.0075; four of them are allowed.
    """
    more = ("objective=a_lol", "objective.max_length=128", "objective.local_steps=1000",
            "objective.batch_size=4")
    for prioritised in (True, False):
        objective, policy = opened(composed(*more, f"objective.prioritised={prioritised}"))
        prepared = objective.prepare(policy, stored())
        counts = Counter(i for batch in objective.batches(prepared, 3) for i in batch)
        wanted = np.array([0.5, 0.34, 0.24, 0.37]) / 1.45 if prioritised else np.full(4, 0.25)
        found = np.array([counts[i] for i in range(4)]) / 4000
        np.testing.assert_allclose(found, wanted, atol=0.03 if prioritised else 0)


def test_training_learns_what_was_better(composed: Composer) -> None:
    """Thirty steps make the better completions likelier; the worse ones are not imitated."""
    config = composed("objective=a_lol", "objective.max_length=128", "objective.local_steps=30",
                      "objective.learning_rate=1e-2", "objective.batch_size=4")
    objective, policy = opened(config)
    fresh = policy.slot.initial(0)
    trained = objective.train(config, stored(), LocalTask(fresh, seed=0)).adapter
    before, after = objective.losses(config, stored(), [fresh, trained])
    assert after < 0.6 * before
    worse = [policy.encode("Recall?", "No."), policy.encode("Recall?", "A share of positives.")]
    policy.slot.write(trained)
    ratios = policy.log_ratios(worse)
    assert ratios[1] > ratios[0]
    assert np.isnan(objective.losses(config, [], [fresh])).all()
