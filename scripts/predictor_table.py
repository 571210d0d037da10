"""Print the table of docs/predictor.md from finished runs.

``python scripts/predictor_table.py RUN...``: runs of one name are seeds of one configuration; a
cell is the mean over them with Student's 95% interval.
"""

import sys
from collections import defaultdict
from pathlib import Path

import yaml

from fedrlhf.evaluation.intervals import t_interval
from fedrlhf.files import read_json
from fedrlhf.report.table import ROWS
from fedrlhf.tracking.run_directory import CONFIG, RESULTS


def main(folders: list[str]) -> None:
    """Read the results and print Markdown."""
    columns: dict[str, list[dict[str, float]]] = defaultdict(list)
    for folder in folders:
        config = yaml.safe_load((Path(folder) / CONFIG).read_text("utf-8"))
        columns[config["run"]["name"]].append(read_json(Path(folder) / RESULTS))
    print(f"| | {' | '.join(f'{name} ({len(runs)})' for name, runs in columns.items())} |")
    print(f"|---|{'---|' * len(columns)}")
    for row in ROWS:
        if row.name.startswith("alignment."):
            cells = [_cell([run[row.name] for run in runs if row.name in run], row.form)
                     for runs in columns.values()]
            print(f"| {row.label} | {' | '.join(cells)} |")


def _cell(values: list[float], form: str) -> str:
    if not values:
        return "–"
    text = form.format(sum(values) / len(values))
    interval = t_interval(values, 0.95)
    if interval is None:
        return text
    low = max(interval[0], 0.0) if form.endswith("0f}") else interval[0]  # a count is not negative
    return f"{text} [{form.format(low)}, {form.format(interval[1])}]"


if __name__ == "__main__":
    main(sys.argv[1:])
