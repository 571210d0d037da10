"""What this project needs of a Flower Grid: messages out, one reply for each back."""

from collections.abc import Iterable

from flwr.app import Message
from flwr.serverapp import Grid


class RequestGrid(Grid):
    """A Grid with `send_and_receive` alone.

    Flower's other ways would let replies pass by unnamed, uncounted, unsorted or unrepeated.
    """

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Refuse: replies must pass through `send_and_receive`."""
        raise NotImplementedError("use send_and_receive")

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Refuse: replies must pass through `send_and_receive`."""
        raise NotImplementedError("use send_and_receive")

    def create_message(self, *args: object, **kwargs: object) -> Message:
        """Refuse Flower's deprecated way; construct `Message` instead."""
        raise NotImplementedError("construct flwr.app.Message(content, node, message_type)")


class WrappingGrid(RequestGrid):
    """A RequestGrid above another grid, which knows the run.

    Attributes:
        inner: The grid below.
    """

    inner: Grid

    def set_run(self, run: object) -> None:
        """Pass on to the grid below."""
        self.inner.set_run(run)  # type: ignore[arg-type]

    @property
    def run(self):  # type: ignore[no-untyped-def]  # noqa: ANN201
        """Flower's facts about the run."""
        return self.inner.run
