"""The group preference predictor: an in-context transformer on fixed text embeddings.

PluralLLM (Srewa et al., 2025, arXiv 2503.09925), whose network is the transformer neural process of
group preference optimisation. Shapes: T tasks, Q questions of a task, O options of a question, D
embedding size; short tasks and questions are padded.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

LOG_STD = (-5.0, 3.0)  # bounds: a point that is met exactly would make the loss fall for ever


@dataclass(frozen=True)
class Embedded:
    """A question with its options embedded.

    Attributes:
        person: Whose answer it is.
        vectors: Shape (O, D), float32.
        shares: Shape (O,), 1 in all.
    """

    person: str
    vectors: np.ndarray
    shares: np.ndarray


@dataclass(frozen=True)
class Tasks:
    """Padded tasks: the answers of context questions are given, those of the others asked for.

    Attributes:
        vectors: Shape (T, Q, O, D).
        shares: Shape (T, Q, O); 0 at padding.
        valid: Which options exist, bool, shape (T, Q, O).
        context: Which questions are context, bool, shape (T, Q).
    """

    vectors: Tensor
    shares: Tensor
    valid: Tensor
    context: Tensor

    @property
    def targets(self) -> Tensor:
        """Which options are asked for, bool, shape (T, Q, O)."""
        return self.valid & ~self.context[..., None]


def padded(tasks: Sequence[tuple[Sequence[Embedded], Sequence[Embedded]]],
           device: torch.device) -> Tasks:
    """Pad tasks, each its context questions and its target questions, to one set of tensors."""
    most = max(len(context) + len(targets) for context, targets in tasks)
    every = [question for context, targets in tasks for question in (*context, *targets)]
    options, size = max(len(q.shares) for q in every), every[0].vectors.shape[1]
    vectors = np.zeros((len(tasks), most, options, size), np.float32)
    shares = np.zeros((len(tasks), most, options), np.float32)
    valid, given = np.zeros(shares.shape, bool), np.zeros(shares.shape[:2], bool)
    for row, (context, targets) in enumerate(tasks):
        given[row, :len(context)] = True
        for place, question in enumerate((*context, *targets)):
            count = len(question.shares)
            vectors[row, place, :count] = question.vectors
            shares[row, place, :count] = question.shares
            valid[row, place, :count] = True
    return Tasks(*(torch.from_numpy(array).to(device)
                   for array in (vectors, shares, valid, given)))


class PreferencePredictor(nn.Module):
    """Predicts the shares of target options from a few answered questions.

    A point is an option: its vector and its share, 0 where that is asked for. A multilayer
    perceptron embeds each point; there is no positional encoding, so the order of questions and
    options says nothing. In every layer all points attend to the context's points alone, so that
    a target's prediction does not depend on which other targets are asked for.

    Args:
        size: D.
        width: Of a point inside the network. Paper: 128.
        feed_forward: Hidden units of a layer's second half and of the head. Paper: 128.
        heads: Of attention. Paper: 4.
        layers: Of attention. Paper: 6.
        depth: Linear layers of the perceptron. Paper: 4.
    """

    def __init__(self, size: int, width: int, feed_forward: int, heads: int, layers: int,
                 depth: int) -> None:
        super().__init__()
        units: list[nn.Module] = [nn.Linear(size + 1, width)]
        for _ in range(depth - 1):
            units += [nn.ReLU(), nn.Linear(width, width)]
        self.embed = nn.Sequential(*units)
        layer = nn.TransformerEncoderLayer(width, heads, feed_forward, dropout=0.0,
                                           batch_first=True)
        # Nested tensors would drop the very points whose share is asked for.
        self.attend = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = nn.Sequential(nn.Linear(width, feed_forward), nn.ReLU(),
                                  nn.Linear(feed_forward, 2))

    def forward(self, tasks: Tasks) -> tuple[Tensor, Tensor]:
        """Return each option's raw mean and log standard deviation, both of shape (T, Q, O)."""
        known = torch.where(tasks.context[..., None], tasks.shares, 0.0)
        points = self.embed(torch.cat([tasks.vectors, known[..., None]], dim=-1))
        hidden = points.flatten(1, 2)
        given = (tasks.valid & tasks.context[..., None]).flatten(1, 2)
        # A key that is masked is one that nobody attends to: targets and padding.
        found = self.head(self.attend(hidden, src_key_padding_mask=~given))
        mean, log_std = found.unflatten(1, points.shape[1:3]).unbind(-1)
        return mean, log_std.clamp(*LOG_STD)


def predicted_shares(mean: Tensor, valid: Tensor) -> Tensor:
    """Return the softmax of raw means over the options of each question, shape (T, Q, O)."""
    lowest = torch.finfo(mean.dtype).min  # not -inf: a padding question has no option at all
    return mean.masked_fill(~valid, lowest).softmax(dim=-1)


def predictor_loss(network: PreferencePredictor, tasks: Tasks) -> Tensor:
    """Return - mean log Normal(y; softmax(mean), exp(log_std)) over the target options, in nats.

    Padding does not count in the mean (in the published code it counts as zeros).
    """
    mean, log_std = network(tasks)
    density = torch.distributions.Normal(predicted_shares(mean, tasks.valid), log_std.exp())
    return -density.log_prob(tasks.shares)[tasks.targets].mean()
