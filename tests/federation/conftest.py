"""Every test of this folder creates messages as a ServerApp does."""

from collections.abc import Iterator

import pytest

from fedrlhf.federation.flower_internals import server_identity


@pytest.fixture(autouse=True)
def identity() -> Iterator[None]:
    """Let `Message(...)` work outside the processes that Flower starts."""
    with server_identity():
        yield
