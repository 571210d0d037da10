"""The objective `predictor`: a group's shares of opinion from a few of its answers (PluralLLM)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

import numpy as np
from torch import Tensor

from fedrlhf.config import schema
from fedrlhf.errors import ConfigError
from fedrlhf.objectives.in_context import InContext, halves, mean_loss
from fedrlhf.objectives.offline import Prepared
from fedrlhf.selectors.in_context import PredictorJudge, open_predictor
from fedrlhf.selectors.predictor import PreferencePredictor, padded, predictor_loss
from fedrlhf.selectors.questions import Predicted, Question, questions_of
from fedrlhf.selectors.tasks import Task
from fedrlhf.types import Preference


@dataclass(kw_only=True)
class Predictor(InContext):
    """F(w) = - mean log Normal(y; softmax(mean), exp(log std)) over target options.

    Srewa et al., 2025 (arXiv 2503.09925). Ratings of a prompt's options and pairs are learned
    from alike (`questions_of`).

    Attributes:
        width: Of a point in the network. Paper: 128, here less for a CPU.
        feed_forward: Hidden units. Paper: 128.
        heads: Of attention. Paper: 4.
        layers: Of attention. Paper: 6.
        depth: Linear layers that embed a point. Paper: 4.
    """

    learns_from: ClassVar[str] = "question with two options and another question beside it"
    uses_ratings: ClassVar[bool] = True

    width: int
    feed_forward: int
    heads: int
    layers: int
    depth: int

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in ("width", "feed_forward", "heads", "layers", "depth"):
            if getattr(self, key) < 1:
                raise ConfigError(f"objective.{key} must be at least 1, got {getattr(self, key)}")
        if self.width % self.heads:
            raise ConfigError(f"objective.width ({self.width}) must be a multiple of "
                              f"objective.heads ({self.heads})")

    def open(self, config: schema.Config, reference: np.ndarray | None = None) -> PredictorJudge:
        """Return the predictor; it has no reference."""
        return open_predictor(self.embedder(config), {
            key: getattr(self, key) for key in ("width", "feed_forward", "heads", "layers",
                                                "depth")})

    def questions(self, preferences: Sequence[Preference]) -> list[Question]:
        """Return the questions that the preferences make."""
        return questions_of(preferences)[0]

    def prepare(self, judge: PredictorJudge, preferences: Sequence[Preference]) -> Prepared:
        """Embed the questions."""
        return self.prepared_on(judge, preferences, lambda tasks: _loss(judge, tasks))

    def losses(self, config: schema.Config, preferences: Sequence[Preference],
               adapters: Sequence[np.ndarray],
               reference: np.ndarray | None = None) -> np.ndarray:
        """Return each predictor's mean loss, each half of the questions given the other."""
        judge = self.open(config)
        parts = halves(judge.encode(self.questions(preferences))[0])
        found = np.full(len(adapters), np.nan)
        for index, adapter in enumerate(adapters):
            judge.slot.write(adapter)
            found[index] = mean_loss(lambda tasks: _loss(judge, tasks), parts)
        return found

    def predict_shares(self, config: schema.Config, held_out: Sequence[Preference],
                       adapter: np.ndarray,
                       context: Sequence[Preference] | None = None) -> list[Predicted]:
        """Predict the shares of every question that fits.

        With a context by all of it, as the judge of a client knows the client; without, each half
        of a person's questions by the other.
        """
        judge = self.open(config)
        judge.slot.write(adapter)
        questions = self.questions(held_out)
        embedded, fits = judge.encode(questions)
        if context is not None:
            parts = [(judge.with_context(context).context, embedded)]
        else:
            parts = halves(embedded)
        keys = {id(one): questions[place].key for one, place in zip(embedded, fits, strict=True)}
        found = []
        for given, asked in parts:
            judge.know(given)
            found += [Predicted(keys[id(one)], shares, one.shares.astype(np.float64))
                      for one, shares in zip(asked, judge.shares(asked), strict=True)]
        return found


def _loss(judge: PredictorJudge, tasks: list[Task]) -> Tensor:
    network = cast(PreferencePredictor, judge.slot.network)
    return predictor_loss(network, padded(tasks, judge.slot.parameters[0].device))
