"""The objective `variational`: a reward model whose latent variable is the person's own (VPL)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from fedrlhf.config import schema
from fedrlhf.errors import ConfigError
from fedrlhf.models.runtime import seeded
from fedrlhf.objectives.base import LocalTask
from fedrlhf.objectives.in_context import InContext, halves, mean_loss
from fedrlhf.objectives.offline import Prepared
from fedrlhf.seeding import seed_for
from fedrlhf.selectors.questions import Question, comparisons_of
from fedrlhf.selectors.tasks import Task
from fedrlhf.selectors.variational import (
    VariationalJudge,
    divergence,
    kl_weight,
    on_sphere,
    open_variational,
)
from fedrlhf.types import Preference

_STRANGERS = 8  # latents of other people, drawn from the prior


@dataclass(kw_only=True)
class Variational(InContext):
    """F = E -log sigmoid(r(e_chosen, z) - r(e_rejected, z)) + w KL(q(z | context) || N(0, 1)).

    z = mu + sigma eps, scaled to the length sqrt(Z); w follows `kl_weight`. The latent stays at the
    client: replies have the network's tensors and the mean divergence alone. The known failure is
    that the network ignores z; `latent_counts` shows it.

    Attributes:
        latent: Z. Paper: 512.
        width: Hidden units.
        gap: Ratings make a comparison where their shares differ by more.
        kl_weight: w at the end of a cycle. Paper: 3e-6.
        kl_cycle: Rounds of a cycle.
    """

    learns_from: ClassVar[str] = "pair with another pair of the same person beside it"
    uses_ratings: ClassVar[bool] = True

    latent: int
    width: int
    gap: float
    kl_weight: float
    kl_cycle: int

    def __post_init__(self) -> None:
        super().__post_init__()
        for key, least in (("latent", 1), ("width", 1), ("gap", 0), ("kl_weight", 0),
                           ("kl_cycle", 1)):
            if getattr(self, key) < least:
                raise ConfigError(f"objective.{key} must be at least {least}, "
                                  f"got {getattr(self, key)}")

    def open(self, config: schema.Config,
             reference: np.ndarray | None = None) -> VariationalJudge:
        """Return the reward model; it has no reference."""
        return open_variational(self.embedder(config), self.latent, self.width, self.gap)

    def questions(self, preferences: Sequence[Preference]) -> list[Question]:
        """Return the comparisons that the preferences make."""
        return comparisons_of(preferences, self.gap)

    def prepare(self, judge: VariationalJudge, preferences: Sequence[Preference]) -> Prepared:
        """Embed the comparisons, with the divergence's whole weight."""
        return self._prepared(judge, preferences, self.kl_weight)

    def prepare_for(self, task: LocalTask, judge: VariationalJudge,
                    preferences: Sequence[Preference]) -> Prepared:
        """Embed the comparisons, with the divergence's weight in this round."""
        return self._prepared(judge, preferences,
                              kl_weight(self.kl_weight, self.kl_cycle, task.server_round))

    def _prepared(self, judge: VariationalJudge, preferences: Sequence[Preference],
                  weight: float) -> Prepared:
        kls: list[float] = []
        prepared = self.prepared_on(judge, preferences,
                                    lambda tasks: _loss(judge, tasks, weight, kls))
        prepared.measured["kl"] = kls
        return prepared

    def losses(self, config: schema.Config, preferences: Sequence[Preference],
               adapters: Sequence[np.ndarray],
               reference: np.ndarray | None = None) -> np.ndarray:
        """Return each network's logistic loss, each half of the pairs given the other.

        The latent is drawn with a fixed seed and the divergence does not count.
        """
        judge = self.open(config)
        parts = halves(judge.encode(self.questions(preferences))[0])
        found = np.full(len(adapters), np.nan)
        for index, adapter in enumerate(adapters):
            judge.slot.write(adapter)
            with seeded(seed_for(config.run.seed, "latent")):
                found[index] = mean_loss(lambda tasks: _loss(judge, tasks, 0.0, []), parts)
        return found

    def further_counts(self, config: schema.Config, context: Sequence[Preference],
                       held_out: Sequence[Preference], adapter: np.ndarray) -> dict[str, float]:
        """Count held-out comparisons that are judged rightly by the own and by other latents.

        Returns:
            ``latent_pairs`` and, out of these, ``latent_own``, ``latent_zero`` (z = 0) and
            ``latent_stranger`` (the mean over latents drawn from the prior); ``latent_kl``.
        """
        judge = self.open(config).with_context(context)
        judge.slot.write(adapter)
        asked, _ = judge.encode(self.questions(held_out))
        if not asked:
            return {}
        vectors = judge.pairs(asked).cpu().numpy()
        mean, log_variance = judge.posterior()
        with seeded(seed_for(config.run.seed, "strangers")):
            strangers = [on_sphere(torch.randn(self.latent)).to(mean) for _ in range(_STRANGERS)]

        def right(latent: Tensor) -> float:
            rewards = judge.scores_at(vectors, latent)
            margin = rewards[:, 0] - rewards[:, 1]
            return float(((margin > 0) + 0.5 * (margin == 0)).sum())

        return {"latent_pairs": float(len(asked)), "latent_own": right(on_sphere(mean)),
                "latent_zero": right(torch.zeros_like(mean)),
                "latent_stranger": float(np.mean([right(latent) for latent in strangers])),
                "latent_kl": float(divergence(mean, log_variance))}


def _loss(judge: VariationalJudge, tasks: list[Task], weight: float, kls: list[float]) -> Tensor:
    """Return the mean loss over target pairs plus the weighted mean divergence over people."""
    network, losses, kl = judge.slot.network, [], []
    for context, targets in tasks:
        mean, log_variance = network.encode(judge.pairs(context))  # type: ignore[operator]
        latent = on_sphere(mean + (0.5 * log_variance).exp() * torch.randn(len(mean)).to(mean))
        rewards = network.rewards(judge.pairs(targets), latent)  # type: ignore[operator]
        losses.append(softplus(rewards[:, 1] - rewards[:, 0]))
        kl.append(divergence(mean, log_variance))
    total = torch.stack(kl).mean()
    kls.append(float(total.detach()))
    return torch.cat(losses).mean() + weight * total
