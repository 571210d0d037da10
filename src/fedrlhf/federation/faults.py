"""Clients that fail on purpose, to see that a run survives them (``faults.<client>=nan``)."""

import os

import numpy as np


def inject(fault: str | None, adapter: np.ndarray) -> np.ndarray:
    """Do to a trained adapter, or to the client, what the configuration asks for.

    Args:
        fault: ``raise`` an exception, return ``nan`` or another ``shape``, ``inflate`` the
            adapter a thousandfold, or ``exit`` the process as an out-of-memory kill would.
        adapter: The client's trained adapter.
    """
    if fault == "raise":
        raise RuntimeError("this client was told to fail (faults)")
    if fault == "exit":
        os._exit(137)
    if fault == "nan":
        return np.full_like(adapter, np.nan)
    if fault == "shape":
        return adapter[:-1]
    if fault == "inflate":
        return adapter * 1000
    return adapter
