"""Agreement with held-out preferences, counted at the client and summed over clients.

A client sends counts, never pairs. Ties are counted and left out of every rate.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import cast

import numpy as np

from fedrlhf.selectors.voting import order_consistency, position_bias, vote
from fedrlhf.types import CompletionPair, PreferencePair

_COUNTED = ("num-examples", "ties", "left_out", "vote", "own", "length", "first", "first_known")
Counts = dict[str, float | list[float]]
Judge = Callable[[Sequence[CompletionPair]], np.ndarray]

EXAMPLES, PERSONAL = "num-examples", "personal"
# Margins that a source may know for a pair: positive where the chosen completion is better.
REFERENCES = {"oracle": "oracle_margin", "consensus": "consensus_margin", "gold": "gold_margin"}


def agreement_counts(pairs: Sequence[PreferencePair], judge: Judge, own: int) -> Counts:
    """Count how often judges and rules agree with one client's preferences.

    Args:
        pairs: Held-out pairs.
        judge: Returns log-odds that the first completion is better, shape (selector, pair, 2).
        own: Which selector the client itself uses.

    Returns:
        ``num-examples`` judged pairs and, out of these, how many agree with: the ``vote``, the
        ``own`` selector, each of ``selectors``, the ``length`` rule (equal lengths count one half),
        the ``first`` shown (where known: ``first_known``). For a reference such as the oracle,
        ``oracle`` counts its agreement with the preference, ``oracle_vote`` the vote's agreement
        with it, both out of ``oracle_known``. ``ties`` and ``left_out`` (too long) are not judged.
    """
    decided = [pair for pair in pairs if not pair.tie]
    shown = [_shown(pair) for pair in decided]
    log_odds = judge([pair for pair, _ in shown])
    fits = np.asarray(~np.isnan(log_odds).any(axis=(0, 2)))
    kept = [pair for pair, ok in zip(decided, fits, strict=True) if ok]
    label = np.array([first for _, first in shown], bool)[fits]
    log_odds = log_odds[:, fits]
    first_wins = vote(log_odds).first_wins
    right = log_odds.mean(axis=2)
    of_selector = np.where(right == 0, 0.5, (right > 0) == label).sum(axis=1)
    counts: Counts = {
        EXAMPLES: float(len(kept)), "ties": float(len(pairs) - len(decided)),
        "left_out": float((~fits).sum()), "vote": float((first_wins == label).sum()),
        "own": float(of_selector[own]), "selectors": [float(v) for v in of_selector],
        "length": sum(_longer_is_chosen(pair) for pair in kept),
        "first": float(sum(pair.chosen_first is True for pair in kept)),
        "first_known": float(sum(pair.chosen_first is not None for pair in kept))}
    if kept:
        counts["position_bias"] = [float(v) for v in position_bias(log_odds) * len(kept)]
        counts["consistent"] = [float(v) for v in order_consistency(log_odds) * len(kept)]
    return counts | _against_references(kept, first_wins == label)


def personal_counts(pairs: Sequence[PreferencePair], judge: Judge) -> Counts:
    """Count how often the client's personal model, a judge of one row, agrees with the client."""
    counts = agreement_counts(pairs, judge, own=0)
    return {PERSONAL: counts["own"]}


def fault(counts: Counts, pairs: int) -> str | None:
    """Say what is wrong with counts that a client sent, or None.

    Args:
        counts: What the client answered; it may be anything.
        pairs: How many held-out pairs it declared.
    """
    counted = [*_COUNTED, *(name for name in (PERSONAL,) if name in counts)]
    wrong = [name for name in counted if not isinstance(counts.get(name), int | float)]
    if wrong or not isinstance(counts.get("selectors"), list):
        return f"its counts lack {', '.join(wrong) or 'selectors'}"
    values = [v for value in counts.values()
              for v in (value if isinstance(value, list) else [value])]
    if not all(math.isfinite(v) for v in values):
        return "its counts are not finite"
    judged = cast(float, counts[EXAMPLES])
    most = max(cast(float, counts[name]) for name in counted)
    if judged > pairs or min(cast(float, counts[name]) for name in counted) < 0 or (
            most > max(judged, pairs - judged)):
        return f"it counts more than its {pairs} held-out pairs"
    return None


def _shown(pair: PreferencePair) -> tuple[CompletionPair, bool]:
    """Order a pair as it was shown, or by its texts where that is unknown: never by the label."""
    chosen_first = pair.chosen_first
    if chosen_first is None:
        chosen_first = pair.chosen <= pair.rejected
    first, second = (pair.chosen, pair.rejected) if chosen_first else (pair.rejected, pair.chosen)
    return CompletionPair(pair.prompt, first, second), chosen_first


def _longer_is_chosen(pair: PreferencePair) -> float:
    difference = len(pair.chosen) - len(pair.rejected)
    return 0.5 if difference == 0 else float(difference > 0)


def _against_references(pairs: Sequence[PreferencePair], vote_is_chosen: np.ndarray) -> Counts:
    counts: Counts = {}
    for name, column in REFERENCES.items():
        known = [(pair.columns[column], bool(agrees))
                 for pair, agrees in zip(pairs, vote_is_chosen, strict=True)
                 if pair.columns.get(column)]
        counts[f"{name}_known"] = float(len(known))
        counts[name] = float(sum(margin > 0 for margin, _ in known))
        counts[f"{name}_vote"] = float(sum((margin > 0) == agrees for margin, agrees in known))
        counts[f"{name}_length"] = float(sum(
            _longer_is_chosen(pair) if pair.columns[column] > 0 else 1 - _longer_is_chosen(pair)
            for pair in pairs if pair.columns.get(column)))
    return counts


def rate(clients: Mapping[str, Counts], name: str, known: str = EXAMPLES) -> float | None:
    """Return the share over all clients' pairs, or None where no pair is known."""
    total = sum(float(counts.get(known, 0.0)) for counts in clients.values())  # type: ignore[arg-type, misc]
    agreed = sum(float(counts.get(name, 0.0)) for counts in clients.values())  # type: ignore[arg-type, misc]
    return agreed / total if total else None


def selector_rates(clients: Mapping[str, Counts], name: str) -> list[float]:
    """Return the share for each selector over all clients' pairs."""
    lists = [counts[name] for counts in clients.values() if name in counts]
    total = sum(float(counts[EXAMPLES]) for counts in clients.values() if name in counts)  # type: ignore[arg-type, misc]
    return [float(v) / total for v in np.sum(lists, axis=0)] if lists and total else []
