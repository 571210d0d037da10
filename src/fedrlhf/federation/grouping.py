"""Assign clients to selectors by their losses, in clusters of equal size.

Shapes: M clients, U selectors.
"""

import numpy as np
from scipy.optimize import linear_sum_assignment

from fedrlhf.errors import ConfigError
from fedrlhf.seeding import generator

METHODS = ("optimal", "max_regret", "greedy")
_UNKNOWN = np.nan
_BOUND = 1e6  # a loss beyond it is no loss; larger ones would drown the others in rounding


def assign(losses: np.ndarray, method: str = "optimal", seed: int = 0) -> np.ndarray:
    """Assign each client to a selector; cluster sizes differ by at most one.

    Args:
        losses: Shape (M, U), lower is better. A NaN is unknown: that client has no preference
            about that selector and never takes a place from one that is known to want it.
        method: ``optimal`` has the smallest total loss. ``greedy`` is the rule of the FedBiscuit
            paper: the fullest selector keeps the clients that a random order puts first.
            ``max_regret`` is the same rule, keeping those for whom a move would cost most.
        seed: Decides the order of clients in ``greedy``.

    Returns:
        Selector of each client, integers of shape (M,).

    Raises:
        ConfigError: The method is unknown, or losses are not a matrix with a column or more.
    """
    if method not in METHODS:
        raise ConfigError(f"grouping must be one of {', '.join(METHODS)}, got {method!r}")
    losses = np.asarray(losses, np.float64)
    if losses.ndim != 2 or losses.shape[1] == 0:
        raise ConfigError(f"losses must have shape (clients, selectors), got {losses.shape}")
    costs = known_costs(losses)
    if method == "optimal":
        return _optimal(costs)
    order = (generator(seed, "grouping").permutation(len(costs)) if method == "greedy"
             else np.arange(len(costs)))
    return _by_turns(costs, ~np.isfinite(losses), order, method == "max_regret")


def known_costs(losses: np.ndarray) -> np.ndarray:
    """Replace unknown losses, so that they attract and repel nobody.

    A client that knows some of its losses is taken to find the unknown ones as bad as its worst
    known one; a client that knows none is indifferent. Infinite losses are bounded likewise.
    """
    costs = np.where(np.isfinite(losses), np.clip(losses, -_BOUND, _BOUND), _UNKNOWN)
    worst = np.array([np.nanmax(row) if np.isfinite(row).any() else 0.0 for row in costs])
    best = np.array([np.nanmin(row) if np.isfinite(row).any() else 0.0 for row in costs])
    # A margin keeps a known selector ahead of an unknown one even where only one is known.
    margin = 1e-9 + 1e-6 * np.abs(worst - best)
    partly = np.isfinite(costs).any(axis=1)
    return np.where(np.isnan(costs), (worst + np.where(partly, margin, 0.0))[:, None], costs)


def _optimal(costs: np.ndarray) -> np.ndarray:
    """Solve the balanced assignment exactly.

    Each selector has floor(M/U) places that must be taken and one that may be; an optional place
    costs a constant that outweighs every loss, so that only the M mod U needed ones are used.
    """
    clients, selectors = costs.shape
    must, extra = divmod(clients, selectors)
    span = float(np.ptp(costs)) if costs.size else 0.0
    penalty = (span + 1.0) * (clients + 1)
    places = np.concatenate([np.repeat(costs, must, axis=1),
                             costs + penalty if extra else costs[:, :0]], axis=1)
    owners = np.concatenate([np.repeat(np.arange(selectors), must),
                             np.arange(selectors) if extra else np.arange(0)])
    rows, columns = linear_sum_assignment(places)
    found = np.empty(clients, np.int64)
    found[rows] = owners[columns]
    return found


def _by_turns(costs: np.ndarray, unknown: np.ndarray, order: np.ndarray,
              keep_largest_regret: bool) -> np.ndarray:
    """Close one selector at a time: the one that most clients want keeps its share of them.

    The share is ceil(clients left / selectors open), which balances the sizes. The others go on
    to the best selector that is still open.
    """
    found = np.full(len(costs), -1, np.int64)
    open_selectors = list(range(costs.shape[1]))
    wishes: dict[int, list[int]] = {selector: [] for selector in open_selectors}
    moving = order.tolist()
    while open_selectors:
        for client in moving:
            best = min(open_selectors, key=lambda u: (costs[client, u], u))
            wishes[best].append(client)
        left = sum(len(wishes[u]) for u in open_selectors)
        size = -(-left // len(open_selectors))
        fullest = max(open_selectors, key=lambda u: (len(wishes[u]), -u))
        others = [u for u in open_selectors if u != fullest]
        regrets = (costs[:, fullest] - costs[:, others].min(axis=1)
                   if keep_largest_regret and others else np.zeros(len(costs)))
        candidates = sorted(wishes[fullest], key=lambda m: (unknown[m, fullest], regrets[m]))
        found[candidates[:size]] = fullest
        moving = candidates[size:]
        open_selectors = others
    return found
