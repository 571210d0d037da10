"""What a population looks like, in numbers and without a single preference."""

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.spatial.distance import jensenshannon

from fedrlhf.data.population import Population, Shard
from fedrlhf.types import SPLITS, Preference, PreferencePair, Split, only_pairs


def summarise(population: Population, column: str = "topic") -> dict[str, Any]:
    """Describe a population by plain numbers that JSON can hold.

    Args:
        population: At least one shard.
        column: Whose values are compared between clients.

    Returns:
        ``clients``, ``pairs`` (preferences of any kind), ``ratings`` (of these) and ``ties``
        (numbers); ``counts`` (the population's); ``sizes`` (for ``all`` and each split the min,
        median, max and total of the clients' numbers of preferences, ties included);
        ``chosen_first`` (share of the choices, not ties, whose chosen
        completion was shown first); ``longer`` (std, min, median and max over clients of the share
        of choices for the longer completion, in characters; small shards alone make it vary);
        ``divergence`` (mean over clients of the Jensen-Shannon divergence in bits, 0 to 1, between
        the client's values of the column and everyone's) with ``divergence_column``; ``rows``,
        the same for each client. A number that the pairs do not determine is absent.
    """
    shards = population.shards
    everyone = _values((one for shard in shards for one in shard.preferences), column)
    rows = [_row(shard, column, everyone) for shard in shards]
    ties = sum(shard.ties for shard in shards)
    preferences = [one for shard in shards for one in shard.preferences]
    pairs = only_pairs(preferences)
    return {
        "clients": len(shards), "pairs": len(preferences), "ties": ties,
        **_present("ratings", len(preferences) - len(pairs) or None),
        "counts": dict(population.counts),
        "sizes": {name: _spread([row["sizes"][name] for row in rows], total=True)
                  for name in ("all", *SPLITS)},
        **_present("chosen_first", chosen_first(pairs)),
        **_heterogeneity(rows, column),
        "rows": rows,
    }


def summarise_sizes(sizes: Mapping[str, Mapping[Split, int]]) -> dict[str, Any]:
    """Describe a population of which nothing but each client's numbers of pairs is known.

    Returns:
        ``clients``, ``pairs``, ``sizes`` and ``rows`` of `summarise`; the rest is absent.
    """
    rows = [{"client_id": name, "sizes": {"all": sum(found.values()), **found}}
            for name, found in sizes.items()]
    spreads = {name: _spread([row["sizes"][name] for row in rows], total=True)  # type: ignore[index]
               for name in ("all", *SPLITS)}
    return {"clients": len(rows), "pairs": spreads["all"]["total"], "sizes": spreads, "rows": rows}


def chosen_first(pairs: Iterable[PreferencePair]) -> float | None:
    """Return the share of choices whose chosen completion was shown first, where known."""
    return _mean([pair.chosen_first for pair in pairs
                  if not pair.tie and pair.chosen_first is not None])


def longer_share(pairs: Iterable[PreferencePair]) -> float | None:
    """Return the share of choices for the longer completion, among those of unequal length."""
    return _mean([len(pair.chosen) > len(pair.rejected) for pair in pairs
                  if not pair.tie and len(pair.chosen) != len(pair.rejected)])


def divergence(one: Mapping[str, int], other: Mapping[str, int]) -> float | None:
    """Return the Jensen-Shannon divergence of two histograms in bits, 0 (equal) to 1 (disjoint)."""
    if not one or not other:
        return None
    names = sorted({*one, *other})
    left, right = ([histogram.get(name, 0) for name in names] for histogram in (one, other))
    # scipy gives the distance, which is the square root of the divergence.
    return float(jensenshannon(left, right, base=2) ** 2)


def _row(shard: Shard, column: str, everyone: Mapping[str, int]) -> dict[str, Any]:
    pairs = only_pairs(shard.preferences)
    return {
        "client_id": shard.client_id,
        "sizes": {"all": len(shard.preferences), **shard.sizes()}, "ties": shard.ties,
        **_present("chosen_first", chosen_first(pairs)),
        **_present("longer", longer_share(pairs)),
        **_present("divergence", divergence(_values(shard.preferences, column), everyone)),
    }


def _heterogeneity(rows: Sequence[Mapping[str, Any]], column: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    longer = [row["longer"] for row in rows if "longer" in row]
    if longer:
        found["longer"] = {"std": statistics.pstdev(longer), **_spread(longer)}
    distances = [row["divergence"] for row in rows if "divergence" in row]
    if distances:
        found |= {"divergence": statistics.fmean(distances), "divergence_column": column}
    return found


def _values(preferences: Iterable[Preference], column: str) -> Counter[str]:
    return Counter(str(one.columns[column]) for one in preferences
                   if one.columns.get(column) is not None)


def _spread(numbers: Sequence[float], total: bool = False) -> dict[str, float]:
    found = {"min": min(numbers), "median": statistics.median(numbers), "max": max(numbers)}
    return {**found, "total": sum(numbers)} if total else found


def _mean(numbers: Sequence[float]) -> float | None:
    return float(np.mean(numbers)) if numbers else None


def _present(name: str, number: float | None) -> dict[str, float]:
    return {} if number is None else {name: number}
