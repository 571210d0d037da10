"""How well a grouping of clients matches known groups."""

from collections.abc import Sequence

import numpy as np


def adjusted_rand_index(found: Sequence[int], truth: Sequence[int]) -> float:
    """Return the adjusted Rand index of two partitions of the same clients.

    1 for equal partitions up to names, 0 in expectation for random ones (Hubert and Arabie, 1985,
    Eq. 5). Two partitions that both put everybody together, or everybody apart, are equal: 1.
    """
    table = np.zeros((max(found) + 1, max(truth) + 1))
    np.add.at(table, (np.asarray(found), np.asarray(truth)), 1)
    together = _pairs(table).sum()
    rows, columns = _pairs(table.sum(axis=1)).sum(), _pairs(table.sum(axis=0)).sum()
    everybody = _pairs(np.array([table.sum()]))[0]
    expected = rows * columns / everybody if everybody else 0.0
    most = (rows + columns) / 2
    return 1.0 if most == expected else float((together - expected) / (most - expected))


def _pairs(counts: np.ndarray) -> np.ndarray:
    return counts * (counts - 1) / 2
