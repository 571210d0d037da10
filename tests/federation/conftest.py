"""Every test of this folder creates messages as a ServerApp does."""

import gc
from collections.abc import Iterator

import pytest

from fedrlhf.federation.flower_internals import server_identity


@pytest.fixture(autouse=True)
def identity() -> Iterator[None]:
    """Let `Message(...)` work outside the processes that Flower starts."""
    with server_identity():
        yield


@pytest.fixture(autouse=True, scope="module")
def frozen() -> Iterator[None]:
    """Hide older objects from the collector, which some of Flower's strategies call a reply."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
