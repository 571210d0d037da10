"""The README's code does what the README says."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")


def _python_block() -> str:
    block, = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    return str(block)


def test_a_strategy_takes_less_than_thirty_lines() -> None:
    """Count the lines that hold code."""
    assert 0 < len([line for line in _python_block().splitlines() if line.strip()]) < 30


@pytest.mark.slow
def test_the_strategy_runs(tmp_path: Path) -> None:
    """The block as it stands, in a folder of its own, with the smallest experiment."""
    (tmp_path / "mine.py").write_text(_python_block())
    found = subprocess.run([sys.executable, "mine.py"], cwd=tmp_path, capture_output=True,
                           text=True, timeout=400, check=False)
    assert found.returncode == 0, found.stderr
    run = tmp_path / "runs" / "median"
    assert json.loads((run / "results.json").read_text())["selector.agreement"] > 0
    assert "MedianBis" in (run / "report.html").read_text()


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\((?!https?:)([^)#]+)", README))))
def test_links_lead_to_files(link: str) -> None:
    """A relative link names a file of the repository."""
    assert (Path(__file__).parents[1] / link).exists()
