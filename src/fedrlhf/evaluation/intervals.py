"""Confidence intervals: over clients, over prompts, for shares."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from fedrlhf.seeding import generator

Interval = tuple[float, float]


def ratio_interval(counts: Sequence[float], totals: Sequence[float], level: float, resamples: int,
                   seed: int) -> Interval:
    """Bootstrap the ratio of sums over clusters (clients), percentile method.

    Args:
        counts: Successes of each cluster.
        totals: Trials of each cluster, greater than 0.
        level: Coverage, such as 0.95.
        resamples: How many.
        seed: Seed of the resampling.
    """
    counts_, totals_ = np.asarray(counts, float), np.asarray(totals, float)
    if len(counts_) < 2:
        return float("nan"), float("nan")
    found = stats.bootstrap(
        (counts_, totals_), lambda c, t, axis: c.sum(axis) / t.sum(axis), paired=True,
        vectorized=True, n_resamples=resamples, confidence_level=level, method="percentile",
        rng=generator(seed, "ratio interval"))
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def mean_interval(values: Sequence[float], level: float, resamples: int, seed: int) -> Interval:
    """Bootstrap the mean over independent units such as prompts, percentile method."""
    return ratio_interval(values, np.ones(len(values)).tolist(), level, resamples, seed)


def t_interval(values: Sequence[float], level: float) -> Interval | None:
    """Return Student's interval of the mean of normal draws; None below two of them."""
    if len(values) < 2:
        return None
    error = float(stats.sem(values))
    if error == 0.0:
        return float(values[0]), float(values[0])
    low, high = stats.t.interval(level, len(values) - 1, float(np.mean(values)), error)
    return float(low), float(high)
