"""The preference predictor: its loss against a literal computation, and who sees whom."""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import norm

from fedrlhf.models.runtime import seeded
from fedrlhf.models.slot import NetworkSlot
from fedrlhf.selectors.predictor import (
    LOG_STD,
    Embedded,
    PreferencePredictor,
    padded,
    predicted_shares,
    predictor_loss,
)
from fedrlhf.selectors.tasks import draw_tasks, with_others

D = 6
CPU = torch.device("cpu")


@pytest.fixture
def network() -> PreferencePredictor:
    """Return a small predictor with weights that are not tiny."""
    with seeded(3):
        made = PreferencePredictor(D, width=8, feed_forward=12, heads=2, layers=2, depth=3)
        for parameter in made.parameters():
            torch.nn.init.normal_(parameter, std=0.4)
    return made


def questions(options: list[int], seed: int = 0, person: str = "ann") -> list[Embedded]:
    """Return questions with so many options each."""
    rng = np.random.default_rng(seed)
    return [Embedded(person, rng.normal(size=(count, D)).astype(np.float32),
                     rng.dirichlet(np.ones(count)).astype(np.float32)) for count in options]


def test_the_loss_is_that_of_the_formula(network: PreferencePredictor) -> None:
    """- mean log N(y; softmax over a question's options of the mean, exp(log std)), by numpy.

    Two tasks with questions of 2 to 4 options; the network's numbers are read for each question on
    its own, and scipy does the rest.
    """
    tasks = [(questions([3, 2], 1), questions([4, 2], 2)), (questions([2], 3), questions([3], 4))]
    expected = []
    for context, targets in tasks:
        for target in targets:
            mean, log_std = network(padded([(context, [target])], CPU))
            row = slice(0, len(target.shares))
            share = softmax(mean[0, len(context), row].detach().numpy())
            std = np.exp(log_std[0, len(context), row].detach().numpy())
            expected += list(-norm.logpdf(target.shares, share, std))
    found = predictor_loss(network, padded(tasks, CPU))
    assert found.item() == pytest.approx(np.mean(expected), rel=1e-5)
    assert len(expected) == 9  # padding does not count


def test_attention_is_the_formula(network: PreferencePredictor) -> None:
    """The whole network in numpy: perceptron, two post-norm layers over context keys, head."""
    context, targets = questions([2, 3], 5), questions([2], 6)
    mean, log_std = network(padded([(context, targets)], CPU))
    w = {name: p.detach().numpy().astype(np.float64) for name, p in network.named_parameters()}

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        return np.asarray(x @ w[f"{name}.weight"].T + w[f"{name}.bias"])

    def normed(x: np.ndarray, name: str) -> np.ndarray:
        x = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5)
        return np.asarray(x * w[f"{name}.weight"] + w[f"{name}.bias"])

    known = np.concatenate([*(q.shares for q in context), np.zeros(2)])
    x = np.column_stack([np.concatenate([q.vectors for q in (*context, *targets)]), known])
    for layer in (0, 2, 4):
        x = linear(np.maximum(x, 0) if layer else x, f"embed.{layer}")
    for layer in (0, 1):
        name = f"attend.layers.{layer}"
        queries, keys, values = np.split(
            x @ w[f"{name}.self_attn.in_proj_weight"].T + w[f"{name}.self_attn.in_proj_bias"], 3, 1)
        heads = [softmax(queries[:, h] @ keys[:5, h].T / 2.0, axis=1) @ values[:5, h]
                 for h in (slice(0, 4), slice(4, 8))]  # 5 context points, head size 4
        x = normed(x + linear(np.column_stack(heads), f"{name}.self_attn.out_proj"),
                   f"{name}.norm1")
        x = normed(x + linear(np.maximum(linear(x, f"{name}.linear1"), 0), f"{name}.linear2"),
                   f"{name}.norm2")
    out = linear(np.maximum(linear(x, "head.0"), 0), "head.2")[5:]
    np.testing.assert_allclose(mean[0, 2, :2].detach(), out[:, 0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(log_std[0, 2, :2].detach(), np.clip(out[:, 1], *LOG_STD),
                               rtol=1e-4, atol=1e-5)


def test_the_order_of_the_context_says_nothing(network: PreferencePredictor) -> None:
    """No positional encoding: shuffled context questions give the same prediction."""
    context, targets = questions([2, 3, 4, 2], 7), questions([3], 8)
    one = network(padded([(context, targets)], CPU))[0][0, 4]
    other = network(padded([(context[::-1], targets)], CPU))[0][0, 4]
    torch.testing.assert_close(one[:3], other[:3], rtol=1e-5, atol=1e-6)


def test_targets_see_neither_each_other_nor_their_own_share(network: PreferencePredictor) -> None:
    """Other targets, other shares of the targets and padding change nothing."""
    context, targets = questions([2, 3], 9), questions([3, 4], 10)
    alone = network(padded([(context, targets[:1])], CPU))[0][0, 2, :3]
    hidden = [Embedded(q.person, q.vectors, np.zeros_like(q.shares)) for q in targets]
    beside = network(padded([(context, hidden), (questions([4] * 6, 11), targets)], CPU))[0]
    torch.testing.assert_close(alone, beside[0, 2, :3], rtol=1e-5, atol=1e-6)


def test_a_prediction_is_made_of_the_answers(network: PreferencePredictor) -> None:
    """Other shares of the context change it."""
    context, targets = questions([2, 3], 9), questions([3], 10)
    flipped = [Embedded(q.person, q.vectors, q.shares[::-1].copy()) for q in context]
    one, other = (predicted_shares(network(tasks)[0], tasks.valid)[0, 2, :3] for tasks in (
        padded([(given, targets)], CPU) for given in (context, flipped)))
    assert one.sum().item() == pytest.approx(1.0, abs=1e-6)
    assert (one - other).abs().max() > 1e-5


def test_tasks_never_ask_for_what_they_tell() -> None:
    """Each target is asked for given other questions of its own person, and context sizes hold."""
    every = questions([2] * 9, 12, "ann") + questions([2] * 4, 13, "bob")
    with seeded(0):
        for _ in range(20):
            for context, targets in draw_tasks(every, [0, 1, 2, 9, 10, 11, 12], (2, 3)):
                assert targets
                assert 2 <= len(context) <= 3
                assert not {id(q) for q in context} & {id(q) for q in targets}
                assert len({q.person for q in (*context, *targets)}) == 1
    assert with_others([*questions([2], 1, "eve"), *every]) == every


def test_a_network_is_a_vector(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The slot writes, reads, saves and loads the same values; a seed gives the same start."""
    slot = NetworkSlot(lambda: PreferencePredictor(D, 8, 8, 2, 1, 2), {"kind": "predictor"})
    fresh = slot.initial(5)
    assert fresh.dtype == np.float32
    assert fresh.shape == (slot.layout.size,)
    np.testing.assert_array_equal(fresh, slot.initial(5))
    assert (fresh != slot.initial(6)).any()
    assert (slot.read() != fresh).any()  # the active one stays
    slot.write(fresh)
    np.testing.assert_array_equal(slot.read(), fresh)
    folder = tmp_path_factory.mktemp("slot")
    slot.save(fresh, folder)
    np.testing.assert_array_equal(slot.load(folder), fresh)
