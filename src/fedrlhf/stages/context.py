"""What every stage has at hand."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy

from fedrlhf.config import build, schema
from fedrlhf.data.population import Index, read_index
from fedrlhf.data.source import Source
from fedrlhf.errors import RunFailed
from fedrlhf.federation.client_grid import Client, ClientGrid, call_roll
from fedrlhf.files import read_json, write_json
from fedrlhf.objectives.base import Objective
from fedrlhf.objectives.personal import Shared
from fedrlhf.tracking.metrics import Metrics
from fedrlhf.tracking.progress import ProgressReport
from fedrlhf.tracking.run_directory import RunDirectory

MEMORY = "memory.json"


@dataclass
class Context:
    """A run in progress.

    Attributes:
        config: The whole configuration.
        run: The run's folder.
        metrics: Where numbers are recorded.
        progress: Where progress is shown.
        grid: The way to the clients; None where only the server's own stages run.
        given_strategy: A strategy object from Python, instead of the configured one.
    """

    config: schema.Config
    run: RunDirectory
    metrics: Metrics
    progress: ProgressReport
    grid: Grid | None = None
    given_strategy: Strategy | None = None

    @cached_property
    def source(self) -> Source:
        """The preference source."""
        return build(self.config.data, "data", self.config.trust)  # type: ignore[no-any-return]

    @cached_property
    def objective(self) -> Objective:
        """What the clients optimise."""
        return build(self.config.objective, "objective", self.config.trust)  # type: ignore[no-any-return]

    @cached_property
    def personal(self) -> Shared:
        """Which models of their own the clients have."""
        return build(self.config.personal, "personal", self.config.trust)  # type: ignore[no-any-return]

    @property
    def federated_stage(self) -> str:
        """The stage in which the objective is trained: select or rlhf."""
        return self.objective.stage

    @property
    def rounds(self) -> schema.Rounds:
        """The settings of that stage."""
        return getattr(self.config, self.federated_stage)  # type: ignore[no-any-return]

    @cached_property
    def strategy(self) -> Strategy:
        """The strategy object from Python, or the configured one."""
        return self.given_strategy or build(self.config.strategy, "strategy", self.config.trust)

    @cached_property
    def given_settings(self) -> dict[str, Any]:
        """What is known of a strategy object before its first round: class and plain attributes."""
        kind = type(self.given_strategy)
        plain = {key: value for key, value in sorted(vars(self.given_strategy).items())
                 if not key.startswith("_") and isinstance(value, bool | int | float | str | None)}
        return {"_target_": f"{kind.__module__}.{kind.__qualname__}", **plain}

    @cached_property
    def population(self) -> Index:
        """Which clients there are."""
        return read_index(self.run.path / "partition")

    @property
    def deployed(self) -> bool:
        """Whether each site holds its own shard and the server none."""
        return self.config.runtime.engine == "deployment"

    @cached_property
    def clients(self) -> list[Client]:
        """All clients, after they answered the roll call."""
        expected = (self.config.runtime.clients if self.deployed
                    else [entry.client_id for entry in self.population.shards])
        return call_roll(self.connection, expected, self.rounds.reply_timeout)

    def client_grid(self, layout: str) -> ClientGrid:
        """Return a way to all clients for adapters of this layout.

        To an objective that learns from pairs alone, clients with ratings alone have nothing.
        """
        clients = self.clients
        if self.objective.learns_from == "pair":
            clients = [client.with_pairs_only() for client in clients]
        return ClientGrid(self.connection, clients, layout, self.rounds.reply_timeout,
                          self._memory_key())

    def _memory_key(self) -> str:
        """Return under which key the clients keep what they send to nobody.

        It is drawn when the federated stage begins and lives in its folder: continued, the stage
        finds what its clients kept; made anew, it finds nothing of the time before.
        """
        path = self.run.folder(self.federated_stage) / MEMORY
        if not path.exists():
            write_json(path, {"key": uuid.uuid4().hex})
        return str(read_json(path)["key"])

    @property
    def connection(self) -> Grid:
        """The grid.

        Raises:
            RunFailed: This process has no way to the clients.
        """
        if self.grid is None:
            raise RunFailed("this stage needs clients, and this process has no connection to any")
        return self.grid


@dataclass(frozen=True)
class Stage:
    """A step that turns artifacts of the run's folder into new ones.

    Attributes:
        name: The stage's name and folder.
        run: Does the work, going on from what an interrupted attempt left.
        settings: The configuration keys that decide its result.
        after: The stages whose results it reads.
        optional: Those of them that it can do without.
        needs_clients: Whether it talks to clients.
        grows: The setting that counts its rounds: raised alone, the stage goes on from its
            checkpoint to what it would have reached without a stop.
    """

    name: str
    run: Callable[[Context], None]
    settings: tuple[str, ...]
    after: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    needs_clients: bool = False
    grows: str = ""


def adapter_folder(context: Context, selector: int) -> Path:
    """Return the folder of a trained selector."""
    return context.run.path / "select" / f"selector_{selector}"
