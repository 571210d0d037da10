"""metrics.jsonl: one line for each number of a round or step."""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from fedrlhf.files import write_text

Record = dict[str, Any]  # stage, step, name, value


class Tracker(Protocol):
    """Where numbers go besides metrics.jsonl."""

    def log(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        """Record numbers of a stage's step."""

    def finish(self) -> None:
        """Flush and close."""


class Metrics:
    """Appends numbers to metrics.jsonl and passes them on to other trackers."""

    def __init__(self, path: Path, others: list[Tracker] | None = None) -> None:
        self.path, self.others = path, others or []

    def log(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        """Append one line for each number; the lines are on disk when this returns."""
        lines = [json.dumps({"stage": stage, "step": step, "name": name,
                             "value": value if math.isfinite(value) else None})
                 for name, value in values.items()]
        with self.path.open("a", encoding="utf-8") as file:
            file.write("".join(f"{line}\n" for line in lines))
            file.flush()
            os.fsync(file.fileno())
        for other in self.others:
            other.log(stage, step, values)

    def rewind(self, stage: str, step: int) -> None:
        """Drop what a stage recorded after a step, because that part is run again."""
        if self.path.exists():
            kept = [r for r in read_metrics(self.path) if r["stage"] != stage or r["step"] <= step]
            write_text(self.path, "".join(json.dumps(record) + "\n" for record in kept))

    def finish(self) -> None:
        """Close the other trackers."""
        for other in self.others:
            other.finish()


def read_metrics(path: Path) -> list[Record]:
    """Read metrics.jsonl; a last line that a kill cut short is left out."""
    if not path.exists():
        return []
    lines = path.read_text("utf-8").splitlines()
    records = []
    for number, line in enumerate(lines, 1):
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            if number < len(lines):
                raise
    return records
