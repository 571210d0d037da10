"""A reward model with a latent variable of the person: variational preference learning.

VPL (Poddar et al., 2024), after its published code. Shapes: T tasks, N context pairs, D embedding
size, Z latent size.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from fedrlhf.models.slot import NetworkSlot
from fedrlhf.selectors.embeddings import Embedder
from fedrlhf.selectors.in_context import InContextJudge
from fedrlhf.selectors.predictor import Embedded
from fedrlhf.selectors.questions import Question, comparisons_of
from fedrlhf.types import Preference

LOG_VARIANCE = (-1.0, 1.0)


class VariationalReward(nn.Module):
    """Encodes a person's comparisons into a latent z and scores completions given z.

    The encoder reads each context pair [e_chosen, e_rejected], lets the pairs attend to each other
    and averages them: the posterior N(mu, sigma^2). The decoder is r([e, z]).

    Args:
        size: D.
        latent: Z.
        width: Hidden units.
    """

    def __init__(self, size: int, latent: int, width: int) -> None:
        super().__init__()
        self.pair = nn.Sequential(nn.Linear(2 * size, width), nn.ReLU(), nn.Linear(width, width))
        self.attend = nn.MultiheadAttention(width, 1, batch_first=True)
        self.posterior = nn.Linear(width, 2 * latent)
        self.decoder = nn.Sequential(
            nn.Linear(size + latent, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(),
            nn.Linear(width, 1))

    def encode(self, pairs: Tensor) -> tuple[Tensor, Tensor]:
        """Return mu and log sigma^2, shape (Z,), of context pairs [chosen, rejected], (N, 2, D)."""
        read = self.pair(pairs.flatten(1))
        found, _ = self.attend(read, read, read, need_weights=False)
        mean, log_variance = self.posterior(found.mean(dim=0)).chunk(2)
        return mean, log_variance.clamp(*LOG_VARIANCE)

    def rewards(self, vectors: Tensor, latent: Tensor) -> Tensor:
        """Return r of vectors, shape (…, D), for a person's latent, shape (Z,)."""
        spread = latent.expand(*vectors.shape[:-1], -1)
        return self.decoder(torch.cat([vectors, spread], dim=-1))[..., 0]  # type: ignore[no-any-return]


def on_sphere(latent: Tensor) -> Tensor:
    """Scale a latent to the length sqrt(Z), about that of a standard normal draw."""
    return latent / latent.norm().clamp_min(1e-8) * math.sqrt(len(latent))


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return KL(N(mu, sigma^2) || N(0, 1)) in nats, summed over the latent's dimensions."""
    return 0.5 * (log_variance.exp() + mean**2 - 1 - log_variance).sum()


def kl_weight(weight: float, cycle: int, server_round: int) -> float:
    """Return the cyclic cosine annealing of the divergence's weight.

    weight (1 - cos(pi t/cycle))/2 with t = (round - 1) mod cycle: 0 in the first round of each
    cycle, near the whole weight in its last.
    """
    return weight * (1 - math.cos(math.pi * ((server_round - 1) % cycle) / cycle)) / 2


class VariationalJudge(InContextJudge):
    """A person's reward model: the decoder at the mean of the person's posterior.

    Args:
        slot: Where the active network is read and written.
        embedder: Makes the vectors of completions.
        gap: Ratings make a comparison where their shares differ by more.
    """

    def __init__(self, slot: NetworkSlot, embedder: Embedder, gap: float) -> None:
        super().__init__(slot, embedder)
        self.gap = gap

    def context_questions(self, preferences: Sequence[Preference]) -> list[Question]:
        """Return comparisons, the preferred option first."""
        return comparisons_of(preferences, self.gap)

    def pairs(self, questions: Sequence[Embedded]) -> Tensor:
        """Return the vectors of comparisons [chosen, rejected], shape (N, 2, D)."""
        return torch.from_numpy(np.stack([one.vectors for one in questions])).to(
            self.slot.parameters[0].device)

    @torch.no_grad()
    def posterior(self) -> tuple[Tensor, Tensor]:
        """Return mu and log sigma^2 of the person whose context is known."""
        return self.slot.network.encode(self.pairs(self.context))  # type: ignore[no-any-return, operator]

    @torch.no_grad()
    def scores(self, vectors: np.ndarray) -> np.ndarray:
        """Return rewards at the posterior's mean."""
        return self.scores_at(vectors, on_sphere(self.posterior()[0]))

    @torch.no_grad()
    def scores_at(self, vectors: np.ndarray, latent: Tensor) -> np.ndarray:
        """Return rewards at a latent."""
        given = torch.from_numpy(vectors).to(self.slot.parameters[0].device)
        return np.asarray(self.slot.network.rewards(given, latent).cpu().numpy(), np.float64)  # type: ignore[operator]


def open_variational(embedder: Embedder, latent: int, width: int, gap: float) -> VariationalJudge:
    """Return a variational reward model of these sizes."""
    slot = NetworkSlot(lambda: VariationalReward(embedder.size, latent, width),
                       {"kind": "variational", **embedder.settings, "latent": latent,
                        "width": width, "gap": gap})
    return VariationalJudge(slot, embedder, gap)
