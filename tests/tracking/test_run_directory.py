"""The folder of a run: who may work in it and what its manifest says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fedrlhf.errors import UserError
from fedrlhf.tracking.run_directory import RunDirectory, digest, file_digest, versions

HOLD = """
import sys
from fedrlhf.tracking.run_directory import RunDirectory
with RunDirectory.at(sys.argv[1]).locked():
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_kept_out(tmp_path: Path) -> None:
    """While a real process holds the run, another gets its number; after a kill it is free."""
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "run")], text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "locked\n"
        with pytest.raises(UserError, match=f"in use by process {holder.pid};"), \
                RunDirectory.at(str(tmp_path / "run")).locked():
            raise AssertionError("two processes hold the run")
        holder.kill()
        holder.wait()
    with RunDirectory.at(str(tmp_path / "run")).locked():
        pass


def test_the_lock_is_free_after_an_error(tmp_path: Path) -> None:
    """A failed attempt does not block the next one of the same process."""
    run = RunDirectory.at(str(tmp_path))
    with pytest.raises(RuntimeError), run.locked():
        raise RuntimeError
    with run.locked():
        assert (tmp_path / ".lock").read_text() == str(os.getpid())


def test_at_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative place is taken from the working directory; ~ is the home folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert RunDirectory.at("runs/a").path == tmp_path / "runs" / "a"
    assert RunDirectory.at("~/a").path == tmp_path / "home" / "a"
    assert not (tmp_path / "runs").exists()


def test_manifest_over_two_attempts(tmp_path: Path) -> None:
    """The first fails by the user's mistake, the second is completed: 2 attempts, no error left."""
    run = RunDirectory.at(str(tmp_path))
    assert run.manifest() == {}
    run.begin({"run": {"seed": 4}}, ["run.seed=4"])
    running = run.manifest()
    assert (running["status"], running["attempts"], running["pid"]) == ("running", 1, os.getpid())
    assert running["seed"] == 4 and running["overrides"] == ["run.seed=4"]
    run.finish("no such file", "user")
    assert run.manifest()["error"] == {"kind": "user", "message": "no such file"}
    assert run.manifest()["status"] == "failed"
    run.begin({"run": {"seed": 4}}, [])
    run.finish()
    done = run.manifest()
    assert (done["status"], done["attempts"], done["error"]) == ("completed", 2, None)


def test_digests(tmp_path: Path) -> None:
    """Equal data in any order have one digest; a changed byte, name or place changes a folder's."""
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1}) != digest({"a": 1, "b": [3]})
    folder = tmp_path / "f"
    (folder / "sub").mkdir(parents=True)
    (folder / "a").write_text("1")
    (folder / "sub" / "b").write_text("2")
    seen = {file_digest(folder), file_digest(folder / "a")}
    (folder / "a").write_text("3")
    seen |= {file_digest(folder), file_digest(folder / "a")}
    (folder / "a").rename(folder / "c")
    seen.add(file_digest(folder))
    (folder / "c").rename(folder / "sub" / "c")
    seen.add(file_digest(folder))
    assert len(seen) == 6


def test_versions_name_every_package() -> None:
    """A package that is not installed is `missing`, no error."""
    assert {"torch", "flwr", "trl"} <= set(versions())
    assert all(isinstance(value, str) and value for value in versions().values())


def test_only_the_attempt_at_work_can_be_interrupted(tmp_path: Path) -> None:
    """`interrupt_own` changes a running attempt of this process, and no other one's."""
    run = RunDirectory(tmp_path)
    run.interrupt_own()
    assert run.manifest() == {}
    run.begin({"run": {"seed": 0}}, [])
    run.interrupt_own()
    stopped = run.manifest()
    assert stopped["status"] == "interrupted" and stopped["ended"] is not None
    assert stopped["error"]["message"] == (
        "interrupted by Flower (flwr stop, or the end of its SuperLink)")
    run.finish()
    run.interrupt_own()
    assert run.manifest()["status"] == "completed"
    run.note(status="running", pid=-1)
    run.interrupt_own()
    assert run.manifest()["status"] == "running"
