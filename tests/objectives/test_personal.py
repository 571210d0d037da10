"""Personal models on a quadratic, where every number has a closed form.

The toy adapter has two tensors, ``shared`` (2 values) and ``own`` (3). A client's loss is
h/2 |w - b|^2 with h = 2, where b is the mean of its preferences' points; a step of SGD with rate
eta moves w to b + (1 - eta h)(w - b).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from fedrlhf.config import build, load
from fedrlhf.errors import ConfigError
from fedrlhf.models.adapters import AdapterSlot, Layout
from fedrlhf.objectives.base import LocalResult, LocalSteps, LocalTask, Objective
from fedrlhf.objectives.personal import (
    Ditto,
    FedPer,
    Reconstruction,
    Shared,
    frozen,
    split_prompts,
)
from fedrlhf.types import Preference, PreferencePair

H, RATE, STEPS = 2.0, 0.1, 5
KEPT = (1 - RATE * H) ** STEPS  # the part of the way to b that is left after the steps
OWN = slice(2, 5)
CONFIG = load("experiment=smoke")


class ToySlot(AdapterSlot):
    """An adapter of two tensors without a model around it."""

    def __init__(self) -> None:
        self.model = nn.Module()  # type: ignore[assignment]
        self.parameters = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(3))]
        self.layout = Layout(("shared", "own"), ((2,), (3,)))


SLOT = ToySlot()


@dataclass(kw_only=True)
class Quadratic(Objective):
    """Steps towards the mean of the points; it counts its rounds in what it keeps."""

    optimizer: str = "sgd"
    learning_rate: float = RATE
    betas: Any = (0.9, 0.99)
    weight_decay: float = 0.0
    max_grad_norm: float = 1e9
    local_steps: int | None = STEPS
    local_epochs: int = 1
    batch_size: int = 1

    def open(self, config: object, reference: object = None) -> Any:
        """Return the toy's slot as a judge's."""
        return SimpleNamespace(slot=SLOT)

    def train(self, config: object, preferences: Sequence[Preference],
              task: LocalTask) -> LocalResult:
        """Take the steps, on the sum of squares of what is trained."""
        target = torch.from_numpy(mean(preferences)).split([2, 3])
        steps = LocalSteps(self, SLOT, task)

        def backward() -> float:
            loss = sum(H / 2 * (p - t).square().sum()
                       for p, t in zip(SLOT.parameters, target, strict=True))
            loss.backward()  # type: ignore[union-attr]
            return float(loss.detach())  # type: ignore[union-attr]

        losses = [steps.step(backward) for _ in range(self.local_steps or 0)]
        count = task.private.get("rounds", np.zeros(1, np.float32)) + 1
        return LocalResult(SLOT.read(), len(preferences), {"train_loss": losses[0]},
                           {"rounds": count})


def point(*values: float, prompt: str = "p") -> PreferencePair:
    """Return a preference that stands for a point."""
    return PreferencePair(prompt, json.dumps(values), "", "anna", "toy")


def mean(preferences: Sequence[Preference]) -> np.ndarray:
    """Return the mean of the preferences' points."""
    return np.mean([json.loads(one.chosen) for one in preferences], 0).astype(np.float32)  # type: ignore[union-attr]


ANNA = [point(1, 2, 3, 4, 5)]
B = mean(ANNA)
W = np.array([0.5, -1, 2, 0, 1], np.float32)


def after(start: np.ndarray, target: np.ndarray = B, kept: float = KEPT) -> np.ndarray:
    """Return where the steps end."""
    return target + kept * (start - target)


def close(left: np.ndarray, right: np.ndarray) -> None:
    """Compare up to float32's rounding."""
    np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-6)


def run(personal: Shared, adapter: np.ndarray = W, preferences: Sequence[Preference] = ANNA,
        objective: Objective | None = None, **task: Any) -> LocalResult:
    """Train one round."""
    return personal.train(objective or Quadratic(), CONFIG, preferences,
                          LocalTask(adapter, 0, **task))


def used(personal: Shared, adapter: np.ndarray = W, preferences: Sequence[Preference] = ANNA,
         **task: Any) -> np.ndarray:
    """Return the client's personal adapter."""
    return personal.adapter(Quadratic(), CONFIG, preferences, LocalTask(adapter, 0, **task))


# --------------------------------------------------------------------------------------- FedPer


def test_fedper_keeps_its_own_entries() -> None:
    """Two rounds: shared entries go from what is sent, own ones from where they were left.

    What is returned holds at the own entries the bytes that were sent; after two rounds the own
    ones are at b + kept^2 (w - b).
    """
    kind = FedPer(entries="own")
    first = run(kind)
    assert first.adapter[OWN].tobytes() == W[OWN].tobytes()
    close(first.adapter[:2], after(W)[:2])
    sent = W + np.array([3, 3, 0, 0, 0], np.float32)  # the server changed what is shared
    second = run(kind, sent, private=first.private)
    assert second.adapter[OWN].tobytes() == W[OWN].tobytes()
    close(second.adapter[:2], after(sent)[:2])
    worn = used(kind, sent, private=second.private)
    close(worn[OWN], after(W, kept=KEPT**2)[OWN])
    assert worn[:2].tobytes() == sent[:2].tobytes()
    assert second.private["rounds"] == 2


def test_fedper_before_its_first_round() -> None:
    """A client that never trained uses the server's values."""
    assert used(FedPer(entries="own")).tobytes() == W.tobytes()


@pytest.mark.parametrize("entries", ["nothing", ".", "shared|own"])
def test_some_entries_are_personal_and_some_shared(entries: str) -> None:
    """A pattern that finds no tensor or all is refused, with names of tensors."""
    with pytest.raises(ConfigError, match=r"of the adapter's 2 tensors.*from shared to own"):
        FedPer(entries=entries).check(SLOT.layout)
    FedPer(entries="^own$").check(SLOT.layout)


# ---------------------------------------------------------------------------------------- Ditto


def ditto(mu: float, **more: Any) -> Ditto:
    """Return Ditto with a pull."""
    return Ditto(**{"mu": mu, "learning_rate": None, "local_steps": None, **more})


@pytest.mark.parametrize("mu", [0.0, 0.5, 3.0])
def test_ditto_has_the_closed_form(mu: float) -> None:
    """v ends at v* + (1 - eta (h + mu))^n (v0 - v*) with v* = (h b + mu w)/(h + mu).

    The gradient of h/2 |v - b|^2 + mu/2 |v - w|^2 is (h + mu)(v - v*). In the second round the
    server sends another w; v starts where it was left. The reply is that of no personal model.
    """
    left = (1 - RATE * (H + mu)) ** STEPS
    v, private = W, {}
    for sent in (W, W + 1):
        result = run(ditto(mu), sent, private=private)
        v = after(v, (H * B + mu * sent) / (H + mu), left)
        private = dict(result.private)
        close(used(ditto(mu), sent, private=private), v)
        assert result.adapter.tobytes() == run(Shared(), sent).adapter.tobytes()
    assert result.private["rounds"] == 2  # of the shared model, beside that of its own
    assert result.private["personal.objective.rounds"] == 2


def test_ditto_without_pull_is_local_training() -> None:
    """With mu = 0 and the same start, v is bit for bit what training makes of w."""
    result = run(ditto(0.0))
    assert used(ditto(0.0), private=result.private).tobytes() == result.adapter.tobytes()


def test_ditto_with_a_huge_pull_is_the_shared_model() -> None:
    """With mu = 1e4 and eta = 1/(h + mu), one step ends at v* = w + h/(h + mu) (b - w)."""
    kind = ditto(1e4, learning_rate=1 / (H + 1e4), local_steps=1)
    result = run(kind, private={"personal.model": B})
    np.testing.assert_allclose(used(kind, private=result.private), W, atol=2e-3)


def test_ditto_before_its_first_round() -> None:
    """A client that never trained uses the shared model."""
    assert used(ditto(1.0)).tobytes() == W.tobytes()


# ------------------------------------------------------------------------------- Reconstruction


PROMPTS = [point(*range(i, i + 5), prompt=f"question {i}") for i in range(4)]


def reconstruction(**more: Any) -> Reconstruction:
    """Return the reconstruction of ``own`` on half of the prompts, with twice the rate."""
    return Reconstruction(**{"entries": "own", "support": 0.5, "learning_rate": 2 * RATE,
                             "local_steps": None, **more})


def test_reconstruction_in_two_parts() -> None:
    """Own entries go to the support's mean with the shared frozen, then the others to the query's.

    The reply weighs the query's examples, holds the bytes that were sent at the own entries and
    keeps nothing; used is the shared adapter with the rebuilt entries.
    """
    support, query = split_prompts(PROMPTS, 0.5, CONFIG.run.seed)
    result = run(reconstruction(), preferences=PROMPTS)
    close(result.adapter[:2], after(W, mean(query))[:2])
    assert result.adapter[OWN].tobytes() == W[OWN].tobytes()
    assert result.examples == len(query) == 2 and result.private == {}
    rebuilt = used(reconstruction(), preferences=PROMPTS)
    close(rebuilt[OWN], after(W, mean(support), (1 - 2 * RATE * H) ** STEPS)[OWN])
    assert rebuilt[:2].tobytes() == W[:2].tobytes()


def test_reconstruction_has_no_memory() -> None:
    """A client's result is the same bits whether or not it took part before."""
    first = run(reconstruction(), preferences=PROMPTS)
    fresh = run(reconstruction(), preferences=PROMPTS, adapter=first.adapter)
    again = run(reconstruction(), preferences=PROMPTS, adapter=first.adapter,
                private={"rounds": np.ones(1), "personal.model": np.ones(3)})
    assert fresh.adapter.tobytes() == again.adapter.tobytes()
    assert fresh.metrics == again.metrics


def test_reconstruction_without_data() -> None:
    """A client without any preference uses the server's values."""
    assert used(reconstruction(), preferences=[]).tobytes() == W.tobytes()


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_prompts_are_in_one_part(share: float) -> None:
    """All pairs of a prompt are together, no part is empty, and every call divides alike."""
    many = PROMPTS + [replace(one, rejected="another") for one in PROMPTS]
    support, query = split_prompts(many, share, 7)
    assert sorted(map(str, support + query)) == sorted(map(str, many))
    assert not {one.prompt for one in support} & {one.prompt for one in query}
    assert len({str(one.prompt) for one in support}) == min(max(1, round(4 * share)), 3)
    assert split_prompts(many[::-1], share, 7)[0] == support[::-1]
    assert split_prompts(ANNA, share, 7) == (ANNA, ANNA)


# -------------------------------------------------------------------------------------- freezing


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "rmsprop"])
def test_frozen_entries_stand_still(optimizer: str) -> None:
    """Neither a gradient of before, weight decay nor FedProx's pull moves a bit of them."""
    objective = Quadratic(optimizer=optimizer, weight_decay=0.5)
    objective.train(CONFIG, ANNA, LocalTask(W, 0))  # leaves gradients behind
    with frozen(SLOT, [False, True]):
        found = objective.train(CONFIG, ANNA, LocalTask(W, 0, proximal_mu=1.0, anchor=W + 1))
    assert found.adapter[OWN].tobytes() == W[OWN].tobytes()
    assert (found.adapter[:2] != W[:2]).all()
    assert all(parameter.requires_grad for parameter in SLOT.parameters)


# ------------------------------------------------------------------------------------ configuration


@pytest.mark.parametrize(("words", "message"), [
    ("personal=fedper \"personal.entries='['\"", "personal.entries must be a regular expression"),
    ("personal=ditto personal.mu=-1", "personal.mu must be at least 0, got -1"),
    ("personal=ditto personal.learning_rate=0", "personal.learning_rate must be greater than 0"),
    ("personal=ditto personal.local_steps=0", "personal.local_steps must be at least 1"),
    ("personal=reconstruction personal.entries=x personal.support=1",
     "personal.support must lie between 0 and 1, got 1"),
    ("personal=fedper", "personal.entries must be set"),
    ("personal=fedper personal.entries=x personal.mu=1", "there is no key 'personal.mu'"),
])
def test_refused_settings(words: str, message: str) -> None:
    """Each message names the key and the value."""
    with pytest.raises(ConfigError, match=message):
        build(load(words).personal, "personal")
