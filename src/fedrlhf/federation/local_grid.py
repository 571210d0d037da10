"""A Flower Grid in one process: for tests, debugging and single-GPU speed."""

import copy
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field

from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp

from fedrlhf.federation.request_grid import RequestGrid

_CLIENT_ERROR = 2  # Flower's code for a ClientApp that raised


@dataclass
class LocalGrid(RequestGrid):
    """Calls a ClientApp for each message, one after the other, in the process of the server.

    An exception in the ClientApp becomes an error reply, as it does in Flower's engine.

    Attributes:
        app: The ClientApp.
        supernodes: How many nodes there are; node i has ``partition-id`` i - 1.
        run_config: What Flower would pass as the run configuration.
    """

    app: ClientApp
    supernodes: int
    run_config: dict[str, bool | float | int | str]
    _contexts: dict[int, Context] = field(default_factory=dict)

    def get_node_ids(self) -> list[int]:
        """Return 1 … supernodes."""
        return list(range(1, self.supernodes + 1))

    def send_and_receive(self, messages: Iterable[Message], *,
                         timeout: float | None = None) -> list[Message]:
        """Deliver the messages and return all replies."""
        return [self._deliver(message) for message in messages]

    def _deliver(self, message: Message) -> Message:
        message.metadata.__dict__["_message_id"] = str(uuid.uuid4())
        try:
            # The client gets a copy, as over a network: what it changes stays with it.
            return self.app(copy.deepcopy(message), self._context(message.metadata.dst_node_id))
        except Exception as error:  # noqa: BLE001  a client's failure must not stop the server
            reason = f"{type(error).__name__}: {error}"
            return Message(Error(_CLIENT_ERROR, reason), reply_to=message)

    def _context(self, node: int) -> Context:
        if node not in self._contexts:
            self._contexts[node] = Context(
                run_id=1, node_id=node, state=RecordDict(), run_config=dict(self.run_config),
                node_config={"partition-id": node - 1, "num-partitions": self.supernodes})
        return self._contexts[node]

    def set_run(self, run: object) -> None:
        """Do nothing: there is one run in the process."""

    @property
    def run(self):  # type: ignore[no-untyped-def]  # noqa: ANN201
        """Refuse: no SuperLink knows this run."""
        raise NotImplementedError("the local grid has no SuperLink")
