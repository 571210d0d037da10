"""Fit the table of evidence to one client's traces: EM with a latent quality (Dawid, Skene, 1979).

Each answer is good or bad; its traces are independent given that (naive Bayes). The table of
starting values is a Dirichlet prior on each family's outcomes, the population's share of good
answers a Beta prior on the client's, so that few traces change little. A generous student, whose
thumbs are up after bad answers too, gets likelihoods in which a thumb up says less.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit, xlogy

from fedrlhf.data.traces.evidence import (
    Channel,
    Floats,
    blocks_of,
    design,
    starting_likelihoods,
)

_MOST_STEPS = 500
_CLOSE = 1e-7  # of P(good)


@dataclass(frozen=True)
class Prior:
    """How many imagined answers the starting values count for.

    Attributes:
        outcomes: Of each family and quality.
        share: Of the share of good answers. It is large: what a student's thumbs say of *all*
            answers is rather the student's generosity than the tutor's quality.
    """

    outcomes: float = 10.0
    share: float = 200.0


@dataclass(frozen=True)
class Model:
    """A table of evidence.

    Attributes:
        likelihoods: P(outcome | good) and P(outcome | bad), shape [2, outcomes].
        share: P(good) of an answer.
    """

    likelihoods: Floats
    share: float

    @property
    def strengths(self) -> Floats:
        """Log-odds of each outcome, shape [outcomes]."""
        return np.log(self.likelihoods[0]) - np.log(self.likelihoods[1])

    def log_odds(self, observed: Floats) -> Floats:
        """Return logit P(good) of answers: b_u plus the log ratios of what was observed.

        Args:
            observed: Shape [turns, outcomes] of `evidence.design`.
        """
        return logit(self.share) + observed @ self.strengths


@dataclass(frozen=True)
class Counts:
    """Expected counts, the sufficient statistics of a fit: all that a client could ever share.

    Attributes:
        outcomes: Of each outcome among good and among bad answers, shape [2, outcomes].
        good: Number of good answers.
        answers: Number of answers.
    """

    outcomes: Floats
    good: float
    answers: float


def starting_model(channel: Channel) -> Model:
    """Return the table's model; an answer without any trace is good with probability 1/2."""
    likelihoods = starting_likelihoods(channel)
    model = Model(likelihoods, 0.5)
    silent = design([()], channel)[0]
    return Model(likelihoods, float(expit(-silent @ model.strengths)))


def expected_counts(model: Model, observed: Floats) -> Counts:
    """Return the E step: what was observed, shared out by P(good) and P(bad) of each answer."""
    good = expit(model.log_odds(observed))
    return Counts(np.stack([good @ observed, (1.0 - good) @ observed]), float(good.sum()),
                  float(len(good)))


def pooled(counts: Iterable[Counts]) -> Counts:
    """Return the sum of several clients' counts."""
    every = list(counts)
    return Counts(np.sum([one.outcomes for one in every], axis=0), sum(one.good for one in every),
                  sum(one.answers for one in every))


def refitted(start: Model, counts: Counts, channel: Channel, prior: Prior) -> Model:
    """Return the M step, in closed form: counts plus the prior's, normalised within families."""
    likelihoods = start.likelihoods * prior.outcomes + counts.outcomes
    for block in blocks_of(channel):
        likelihoods[:, block] /= likelihoods[:, block].sum(axis=1, keepdims=True)
    share = (start.share * prior.share + counts.good) / (prior.share + counts.answers)
    return Model(likelihoods, share)


def fit(start: Model, observed: Floats, channel: Channel, prior: Prior) -> Model:
    """Return the table fitted to one client's answers.

    Args:
        start: Where EM starts, and the centre of the prior.
        observed: Shape [turns, outcomes].
        channel: Whose outcomes these are.
        prior: Its weight.
    """
    model, before = start, expit(start.log_odds(observed))
    for _ in range(_MOST_STEPS):
        model = refitted(start, expected_counts(model, observed), channel, prior)
        after = expit(model.log_odds(observed))
        if not len(after) or np.max(np.abs(after - before)) < _CLOSE:
            break
        before = after
    return model


def log_posterior(model: Model, start: Model, observed: Floats, prior: Prior) -> float:
    """Return what EM climbs: log likelihood plus log prior, up to a constant."""
    both = observed @ np.log(model.likelihoods).T + np.log([model.share, 1.0 - model.share])
    shares = xlogy([start.share, 1.0 - start.share], [model.share, 1.0 - model.share])
    outcomes = xlogy(start.likelihoods, model.likelihoods)
    return float(np.logaddexp(both[:, 0], both[:, 1]).sum() + prior.share * shares.sum()
                 + prior.outcomes * outcomes.sum())
