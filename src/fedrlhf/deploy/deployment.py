"""`fedrlhf run runtime.engine=deployment`: submit to a running SuperLink, follow, tell the end."""

import subprocess
import tempfile
import time
from pathlib import Path

from fedrlhf.config import schema
from fedrlhf.deploy.connections import safe_connection
from fedrlhf.deploy.flwr_commands import Flwr, quiet_environment
from fedrlhf.errors import ConfigError, RunFailed, UserError
from fedrlhf.tracking.progress import ProgressReport
from fedrlhf.tracking.run_directory import RunDirectory

_TRIES = 30  # questions to a SuperLink that does not answer, before the run is given up for lost
_PAUSE = 10.0  # seconds between them


def follow_deployment(config: schema.Config, overrides: str, progress: ProgressReport) -> None:
    """Submit the app to the SuperLink that the configuration names and show its log to the end.

    The ServerApp works on the SuperLink's host, and ``run.dir`` is a folder there. On another host
    only Flower's log and status are known. Ctrl-C and SIGTERM stop the run; if this process dies
    in another way, the run goes on.

    Args:
        config: The configuration.
        overrides: The overrides that compose it, as one string.
        progress: Where to show progress.

    Raises:
        UserError: The connection is missing or unsafe, or the run ended with an error that the
            user can mend and its folder is on this host.
        RunFailed: The run failed or was stopped.
    """
    if config.runtime.superlink is None:
        raise ConfigError("runtime.superlink must name a connection of Flower's config.toml "
                          "(docs/deploy.md): runtime.superlink=federation")
    connection = safe_connection(config.runtime.superlink)
    run = RunDirectory.at(config.run.dir)
    attempts = run.manifest().get("attempts", 0)
    with tempfile.TemporaryDirectory() as folder:
        flwr = Flwr(connection.name, Path(folder), _environment())
        run_id = _submit(flwr, overrides, progress)
        progress.message(f"run {run_id} at {connection.address}; "
                         f"`flwr stop {run_id} {connection.name}` ends it")
        try:
            status, details = _follow(flwr, run_id)
        except KeyboardInterrupt:
            _stop(flwr, run_id, progress)
            raise
    _tell_end(run, attempts, status, details)


def _submit(flwr: Flwr, overrides: str, progress: ProgressReport) -> str:
    try:
        return flwr.submit(overrides)
    except KeyboardInterrupt:
        progress.message("interrupted while the run was submitted: "
                         f"`flwr list {flwr.connection}` says whether it goes on")
        raise


def _stop(flwr: Flwr, run_id: str, progress: ProgressReport) -> None:
    """Stop the run; this process ends by its signal even where that does not work."""
    try:
        flwr.stop(run_id)
    except RunFailed as error:
        progress.message(f"run {run_id} was not stopped: {error}")


def _follow(flwr: Flwr, run_id: str) -> tuple[str, str]:
    """Show the log until the run is finished; return its status and details."""
    tries = 0
    while True:
        log = flwr.follow_log(run_id)
        try:
            log.wait()
        finally:
            _end(log)
        try:
            status, details = flwr.status(run_id)
            if status.startswith("finished"):
                return status, details
            tries = 0
        except RunFailed:
            tries += 1
            if tries >= _TRIES:
                raise
        time.sleep(_PAUSE)


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.terminate()
        process.wait()


def _tell_end(run: RunDirectory, attempts: int, status: str, details: str) -> None:
    """Raise if the run did not complete; its manifest knows best where it is on this host."""
    manifest = run.manifest()
    here = manifest.get("attempts", 0) > attempts
    if status == "finished:stopped":
        raise RunFailed("it was stopped; the same command continues it")
    if here and (error := manifest["error"]):
        raise (UserError if error["kind"] == "user" else RunFailed)(error["message"])
    if status != "finished:completed":
        raise RunFailed(f"Flower says {status}: {details}")


def _environment() -> dict[str, str]:
    """Return the environment of Flower's commands, with the user's own FLWR_HOME."""
    return {**quiet_environment(), "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}
