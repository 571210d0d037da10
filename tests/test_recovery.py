"""Kill -9 in the middle of each stage, then the same command: as if nothing had happened."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from small_runs import adapter_hashes, finish, small, start

pytestmark = pytest.mark.slow


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


def _in_a_round(run: Path) -> bool:
    return _lines(run / "select" / "rounds.jsonl") >= 2


def _in_writing(run: Path) -> bool:
    return len(list((run / "label" / "completions").glob("*.json"))) >= 1


def _in_dpo(run: Path) -> bool:
    return (run / "align" / "trainer" / "checkpoint-2" / "trainer_state.json").exists()


@pytest.mark.parametrize("moment", [_in_a_round, _in_writing, _in_dpo])
def test_killed_and_repeated(moment: Callable[[Path], bool], small_run: Path,
                             tmp_path: Path) -> None:
    """The process is killed at the first sight of the moment; the adapters are the same bits."""
    run = tmp_path / "run"
    process = start(small(run))
    deadline = time.monotonic() + 300
    while not moment(run) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert process.poll() is None, finish(process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert json.loads((run / "manifest.json").read_text())["status"] == "running"
    code, text = finish(start(small(run)))
    assert code == 0, text
    assert adapter_hashes(run) == adapter_hashes(small_run)
    assert json.loads((run / "manifest.json").read_text())["attempts"] == 2
    _same_records(run, small_run)


def _same_records(run: Path, reference: Path) -> None:
    """Compare what both runs measured, without times and without doubles of repeated rounds."""
    def records(folder: Path) -> list[tuple[object, ...]]:
        rows = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
        return [(r["stage"], r["step"], r["name"], r["value"]) for r in rows
                if r["name"] != "seconds"]
    assert sorted(map(repr, records(run))) == sorted(map(repr, records(reference)))


def test_interrupt_by_the_keyboard(tmp_path: Path) -> None:
    """Ctrl-C ends with 130 and one sentence, without a stack trace."""
    run = tmp_path / "run"
    process = start(small(run))
    while not _in_a_round(run) and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    code, text = finish(process)
    assert code == 130, text
    assert "the same command continues the run" in text
    assert "Traceback" not in text
