"""Join what groups say of completions, batch after batch of prompts."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from fedrlhf.config.label import Adaptive
from fedrlhf.evaluation.alignment import fairness_index
from fedrlhf.rewards.aggregate import (
    Rewards,
    adaptive_reward,
    borda_reward,
    max_reward,
    mean_reward,
    min_reward,
    served,
    updated_history,
)

# Takes the groups' names and, for each prompt, their rewards (G, C); returns joint ones, (C,).
Joiner = Callable[[Sequence[str], Sequence[Rewards]], list[Rewards]]
_PLAIN: Mapping[str, Callable[[Rewards], Rewards]] = {
    "mean": mean_reward, "min": min_reward, "max": max_reward, "borda": borda_reward}
_UNKNOWN = 0.5  # how a group was served that has not answered before: as by chance


def joiner(name: str, settings: Adaptive) -> Joiner:
    """Return what joins one batch after the other by the aggregation of this name."""
    if name == "adaptive":
        return _AdaptiveJoiner(settings)
    plain = _PLAIN[name]
    return lambda groups, batch: [plain(rewards) for rewards in batch]


class _AdaptiveJoiner:
    """`adaptive_reward` of a batch by how the batches before served each group.

    A group's alignment with a prompt's joint reward is `served`. The fairness index is that of the
    last batch, 1 before the first: the first batch is joined by the mean.
    """

    def __init__(self, settings: Adaptive) -> None:
        self.settings, self.fairness = settings, 1.0
        self.history: dict[str, float] = {}

    def __call__(self, groups: Sequence[str], batch: Sequence[Rewards]) -> list[Rewards]:
        """Join a batch, then note how it served the groups."""
        history = [self.history.get(group, _UNKNOWN) for group in groups]
        joint = [adaptive_reward(rewards, history, self.fairness, self.settings.threshold,
                                 self.settings.temperature) for rewards in batch]
        scores = np.stack([served(rewards, of_prompt) for rewards, of_prompt in
                           zip(batch, joint, strict=True)], axis=1)  # (G, prompt)
        self.fairness = fairness_index(scores, power=2)
        now = scores.mean(axis=1).tolist()
        before = [self.history.get(group, first) for group, first in
                  zip(groups, now, strict=True)]
        self.history |= dict(zip(
            groups, updated_history(before, now, self.settings.decay).tolist(), strict=True))
        return joint
