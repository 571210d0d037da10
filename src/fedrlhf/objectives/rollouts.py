"""What an online objective learns from: completions that the policy just wrote, and their rewards.

Shapes: S sequences in groups of K completions of one prompt, N tokens of the longest completion.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fedrlhf.data.turns import prompt_key
from fedrlhf.models.generate import end_tokens, write_tokens
from fedrlhf.models.likelihood import Written, completion_mask, encode_prompt
from fedrlhf.objectives.policy import Policy
from fedrlhf.objectives.scores import Scorer, Scores
from fedrlhf.types import Preference, Prompt


@dataclass(frozen=True)
class Ask:
    """A prompt in text and tokens, and whose it is."""

    prompt: Prompt
    tokens: tuple[int, ...]
    person: str


@dataclass(frozen=True)
class Rollouts:
    """A step's completions.

    Attributes:
        written: The S sequences, those of a prompt one after another.
        asks: Whose prompts they answer, one for each group of equally many.
        rewards: Of each completion, ``Float[S]``.
        shared: The shared part of the rewards, ``Float[S]``.
        personal: The personal part, ``Float[S]``.
        mask: Which places are tokens, ``Bool[S, N]``.
        behaviour: log p of each token when it was written, ``Float[S, N]``.
        reference: log p of each token under the reference policy, ``Float[S, N]``.
        ended: Whether a completion ended by itself and not at the limit of tokens, ``Bool[S]``.
        baseline: What each completion's reward is compared with, ``Float[S]``, where an objective
            measures that by completions of its own.
    """

    written: list[Written]
    asks: list[Ask]
    rewards: Tensor
    shared: Tensor
    personal: Tensor
    mask: Tensor
    behaviour: Tensor
    reference: Tensor
    ended: Tensor
    baseline: Tensor | None = None

    @property
    def group(self) -> int:
        """K, the completions of a prompt."""
        return len(self.written) // len(self.asks)

    def take(self, rows: Sequence[int]) -> "Rollouts":
        """Return some of the completions; they need not be whole groups."""
        written = [self.written[row] for row in rows]
        asks = [self.asks[row // self.group] for row in rows]
        longest = max(len(one.completion) for one in written)
        numbers = list(rows)
        return Rollouts(
            written, asks, self.rewards[numbers], self.shared[numbers], self.personal[numbers],
            self.mask[numbers, :longest], self.behaviour[numbers, :longest],
            self.reference[numbers, :longest], self.ended[numbers],
            None if self.baseline is None else self.baseline[numbers])

    @property
    def kl(self) -> Tensor:
        """Log pi(y|x) - log pi_ref(y|x) of each completion when it was written, ``Float[S]``.

        Its mean over completions of the policy estimates KL(pi || pi_ref) in nats.
        """
        return (self.behaviour - self.reference).sum(1)


def asks_of(policy: Policy, preferences: Sequence[Preference], max_tokens: int) -> list[Ask]:
    """Return the different prompts of each person, as far as they fit, in a stable order.

    Args:
        policy: Whose tokenizer and template are used.
        preferences: A split of a shard, ties among them: a prompt is a prompt.
        max_tokens: Of a prompt; a longer one loses its beginning.
    """
    distinct = {(prompt_key(one.prompt), one.client_id): one for one in preferences}
    encoded = [(one, encode_prompt(policy.base, one.prompt, max_tokens))
               for one in distinct.values()]
    return [Ask(one.prompt, tokens[0], one.client_id)
            for one, tokens in encoded if tokens is not None]


def write_rollouts(policy: Policy, asks: Sequence[Ask], scorer: Scorer, count: int,
                   max_new_tokens: int) -> Rollouts:
    """Let the policy write `count` completions for each prompt and score them.

    The caller seeds the sampling. Log-probabilities are read again from the whole sequences, so
    that they are those of the network that is trained, also where generation rounds otherwise.
    """
    tokens = write_tokens(policy.base, [ask.tokens for ask in asks], count, max_new_tokens,
                          policy.autocast)
    written = [Written(asks[row // count].tokens, one) for row, one in enumerate(tokens)]
    scores = _scored(policy, asks, scorer, tokens)
    device, ends = policy.base.device, end_tokens(policy.base)

    def joined(name: str) -> Tensor:
        return _tensor([getattr(one, name) for one in scores], device)

    return Rollouts(
        written, list(asks), joined("total"), joined("shared"), joined("personal"),
        completion_mask(written, device), policy.token_log_probs(written),
        policy.reference_token_log_probs(written),
        torch.tensor([one[-1] in ends for one in tokens], device=device))


def greedy_rewards(policy: Policy, asks: Sequence[Ask], scorer: Scorer,
                   max_new_tokens: int) -> Tensor:
    """Return the reward of the likeliest completion, token by token, ``Float[prompt]``."""
    tokens = write_tokens(policy.base, [ask.tokens for ask in asks], 1, max_new_tokens,
                          policy.autocast, greedy=True)
    return _tensor([one.total for one in _scored(policy, asks, scorer, tokens)],
                   policy.base.device)


def _scored(policy: Policy, asks: Sequence[Ask], scorer: Scorer,
            tokens: Sequence[tuple[int, ...]]) -> list[Scores]:
    """Score equally many completions of each prompt, as texts without special tokens."""
    texts = [text.strip() for text in
             policy.base.tokenizer.batch_decode([list(one) for one in tokens],
                                                skip_special_tokens=True)]
    count = len(tokens) // len(asks)
    return [scorer.score(ask.prompt, texts[place * count:(place + 1) * count], ask.person)
            for place, ask in enumerate(asks)]


def _tensor(values: Sequence[np.ndarray], device: torch.device) -> Tensor:
    return torch.tensor(np.concatenate(values), dtype=torch.float32, device=device)
