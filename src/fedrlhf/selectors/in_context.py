"""Judges that know a person by answered questions alone: the person's context."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Self

import numpy as np
import torch

from fedrlhf.errors import RunFailed
from fedrlhf.models.slot import NetworkSlot
from fedrlhf.selectors.embeddings import Embedder
from fedrlhf.selectors.predictor import (
    Embedded,
    PreferencePredictor,
    Tasks,
    padded,
    predicted_shares,
)
from fedrlhf.selectors.questions import Question, questions_of
from fedrlhf.types import CompletionPair, Preference, Prompt

_TARGETS = 64  # questions asked for at once


class InContextJudge(ABC):
    """A judge whose network reads a person's context beside what it judges.

    ``with_context`` gives it a person; until then it can be trained and not asked.

    Attributes:
        slot: Where the active network is read and written.
        embedder: Makes the vectors of completions.
    """

    def __init__(self, slot: NetworkSlot, embedder: Embedder) -> None:
        self.slot, self.embedder = slot, embedder
        self._context: list[Embedded] = []

    @abstractmethod
    def context_questions(self, preferences: Sequence[Preference]) -> list[Question]:
        """Return what the network reads of a person's preferences."""

    @abstractmethod
    def scores(self, vectors: np.ndarray) -> np.ndarray:
        """Return the value of options, shape (N,), given their vectors, shape (N, D)."""

    def with_context(self, preferences: Sequence[Preference]) -> Self:
        """Take these preferences for the person's answered questions; returns itself.

        Raises:
            RunFailed: None of them is one that the network can read.
        """
        self.know(self.encode(self.context_questions(preferences))[0])
        if not self._context:
            raise RunFailed("this client has no answered question that can be context; give it a "
                            "validation split (partition.validation) with two options a prompt")
        return self

    def for_person(self, preferences: Sequence[Preference]) -> Self:
        """Return another judge on the same network that knows this person."""
        return copy.copy(self).with_context(preferences)

    def know(self, context: Sequence[Embedded]) -> None:
        """Take embedded questions for the person's context."""
        self._context = list(context)

    @property
    def context(self) -> list[Embedded]:
        """The person's embedded context.

        Raises:
            RunFailed: None was given.
        """
        if not self._context:
            raise RunFailed("an in-context judge must be given a person's context first")
        return self._context

    def encode(self, questions: Sequence[Question]) -> tuple[list[Embedded], list[int]]:
        """Embed questions.

        Returns:
            Those whose options all fit, and the places of these in ``questions``.
        """
        vectors = self.embedder.embed([(q.prompt, option) for q in questions
                                       for option in q.options])
        pieces = np.split(vectors, np.cumsum([len(q.options) for q in questions])[:-1])
        fits = [place for place, piece in enumerate(pieces)
                if len(piece) and not np.isnan(piece).any()]
        return [Embedded(questions[place].person, pieces[place],
                         np.array(questions[place].shares, np.float32)) for place in fits], fits

    def values(self, prompt: Prompt, completions: Sequence[str]) -> np.ndarray:
        """Return how much the person values completions of one prompt, shape (completion,).

        Log-odds up to a constant of the prompt; NaN where a completion does not fit.
        """
        return self._values([(prompt, completion) for completion in completions])

    def judge(self, pairs: Sequence[CompletionPair]) -> np.ndarray:
        """Return the difference of both values, twice: the order makes no difference, (pair, 2).

        It is the log-odds of the first in the softmax over the two as the options of a question.
        """
        values = self._values([(pair.prompt, text) for pair in pairs
                               for text in (pair.first, pair.second)])
        return np.repeat((values[::2] - values[1::2])[:, None], 2, axis=1)

    def _values(self, texts: Sequence[tuple[Prompt, str]]) -> np.ndarray:
        vectors = self.embedder.embed(texts)
        fits = ~np.isnan(vectors).any(axis=1)
        found = np.full(len(texts), np.nan)
        if fits.any():
            found[fits] = self.scores(vectors[fits])
        return found


class PredictorJudge(InContextJudge):
    """The preference predictor: an option's value is its raw mean."""

    def context_questions(self, preferences: Sequence[Preference]) -> list[Question]:
        """Return all questions, each with the shares of its options."""
        return questions_of(preferences)[0]

    def scores(self, vectors: np.ndarray) -> np.ndarray:
        """Return raw means.

        A target does not see the others, so they may stand in any questions: in such as have as
        many options as the context's, for all questions are padded to the largest one.
        """
        size = max(len(question.shares) for question in self.context)
        pieces = [vectors[start:start + size] for start in range(0, len(vectors), size)]
        return np.concatenate(self._asked(
            [Embedded("", piece, np.zeros(len(piece), np.float32)) for piece in pieces],
            lambda mean, valid: mean))

    def shares(self, questions: Sequence[Embedded]) -> list[np.ndarray]:
        """Return the predicted shares of each question's options."""
        return self._asked(questions, predicted_shares)

    @torch.no_grad()
    def _asked(self, questions: Sequence[Embedded],
               of: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> list[np.ndarray]:
        found: list[np.ndarray] = []
        network, device = self.slot.network, self.slot.parameters[0].device
        for start in range(0, len(questions), _TARGETS):
            part = questions[start:start + _TARGETS]
            tasks: Tasks = padded([(self.context, part)], device)
            rows = of(network(tasks)[0], tasks.valid)[0, len(self.context):].cpu().numpy()
            found += [row[:len(question.shares)].astype(np.float64)
                      for row, question in zip(rows, part, strict=True)]
        return found


def open_predictor(embedder: Embedder, sizes: dict[str, int]) -> PredictorJudge:
    """Return a predictor of these sizes (arguments of `PreferencePredictor`)."""
    slot = NetworkSlot(lambda: PreferencePredictor(embedder.size, **sizes),
                       {"kind": "predictor", **embedder.settings, **sizes})
    return PredictorJudge(slot, embedder)
