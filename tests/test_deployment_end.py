"""How a run at a SuperLink ended, as the command that submitted it tells."""

from pathlib import Path

import pytest

from fedrlhf.deploy.deployment import _tell_end
from fedrlhf.errors import RunFailed, UserError
from fedrlhf.tracking.run_directory import RunDirectory


def test_on_another_host_flowers_status_is_all_there_is(tmp_path: Path) -> None:
    """No manifest here: completed is silent, failed has Flower's details, stopped says so."""
    run = RunDirectory(tmp_path / "absent")
    _tell_end(run, 0, "finished:completed", "N/A")
    with pytest.raises(RunFailed, match="finished:failed: ServerApp failed with exception: 2 cl"):
        _tell_end(run, 0, "finished:failed", "ServerApp failed with exception: 2 clients …")
    with pytest.raises(RunFailed, match="the same command continues it"):
        _tell_end(run, 0, "finished:stopped", "")


@pytest.mark.parametrize(("kind", "error"), [("user", UserError), ("run", RunFailed)])
def test_on_the_superlinks_host_the_manifest_knows(kind: str, error: type[Exception],
                                                   tmp_path: Path) -> None:
    """The error's kind decides the exit code; an earlier attempt's error is not this one's."""
    run = RunDirectory(tmp_path)
    run.note(attempts=2, status="failed", error={"kind": kind, "message": "mend this"})
    with pytest.raises(error, match="mend this"):
        _tell_end(run, 1, "finished:failed", "ServerApp failed with exception: mend this")
    _tell_end(run, 2, "finished:completed", "N/A")
