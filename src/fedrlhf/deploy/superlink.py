"""A SuperLink of our own for one run: its home, its port, its end.

A SuperLink that `flwr run` starts by itself outlives the run, serves every later run with the
environment and the code of the first, and listens on a port that all users share.
"""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from fedrlhf.deploy.flwr_commands import Flwr, program, quiet_environment
from fedrlhf.errors import RunFailed

LAUNCHER_PID = "FEDRLHF_LAUNCHER_PID"  # the ServerApp ends when this process is gone
LAUNCHER_FOLDER = "FEDRLHF_LAUNCHER_FOLDER"  # relative paths in a configuration start here
_PR_SET_PDEATHSIG = 1
_START_TIMEOUT = 60.0
_END_TIMEOUT = 3.0  # nothing of theirs is kept, and a preempted job may have 30 s in all
_CONNECTION = "fedrlhf"


@contextmanager
def superlink(home: Path) -> Iterator[Flwr]:
    """Start a SuperLink that keeps its files in `home`; end it and all it started afterwards.

    Raises:
        RunFailed: It does not answer within a minute.
    """
    port = _prepare(home)
    # Its database stays in memory: a file would be SQLite with a write-ahead log, which does not
    # work on the network volumes that clusters keep runs on.
    process = subprocess.Popen(
        [program("flower-superlink"), "--insecure", "--simulation", "--isolation", "subprocess",
         "--host", "127.0.0.1", "--port", str(port), "--log-file", str(home / "superlink.log")],
        env=environment(home), cwd=home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        preexec_fn=_die_with_parent)
    try:
        _wait_until_healthy(process, port, home)
        yield Flwr(_CONNECTION, home, environment(home))
    finally:
        end_processes(process.pid)


def environment(home: Path) -> dict[str, str]:
    """Return the environment of Flower's processes.

    Without the first setting Flower installs the app's dependencies anew for each run, from the
    network; those of Ray keep it from calling home and from merging the clients' log lines.
    """
    return {**quiet_environment(), "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
            "RAY_DEDUP_LOGS": "0", "RAY_USAGE_STATS_ENABLED": "0",
            "TOKENIZERS_PARALLELISM": "false", "FLWR_HOME": str(home),
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
    """Write Flower's configuration; return a free port."""
    home.mkdir(parents=True, exist_ok=True)
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


def _die_with_parent() -> None:
    """Ask Linux to end this process when the one that started it is gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
