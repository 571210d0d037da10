"""The one module that imports private names of Flower; written against flwr 1.41 and 1.42."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid
from flwr.supercore.exit import add_exit_handler
from flwr.supercore.run import RunNotRunningException as RunNotRunning
from flwr.supercore.task_identity import TaskIdentity

__all__ = ["NODE_UNAVAILABLE", "SERVER_NODE", "RunNotRunning", "activations",
           "before_flower_exits", "quiet_flower", "server_identity"]

SERVER_NODE = 1
NODE_UNAVAILABLE: int = ErrorCode.NODE_UNAVAILABLE  # nobody answers for a SuperNode


@contextmanager
def server_identity() -> Iterator[None]:
    """Let this process create messages as a ServerApp does.

    Flower sets the identity in the processes that it starts; outside them `Message(...)` raises.
    An identity that is already set, because Flower started this process, stays.
    """
    names = ("_task_id", "_run_id", "_node_id")
    before = {name: getattr(TaskIdentity, name) for name in names}
    if before["_run_id"] is None:
        TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, SERVER_NODE
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(TaskIdentity, name, value)


def activations(grid: Grid) -> dict[int, str]:
    """Return the SuperNodes that a deployment's SuperLink hears, with when each was started."""
    return {node.node_id: node.last_activated_at for node in grid.get_nodes()}


def before_flower_exits(handler: Callable[[], None]) -> None:
    """Call a function first when Flower ends this process, at its end or by `flwr stop`.

    Flower's own work there may hang and is cut off after seconds, with no exception in our code.
    """
    add_exit_handler(handler, run_before_force_exit=True)


def quiet_flower() -> None:
    """Keep Flower's own log out of the console, except for warnings."""
    logging.getLogger("flwr").setLevel(logging.WARNING)
