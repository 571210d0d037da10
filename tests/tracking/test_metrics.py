"""metrics.jsonl: appended, rewound, and readable after a kill."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

import pytest

from fedrlhf.tracking.metrics import Metrics, read_metrics


class Memory:
    """A tracker that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def log(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        """Remember the numbers."""
        self.told.append((stage, step, dict(values)))

    def finish(self) -> None:
        """Remember the end."""
        self.told.append("finished")


def test_one_line_for_each_number(tmp_path: Path) -> None:
    """Records are appended in order; a number that is not finite becomes null; others are told."""
    other = Memory()
    metrics = Metrics(tmp_path / "metrics.jsonl", [other])
    metrics.log("select", 1, {"loss": 0.5, "replies": 3})
    metrics.log("select", 2, {"loss": math.nan})
    metrics.log("align", 1, {})
    metrics.finish()
    assert read_metrics(metrics.path) == [
        {"stage": "select", "step": 1, "name": "loss", "value": 0.5},
        {"stage": "select", "step": 1, "name": "replies", "value": 3},
        {"stage": "select", "step": 2, "name": "loss", "value": None}]
    assert all("NaN" not in line for line in metrics.path.read_text().splitlines())
    assert other.told[0] == ("select", 1, {"loss": 0.5, "replies": 3})
    assert other.told[-1] == "finished"


def test_a_new_object_goes_on_in_the_same_file(tmp_path: Path) -> None:
    """A resumed run appends."""
    for step in (1, 2):
        Metrics(tmp_path / "m").log("select", step, {"loss": 1.0})
    assert [record["step"] for record in read_metrics(tmp_path / "m")] == [1, 2]


def test_rewind_drops_later_steps_of_one_stage(tmp_path: Path) -> None:
    """Steps above 2 of `select` go; `align`, and steps up to 2, stay. -1 drops a whole stage."""
    metrics = Metrics(tmp_path / "m")
    metrics.rewind("select", 0)  # no file yet
    for stage in ("select", "align"):
        for step in range(4):
            metrics.log(stage, step, {"loss": 1.0})
    metrics.rewind("select", 2)
    assert [(r["stage"], r["step"]) for r in read_metrics(metrics.path)] == [
        ("select", 0), ("select", 1), ("select", 2), *(("align", step) for step in range(4))]
    metrics.rewind("align", -1)
    assert {r["stage"] for r in read_metrics(metrics.path)} == {"select"}


@pytest.mark.parametrize("kept", [1, 20, -2])
def test_a_half_written_last_line_is_left_out(tmp_path: Path, kept: int) -> None:
    """A kill cuts the last line anywhere; the rest is read, and a rewind mends the file."""
    metrics = Metrics(tmp_path / "m")
    metrics.log("select", 1, {"loss": 1.0})
    line = json.dumps({"stage": "select", "step": 2, "name": "loss", "value": 1.0}) + "\n"
    with metrics.path.open("a") as file:
        file.write(line[:kept])
    assert [record["step"] for record in read_metrics(metrics.path)] == [1]
    metrics.rewind("select", 2)
    metrics.log("select", 2, {"loss": 3.0})
    assert [record["value"] for record in read_metrics(metrics.path)] == [1.0, 3.0]


def test_a_broken_line_in_the_middle_is_no_accident(tmp_path: Path) -> None:
    """Only the last line can be cut by a kill; damage elsewhere is not hidden."""
    (tmp_path / "m").write_text('{"stage": "sel\n{"stage": "select"}\n')
    with pytest.raises(json.JSONDecodeError):
        read_metrics(tmp_path / "m")


def test_no_file_is_no_record(tmp_path: Path) -> None:
    """A run that recorded nothing has no metrics."""
    assert read_metrics(tmp_path / "absent") == []
