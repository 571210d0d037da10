"""The binary selector's objective: cross-entropy over the two answer letters."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fedrlhf.config import schema
from fedrlhf.errors import ConfigError, RunFailed
from fedrlhf.models.runtime import seeded
from fedrlhf.objectives.base import LocalResult, LocalTask
from fedrlhf.seeding import generator
from fedrlhf.selectors.batching import token_batches, training_steps
from fedrlhf.selectors.encode import Judgement
from fedrlhf.selectors.selector import Selector, open_selector
from fedrlhf.types import CompletionPair, PreferencePair


@dataclass(frozen=True)
class _Example:
    """A pair in both orders: the chosen completion first, then second."""

    orders: tuple[Judgement, Judgement]
    weight: float


class Choice:
    """F_m(phi) = E CE(i | phi; x, y0, y1), over both orders of every pair (FedBiscuit, Eq. 2).

    With the log-odds z of "the first is better", the loss of a pair is
    [softplus(-z) with the chosen completion first + softplus(z) with it second] / 2, in nats.
    """

    def __init__(self, *, optimizer: str, learning_rate: float, betas: list[float],
                 weight_decay: float, max_grad_norm: float, local_steps: int | None,
                 local_epochs: int, batch_size: int) -> None:
        if optimizer not in _OPTIMIZERS:
            raise ConfigError(f"objective.optimizer must be one of {', '.join(_OPTIMIZERS)}, "
                              f"got {optimizer!r}")
        for key, value in (("learning_rate", learning_rate), ("max_grad_norm", max_grad_norm),
                           ("local_epochs", local_epochs), ("batch_size", batch_size)):
            if not value > 0:
                raise ConfigError(f"objective.{key} must be greater than 0, got {value}")
        if local_steps is not None and local_steps < 1:
            raise ConfigError(f"objective.local_steps must be at least 1, got {local_steps}")
        self.optimizer, self.learning_rate, self.betas = optimizer, learning_rate, tuple(betas)
        self.weight_decay, self.max_grad_norm = weight_decay, max_grad_norm
        self.local_steps, self.local_epochs, self.batch_size = local_steps, local_epochs, batch_size

    def train(self, config: schema.Config, pairs: Sequence[PreferencePair],
              task: LocalTask) -> LocalResult:
        """Take local steps of the two-letter cross-entropy from the task's adapter."""
        selector = open_selector(config)
        selector.slot.write(task.adapter)
        examples = _encode(selector, pairs)
        if not examples:
            raise RunFailed("this client has no pair that can be trained on: all are ties or "
                            f"longer than selector.max_tokens={selector.settings.max_tokens}")
        steps = training_steps([example.orders[0].tokens for example in examples],
                               self.batch_size, self._count(len(examples)),
                               generator(task.seed, "steps"))
        optimizer = _OPTIMIZERS[self.optimizer](self, selector.slot.parameters)
        anchor = [p.detach().clone() for p in selector.slot.parameters]
        with seeded(task.seed), selector.slot.training():
            losses = [self._step(selector, optimizer, [examples[i] for i in step], anchor,
                                 task.proximal_mu) for step in steps]
        return LocalResult(selector.slot.read(), len(examples), {
            "train_loss": float(np.mean(losses)), "steps": float(len(steps)),
            "cut_pairs": float(selector.encoder.cuts.cut_pairs),
            "left_out_pairs": float(selector.encoder.cuts.left_out)})

    def losses(self, config: schema.Config, pairs: Sequence[PreferencePair],
               adapters: Sequence[np.ndarray]) -> np.ndarray:
        """Return each adapter's mean loss over both orders of the pairs that are not ties."""
        selector = open_selector(config)
        judged = [CompletionPair(p.prompt, p.chosen, p.rejected) for p in pairs if not p.tie]
        found = np.full(len(adapters), np.nan)
        for index, adapter in enumerate(adapters):
            selector.slot.write(adapter)
            log_odds = selector.judge(judged)
            if not np.isnan(log_odds).all():
                found[index] = np.nanmean(np.logaddexp(0.0, -log_odds))
        return found

    def _count(self, examples: int) -> int:
        if self.local_steps is not None:
            return self.local_steps
        return self.local_epochs * -(-examples // self.batch_size)

    def _step(self, selector: Selector, optimizer: torch.optim.Optimizer,
              batch: Sequence[_Example], anchor: list[Tensor], mu: float) -> float:
        """Take one optimiser step and return the batch's loss before it."""
        optimizer.zero_grad(set_to_none=True)
        loss = _backward(selector, batch)
        parameters = selector.slot.parameters
        if mu:
            for parameter, start in zip(parameters, anchor, strict=True):
                parameter.grad.add_(parameter.detach() - start, alpha=mu)  # type: ignore[union-attr]
        if not np.isfinite(loss):
            raise RunFailed(f"the selector's loss became {loss}; lower objective.learning_rate "
                            f"(now {self.learning_rate:g})")
        torch.nn.utils.clip_grad_norm_(parameters, self.max_grad_norm)
        optimizer.step()
        return loss


def _encode(selector: Selector, pairs: Sequence[PreferencePair]) -> list[_Example]:
    examples = []
    for pair in pairs:
        if pair.tie:
            continue
        orders = selector.encode(CompletionPair(pair.prompt, pair.chosen, pair.rejected))
        if orders is not None:
            examples.append(_Example(orders, pair.weight))
    return examples


def _backward(selector: Selector, batch: Sequence[_Example]) -> float:
    """Accumulate the gradient of the batch's weighted mean loss; return that loss."""
    judgements = [judgement for example in batch for judgement in example.orders]
    device = selector.base.device
    signs = torch.tensor([1.0, -1.0] * len(batch), device=device)
    weights = torch.tensor([example.weight for example in batch for _ in (0, 1)], device=device)
    weights = weights / weights.sum()
    total = 0.0
    for part in token_batches(judgements, selector.settings.tokens_per_forward):
        log_odds = selector.log_odds([judgements[i] for i in part])
        loss = (weights[part] * torch.nn.functional.softplus(-signs[part] * log_odds)).sum()
        loss.backward()
        total += loss.item()
    return total


_OPTIMIZERS = {
    "adamw": lambda o, p: torch.optim.AdamW(p, o.learning_rate, betas=o.betas,
                                            weight_decay=o.weight_decay),
    "sgd": lambda o, p: torch.optim.SGD(p, o.learning_rate, weight_decay=o.weight_decay),
    "rmsprop": lambda o, p: torch.optim.RMSprop(p, o.learning_rate, weight_decay=o.weight_decay),
}
