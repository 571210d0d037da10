"""Variational preference learning: divergence, annealing, and the latent tells people apart."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from fedrlhf.models.runtime import seeded
from fedrlhf.selectors.variational import VariationalReward, divergence, kl_weight, on_sphere


def test_the_divergence_is_torchs() -> None:
    """KL(N(mu, sigma^2) || N(0, 1)), summed over dimensions."""
    mean, log_variance = torch.tensor([0.3, -1.0]), torch.tensor([0.5, -0.7])
    expected = kl_divergence(Normal(mean, (0.5 * log_variance).exp()), Normal(0.0, 1.0)).sum()
    assert divergence(mean, log_variance).item() == pytest.approx(expected.item(), rel=1e-6)
    assert divergence(torch.zeros(3), torch.zeros(3)).item() == 0.0


def test_the_weight_rises_and_starts_again() -> None:
    """(1 - cos(pi t/4))/2 for t = 0, 1, 2, 3, 0: 0, 0.146, 0.5, 0.854, 0."""
    found = [kl_weight(2.0, 4, server_round) / 2 for server_round in range(1, 6)]
    np.testing.assert_allclose(found, [0, 0.1464466, 0.5, 0.8535534, 0], atol=1e-7)


def test_a_latent_has_the_length_of_a_draw() -> None:
    """Scaled to sqrt(Z)."""
    assert on_sphere(torch.tensor([3.0, 0.0, 4.0])).norm().item() == pytest.approx(math.sqrt(3))


def test_the_encoder_reads_a_set() -> None:
    """Shuffled context pairs give the same posterior, swapped ones (other tastes) another."""
    with seeded(0):
        network = VariationalReward(4, latent=3, width=8)
        pairs = torch.randn(5, 2, 4)
    mean, log_variance = network.encode(pairs)
    again = network.encode(pairs.flip(0))
    torch.testing.assert_close(mean, again[0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(log_variance, again[1], rtol=1e-5, atol=1e-6)
    assert (mean - network.encode(pairs.flip(1))[0]).abs().max() > 1e-3
    assert log_variance.abs().max() <= 1
