"""SIGTERM: how a cluster says that it takes the machine back."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from fedrlhf.errors import Terminated


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """Raise `Terminated` in the main thread at the first SIGTERM while the block runs.

    Without a handler the kernel ignores SIGTERM for the first process of a container.
    """
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(number: int, _frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # a second one must not disturb the clean end
    raise Terminated
