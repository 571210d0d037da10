"""A SuperLink of our own for one run: its home, its port, its end.

A SuperLink that `flwr run` starts by itself outlives the run, serves every later run with the
environment and the code of the first, and listens on a port that all users share.
"""

import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from fedrlhf.errors import RunFailed

LAUNCHER_PID = "FEDRLHF_LAUNCHER_PID"  # the ServerApp ends when this process is gone
LAUNCHER_FOLDER = "FEDRLHF_LAUNCHER_FOLDER"  # relative paths in a configuration start here
_PR_SET_PDEATHSIG = 1
_START_TIMEOUT = 60.0
_END_TIMEOUT = 3.0  # nothing of theirs is kept, and a preempted job may have 30 s in all
_CONNECTION = "fedrlhf"

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
class SuperLink:
    """A running SuperLink and the commands that talk to it."""

    home: Path
    process: "subprocess.Popen[bytes]"

    def submit(self, overrides: str, supernodes: int, client_cpus: int, client_gpus: float) -> str:
        """Start a run by `flwr run` and return its id.

        Raises:
            RunFailed: Flower refused it.
        """
        run_config = self.home / "run-config.toml"
        run_config.write_text(f"overrides = {json.dumps(overrides)}\n", "utf-8")
        answer = self._flwr(
            "run", str(self.home / "app"), _CONNECTION, "--run-config", str(run_config),
            "--federation-config", f"num-supernodes={supernodes} "
            f"client-resources-num-cpus={client_cpus} client-resources-num-gpus={client_gpus}",
            "--format", "json")
        if not answer.get("run-id"):
            raise RunFailed(f"`flwr run` refused the run: {answer}")
        return str(answer["run-id"])

    def status(self, run_id: str) -> str:
        """Return Flower's status of a run, such as ``running`` or ``finished:failed``."""
        runs = self._flwr("list", "--run-id", run_id, _CONNECTION, "--format", "json")["runs"]
        return str(runs[0]["status"])  # type: ignore[index]

    def log(self, run_id: str) -> str:
        """Return everything that a run has logged."""
        found = subprocess.run([_program("flwr"), "log", run_id, _CONNECTION, "--show"],
                               env=environment(self.home), cwd=self.home, capture_output=True,
                               text=True, timeout=60, check=False)
        return found.stdout + found.stderr

    def _flwr(self, *words: str) -> dict[str, object] | dict[str, list[dict[str, object]]]:
        found = subprocess.run([_program("flwr"), *words], env=environment(self.home),
                               cwd=self.home, capture_output=True, text=True, check=False)
        start = found.stdout.find("{")
        if start < 0:
            raise RunFailed(f"`flwr {words[0]}` failed: {(found.stdout + found.stderr).strip()}")
        return dict(json.loads(found.stdout[start:]))


@contextmanager
def superlink(home: Path) -> Iterator[SuperLink]:
    """Start a SuperLink that keeps its files in `home`; end it and all it started afterwards.

    Raises:
        RunFailed: It does not answer within a minute.
    """
    port = _prepare(home)
    # Its database stays in memory: a file would be SQLite with a write-ahead log, which does not
    # work on the network volumes that clusters keep runs on.
    process = subprocess.Popen(
        [_program("flower-superlink"), "--insecure", "--simulation", "--isolation", "subprocess",
         "--host", "127.0.0.1", "--port", str(port), "--log-file", str(home / "superlink.log")],
        env=environment(home), cwd=home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        preexec_fn=_die_with_parent)
    try:
        _wait_until_healthy(process, port, home)
        yield SuperLink(home, process)
    finally:
        end_processes(process.pid)


def environment(home: Path) -> dict[str, str]:
    """Return the environment of Flower's processes.

    Without the first setting Flower installs the app's dependencies anew for each run, from the
    network; the others keep it from calling home and from merging the clients' log lines.
    """
    return {**os.environ,
            "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1", "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1", "RAY_DEDUP_LOGS": "0", "RAY_USAGE_STATS_ENABLED": "0",
            "TOKENIZERS_PARALLELISM": "false", "FLWR_HOME": str(home),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            LAUNCHER_PID: str(os.getpid()), LAUNCHER_FOLDER: str(Path.cwd())}


def end_processes(root: int) -> None:
    """End a process and everything below it: first asked, then killed."""
    try:
        parent = psutil.Process(root)
        family = [*parent.children(recursive=True), parent]
    except psutil.NoSuchProcess:
        return
    for process in family:
        _signal(process, signal.SIGTERM)
    _, alive = psutil.wait_procs(family, timeout=_END_TIMEOUT)
    for process in alive:
        _signal(process, signal.SIGKILL)


def _signal(process: psutil.Process, number: int) -> None:
    if process.is_running():
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            return


def _prepare(home: Path) -> int:
    """Write the app and Flower's configuration; return a free port."""
    from importlib.metadata import version

    app = home / "app"
    app.mkdir(parents=True, exist_ok=True)
    (app / "pyproject.toml").write_text(_APP.format(version=version("fedrlhf")), "utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    (home / "config.toml").write_text(
        f'[superlink]\ndefault = "{_CONNECTION}"\n\n[superlink.{_CONNECTION}]\n'
        f'address = "127.0.0.1:{port}"\ninsecure = true\n', "utf-8")
    return port


def _wait_until_healthy(process: "subprocess.Popen[bytes]", port: int, home: Path) -> None:
    deadline = time.monotonic() + _START_TIMEOUT
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RunFailed(f"Flower's SuperLink ended with code {process.returncode}; "
                            f"see {home / 'superlink.log'}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise RunFailed(f"Flower's SuperLink did not answer within {_START_TIMEOUT:.0f} s; "
                    f"see {home / 'superlink.log'}")


def _program(name: str) -> str:
    found = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}"
                                    f"{os.environ.get('PATH', '')}")
    if found is None:
        raise RunFailed(f"the program {name} is missing; install flwr[simulation]")
    return found


def _die_with_parent() -> None:
    """Ask Linux to end this process when the one that started it is gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
