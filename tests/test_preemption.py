"""SIGTERM, as a cluster sends it before it takes a machine back, then the same command."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from small_runs import adapter_hashes, finish, small, start

from fedrlhf.deploy.stopping import sigterm_raises
from fedrlhf.errors import Terminated

ENTRYPOINT = Path(__file__).parents[1] / "runai" / "entrypoint.sh"
ENOUGH = 30.0  # seconds, what a cluster gives unless told else


def _in_a_round(run: Path) -> bool:
    # A round's checkpoint is the last that it writes, so the signal comes in the next one.
    return (run / "select" / "checkpoint.safetensors").exists()


def _in_dpo(run: Path) -> bool:
    return (run / "align" / "trainer" / "checkpoint-2" / "trainer_state.json").exists()


def _terminate(process: "subprocess.Popen[str]", run: Path,
               moment: Callable[[Path], bool]) -> list[psutil.Process]:
    """Send SIGTERM at the first sight of a moment; check how the process ends.

    Return the processes that it had started.
    """
    deadline = time.monotonic() + 300
    while not moment(run) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert process.poll() is None, finish(process)
    family = psutil.Process(process.pid).children(recursive=True)
    sent, clock = time.monotonic(), time.time()
    process.send_signal(signal.SIGTERM)
    code, text = finish(process, timeout=ENOUGH)
    print(f"ended {time.monotonic() - sent:.1f} s after SIGTERM")
    assert code == 143, text
    assert "the same command continues the run" in text
    assert "Traceback" not in text
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["status"] == "interrupted"
    assert manifest["error"] == {"kind": "signal", "message": "interrupted by SIGTERM"}
    written = [path for path in run.rglob("*") if path.is_file() and ".flower" not in path.parts
               and path.stat().st_mtime > clock]
    assert sum(path.stat().st_size for path in written) < 100_000, written
    return family


@pytest.mark.slow
def test_terminated_twice_and_repeated(small_run: Path, tmp_path: Path) -> None:
    """In a round, then in DPO, through the image's entrypoint: the adapters are the same bits."""
    run = tmp_path / "run"
    for moment in (_in_a_round, _in_dpo):
        process = subprocess.Popen(
            [ENTRYPOINT, sys.executable, "-m", "fedrlhf.cli", "run", *small(run)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        _terminate(process, run, moment)
    code, text = finish(start(small(run)))
    assert code == 0, text
    assert adapter_hashes(run) == adapter_hashes(small_run)
    manifest = json.loads((run / "manifest.json").read_text())
    assert (manifest["status"], manifest["attempts"]) == ("completed", 3)


@pytest.mark.slow
def test_terminated_on_flowers_engine(small_run: Path, tmp_path: Path) -> None:
    """SuperLink, ServerApp and Ray's processes end with the command; either engine goes on."""
    run = tmp_path / "run"
    words = small(run, "run.stages=[partition,select]")
    family = _terminate(start([*words, "runtime.engine=flower"]), run, _in_a_round)
    assert len(family) > 3
    gone, alive = psutil.wait_procs(family, timeout=2)
    assert not [p for p in alive if p.status() != psutil.STATUS_ZOMBIE]
    code, text = finish(start(words))
    assert code == 0, text
    found, expected = adapter_hashes(run), adapter_hashes(small_run)
    assert len(found) == 2 and found.items() <= expected.items()


def test_the_first_sigterm_raises_and_a_second_one_disturbs_nothing() -> None:
    """The handler of before is back after the block."""
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Terminated), sigterm_raises():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before


def test_sigterm_reaches_the_program_behind_the_entrypoint(tmp_path: Path) -> None:
    """The shell has become Python: same process id, SIGTERM arrives, the exit code is Python's."""
    program = ("import os, signal, sys, time\n"
               "signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))\n"
               "print(os.getpid(), sys.argv[1:], flush=True)\n"
               "time.sleep(60)\n")
    process = subprocess.Popen([ENTRYPOINT, sys.executable, "-c", program, "two words", "it's"],
                               stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == f"{process.pid} ['two words', \"it's\"]\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=ENOUGH) == 143
    process.stdout.close()


def test_the_entrypoint_mends_the_environment(tmp_path: Path) -> None:
    """Without a home that can be written: another one, a user's name, and the wanted umask."""
    script = 'umask; test -w "$HOME" && echo "$HOME"; echo "$USER $LOGNAME"'
    found = subprocess.run(
        [ENTRYPOINT, "bash", "-c", script], capture_output=True, text=True, check=True,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path / "absent"), "FEDRLHF_UMASK": "007"})
    mask, home, user = found.stdout.splitlines()
    assert mask == "0007"
    assert home != str(tmp_path / "absent")
    assert user.split()[0] == user.split()[1] != ""
