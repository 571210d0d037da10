"""Flower's command line: submit a run, ask for its status, read its log, stop it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedrlhf.errors import RunFailed

_APP = """\
[project]
name = "fedrlhf"
version = "{version}"
dependencies = []

[tool.flwr.app]
publisher = "fedrlhf"

[tool.flwr.app.components]
serverapp = "fedrlhf.server_app:app"
clientapp = "fedrlhf.client_app:app"

[tool.flwr.app.config]
overrides = ""
"""


@dataclass(frozen=True)
class Flwr:
    """The commands of `flwr` with one SuperLink.

    Attributes:
        connection: The SuperLink's name in Flower's config.toml.
        folder: Where the app and its run configuration are written.
        environment: That of the commands.
    """

    connection: str
    folder: Path
    environment: Mapping[str, str]

    def submit(self, overrides: str, federation: Sequence[str] = ()) -> str:
        """Start a run by `flwr run` and return its id.

        Args:
            overrides: What composes the configuration, as one string.
            federation: Words such as ``num-supernodes=4``, for a simulation.

        Raises:
            RunFailed: Flower refused it.
        """
        from importlib.metadata import version

        app = self.folder / "app"
        app.mkdir(parents=True, exist_ok=True)
        (app / "pyproject.toml").write_text(_APP.format(version=version("fedrlhf")), "utf-8")
        run_config = self.folder / "run-config.toml"
        run_config.write_text(f"overrides = {json.dumps(overrides)}\n", "utf-8")
        more = ["--federation-config", " ".join(federation)] if federation else []
        return str(self._json("run", str(app), self.connection, "--run-config", str(run_config),
                              *more)["run-id"])

    def status(self, run_id: str) -> tuple[str, str]:
        """Return Flower's status of a run, such as ``finished:failed``, and its details.

        Raises:
            RunFailed: The SuperLink does not answer, or does not know the run.
        """
        run, = self._json("list", "--run-id", run_id, self.connection)["runs"]
        return str(run["status"]), str(run["status-details"])

    def log(self, run_id: str) -> str:
        """Return everything that a run has logged."""
        found = subprocess.run([program("flwr"), "log", run_id, self.connection, "--show"],
                               env=self.environment, cwd=self.folder, capture_output=True,
                               text=True, timeout=60, check=False)
        return found.stdout + found.stderr

    def follow_log(self, run_id: str) -> "subprocess.Popen[bytes]":
        """Start to show a run's log on this process's output, until the run ends."""
        return subprocess.Popen([program("flwr"), "log", run_id, self.connection, "--stream"],
                                env=self.environment, cwd=self.folder)

    def stop(self, run_id: str) -> None:
        """Ask the SuperLink to end a run."""
        self._json("stop", run_id, self.connection)

    def _json(self, *words: str) -> dict[str, Any]:
        found = subprocess.run([program("flwr"), *words, "--format", "json"],
                               env=self.environment, cwd=self.folder, capture_output=True,
                               text=True, check=False)
        start = found.stdout.find("{")
        answer = json.loads(found.stdout[start:]) if start >= 0 else {}
        if not answer.get("success"):
            reason = answer.get("error-message") or found.stdout + found.stderr
            raise RunFailed(f"`flwr {words[0]}` failed: {reason.strip()}")
        return dict(answer)


def program(name: str) -> str:
    """Return the path of one of Flower's programs, that of this Python's environment first.

    Raises:
        RunFailed: It is not installed.
    """
    found = shutil.which(name, path=search_path())
    if found is None:
        raise RunFailed(f"the program {name} is missing; install flwr[simulation]")
    return found


def quiet_environment() -> dict[str, str]:
    """Return this process's environment for Flower's programs: no calls home, our PATH."""
    return {**os.environ, "PATH": search_path(), "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1"}


def search_path() -> str:
    """Return PATH with this Python's programs first."""
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
