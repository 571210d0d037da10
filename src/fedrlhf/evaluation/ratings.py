"""How well scores of single completions predict held-out ratings, summed at the client.

Three predictions of "this person found it good" are compared: everybody's share of good ratings
(the population's rate), the person's own share drawn towards it (the person's rate), and the latter
moved by the completion's score through a logistic link with one slope for each person.

Only these sums leave a client. Before: how many ratings it trains on and how many of them are good.
After: the log-losses of the three predictions summed over its held-out ratings; how many of its
pairs of a good and a bad one are ordered rightly by the score, and by length; and, for the order
over all people, how many good and bad ratings fall into each bin of the score, of the link's and of
the person's probability. A client with very few held-out ratings gives away much of these by its
sums, as it does by counts of agreement; no text leaves it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from scipy import optimize, special, stats

from fedrlhf.evaluation.intervals import Interval
from fedrlhf.seeding import generator
from fedrlhf.types import Prompt, Rating

Sums = dict[str, float | list[float]]
Score = Callable[[Sequence[tuple[Prompt, str]]], np.ndarray]

EXAMPLES, GOOD = "num-examples", "good"
PREDICTIONS = ("link", "person_rate", "population_rate")
RANKED = ("score", "link", "person_rate")  # what histograms are made of
_LABELS = ("good", "bad")
_OCTAVES, _IN_OCTAVE, _SMALLEST = 20, 4, 2.0**-12  # bins of a score's size; its scale is unknown
_PROBABILITY_BINS = 50
_STRENGTHS = (0.1, 1000.0)  # where the prior's strength is looked for
_SUMS = ("left_out", "within", "within_right", "within_length", *(f"loss_{n}" for n in PREDICTIONS))


@dataclass(frozen=True)
class Prior:
    """A beta distribution of people's shares of good ratings.

    Attributes:
        rate: Its mean, the population's rate.
        strength: How many ratings of a person weigh as much as it does.
    """

    rate: float
    strength: float

    def of_person(self, good: float, count: float) -> float:
        """Return a person's rate after so many good ratings of so many."""
        return (good + self.strength * self.rate) / (count + self.strength)


def label_counts(train: Sequence[Rating]) -> Sums:
    """Return how many ratings there are that are no ties, and how many of them are good."""
    decided = [one.desirable for one in train if not one.tie]
    return {EXAMPLES: float(len(decided)), GOOD: float(sum(decided))}


def fit_prior(good: Sequence[float], counts: Sequence[float]) -> Prior:
    """Fit the prior to the clients' counts: the pooled rate, and the likeliest strength.

    Each client's good ratings are beta-binomial; the strength lies between 0.1 and 1000. One good
    and one bad rating are added to the pool, so that no rate is 0 or 1.
    """
    k, n = np.asarray(good, float), np.asarray(counts, float)
    rate = float((k.sum() + 1) / (n.sum() + 2))
    low, high = map(math.log, _STRENGTHS)
    found = optimize.minimize_scalar(
        lambda t: -stats.betabinom.logpmf(
            k, n, math.exp(t) * rate, math.exp(t) * (1 - rate)).sum(),
        bounds=(low, high), method="bounded")
    return Prior(rate, math.exp(float(found.x)))


def rating_sums(train: Sequence[Rating], validation: Sequence[Rating], test: Sequence[Rating],
                score: Score, prior: Prior) -> Sums:
    """Predict one client's held-out ratings and return sums over them.

    The person's rate comes from `train` alone; the link's slope from train and validation.

    Args:
        train: The client's ratings by split; ties are left out everywhere.
        validation: Likewise.
        test: Likewise.
        score: Returns a number for each completion, NaN where it does not fit.
        prior: The population's.

    Returns:
        ``num-examples`` held-out ratings that have a score, ``left_out`` without one, the sums
        ``loss_…`` in nats, ``within`` pairs of a good and a bad one, of which ``within_right`` and
        ``within_length`` are ordered rightly by score and by length (ties one half), and the
        histograms ``good_…`` and ``bad_…``.
    """
    known, held_out = (_decided(part) for part in ((*train, *validation), test))
    fitted, scores = (np.asarray(score([(one.prompt, one.completion) for one in part]), float)
                      for part in (known, held_out))
    fits = np.isfinite(scores)
    label, scores = _labels(held_out)[fits], scores[fits]
    counted = label_counts(train)
    rate = prior.of_person(cast(float, counted[GOOD]), cast(float, counted[EXAMPLES]))
    linked = _link(fitted, _labels(known), rate)(scores)
    lengths = np.array([len(one.completion) for one in held_out], float)[fits]
    predicted = dict(zip(PREDICTIONS, (linked, np.full(len(label), rate),
                                       np.full(len(label), prior.rate)), strict=True))
    return {
        EXAMPLES: float(len(label)), GOOD: float(label.sum()), "left_out": float((~fits).sum()),
        **{f"loss_{name}": _log_loss(label, p) for name, p in predicted.items()},
        "within": float(label.sum() * (~label).sum()),
        "within_right": _ordered(scores, label), "within_length": _ordered(lengths, label),
        **_histogram("score", _score_bins(scores), label, 2 * _OCTAVES * _IN_OCTAVE + 1),
        **_histogram("link", _probability_bins(linked), label, _PROBABILITY_BINS),
        **_histogram("person_rate", _probability_bins(predicted["person_rate"]), label,
                     _PROBABILITY_BINS)}


def fault(sums: Mapping[str, object], most: int) -> str | None:
    """Say what is wrong with sums that a client sent, or None.

    Args:
        sums: What the client answered; it may be anything.
        most: How many held-out ratings it declared.
    """
    wrong = [name for name in (EXAMPLES, GOOD, *_SUMS)
             if not isinstance(sums.get(name), int | float)]
    lists = {f"{label}_{name}": _bins(name) for name in RANKED for label in _LABELS}
    wrong += [name for name, length in lists.items()
              if not isinstance(found := sums.get(name), list) or len(found) != length]
    if wrong:
        return f"its sums lack {', '.join(wrong)}"
    flat = np.concatenate([np.ravel(cast(float, value)) for value in sums.values()])
    if not np.isfinite(flat).all() or flat.min() < 0:
        return "its sums are not finite numbers from 0 on"
    count, good = cast(float, sums[EXAMPLES]), cast(float, sums[GOOD])
    if count + cast(float, sums["left_out"]) > most or good > count:
        return f"it counts more than its {most} held-out ratings"
    for name in lists:
        expected = good if name.startswith("good") else count - good
        if sum(cast(list[float], sums[name])) != expected:
            return f"its bins {name} do not add up to {expected:g}"
    return None


def area(good: np.ndarray, bad: np.ndarray) -> np.ndarray:
    """Return the share of pairs of a good and a bad one in which the good one's bin is higher.

    The area under the ROC curve of histograms; the same bin counts one half.

    Args:
        good: Shape (…, bin).
        bad: Likewise.

    Returns:
        Shape (…,), NaN where a label is absent.
    """
    below = np.cumsum(bad, axis=-1) - bad / 2
    pairs = good.sum(axis=-1) * bad.sum(axis=-1)
    with np.errstate(invalid="ignore"):
        return np.asarray((good * below).sum(axis=-1) / pairs)


def area_interval(good: np.ndarray, bad: np.ndarray, level: float, resamples: int,
                  seed: int) -> Interval:
    """Bootstrap the area over clients, percentile method.

    Args:
        good: Histograms by client, shape (client, bin).
        bad: Likewise.
        level: Coverage, such as 0.95.
        resamples: How many.
        seed: Seed of the resampling.
    """
    clients = len(good)
    times = generator(seed, "area interval").multinomial(
        clients, np.full(clients, 1 / clients), size=resamples)
    found = area(times @ good, times @ bad)
    tail = (1 - level) / 2
    low, high = np.nanquantile(found, [tail, 1 - tail])
    return float(low), float(high)


def _link(scores: np.ndarray, labels: np.ndarray, rate: float) -> Callable[[np.ndarray],
                                                                          np.ndarray]:
    """Return score -> sigmoid(logit(rate) + b z), z standardised by the client's own scores.

    The slope b has the prior N(0, 1) and its most probable value: without scores that differ it is
    0, and the prediction is the rate.
    """
    fits = np.isfinite(scores)
    scores, labels = scores[fits], labels[fits]
    offset = float(special.logit(rate))
    spread = float(scores.std()) if len(scores) else 0.0
    if spread == 0.0:
        return lambda new: np.full(len(new), rate)
    mean, signs = float(scores.mean()), np.where(labels, 1.0, -1.0)
    z = (scores - mean) / spread
    slope = float(optimize.minimize_scalar(
        lambda b: np.logaddexp(0.0, -signs * (offset + b * z)).sum() + b * b / 2).x)
    return lambda new: np.asarray(special.expit(offset + slope * (new - mean) / spread))


def _log_loss(label: np.ndarray, p: np.ndarray) -> float:
    return float(-np.log(np.clip(np.where(label, p, 1 - p), 1e-12, 1.0)).sum())


def _ordered(values: np.ndarray, label: np.ndarray) -> float:
    """Count the pairs of a good and a bad one in which the good one has the larger value."""
    difference = values[label][:, None] - values[~label][None, :]
    return float((difference > 0).sum() + 0.5 * (difference == 0).sum())


def _score_bins(scores: np.ndarray) -> np.ndarray:
    """Return the bins of scores by sign and logarithm of the size, in ascending order of scores."""
    size = np.maximum(np.abs(scores), _SMALLEST) / _SMALLEST
    most = _OCTAVES * _IN_OCTAVE
    step = np.minimum(np.ceil(_IN_OCTAVE * np.log2(size)), most)
    return np.asarray(most + np.sign(scores) * step, int)


def _probability_bins(p: np.ndarray) -> np.ndarray:
    return np.minimum((p * _PROBABILITY_BINS).astype(int), _PROBABILITY_BINS - 1)


def _bins(name: str) -> int:
    return 2 * _OCTAVES * _IN_OCTAVE + 1 if name == "score" else _PROBABILITY_BINS


def _histogram(name: str, bins: np.ndarray, label: np.ndarray, count: int) -> Sums:
    return {f"{word}_{name}": np.bincount(bins[which], minlength=count).astype(float).tolist()
            for word, which in zip(_LABELS, (label, ~label), strict=True)}


def _decided(ratings: Sequence[Rating]) -> list[Rating]:
    return [one for one in ratings if not one.tie]


def _labels(ratings: Sequence[Rating]) -> np.ndarray:
    return np.array([one.desirable for one in ratings], bool)
