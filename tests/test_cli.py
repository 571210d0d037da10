"""The command line: what it prints and how it ends."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fedrlhf.cli import main


def test_config_prints_the_resolved_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    """The output is YAML that holds the override and every section."""
    assert main(["config", "strategy=fedbis", "select.rounds=7"]) == 0
    found = yaml.safe_load(capsys.readouterr().out)
    assert found["select"]["rounds"] == 7
    assert found["strategy"]["_target_"].endswith("FedBis")
    assert {"run", "data", "partition", "tutor", "selector", "objective", "label", "align",
            "evaluate", "tracker", "runtime"} <= found.keys()


@pytest.mark.parametrize(("words", "message"), [
    (["run", "select.round=3"], "Did you mean select.rounds?"),
    (["run", "data=jsonl", "data.path=/absent.jsonl"], "/absent.jsonl"),
    (["report", "/absent"], "not a run directory"),
    (["config", "strategy=fedbist"], "fedbis"),
])
def test_user_errors(words: list[str], message: str, tmp_path: Path,
                     monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, one message, no stack trace."""
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_help_needs_no_torch() -> None:
    """`fedrlhf --help` and `fedrlhf config` answer without loading torch."""
    code = ("import sys; from fedrlhf.cli import main; main(['config']); "
            "assert 'torch' not in sys.modules")
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                           check=False)
    assert found.returncode == 0, found.stderr


def test_doctor_names_what_it_found(capsys: pytest.CaptureFixture[str]) -> None:
    """Versions, memory, the embedded model and Flower's settings; 0 where nothing is missing."""
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    for word in ("Python", "flwr", "torch", "bitsandbytes", "GPU", "GiB", "tiny_tutor", "Flower"):
        assert word in text, word
    assert "Everything that a run needs is here." in text


@pytest.mark.slow
def test_report_of_one_and_of_two(small_run: Path, tmp_path: Path,
                                  capsys: pytest.CaptureFixture[str]) -> None:
    """The page is written where it is asked for and the console shows the results' numbers."""
    page = tmp_path / "one.html"
    assert main(["report", str(small_run), "--out", str(page)]) == 0
    results = json.loads((small_run / "results.json").read_text())
    text = capsys.readouterr().out
    assert f"{results['selector.agreement_oracle']:.3f}" in text
    assert page.read_text().startswith("<!DOCTYPE html>")
    both = tmp_path / "both.html"
    assert main(["report", str(small_run), str(small_run), "--out", str(both)]) == 0
    assert both.exists()
