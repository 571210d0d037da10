"""Small run directories on disk, made by hand, with texts that try to break out of a page."""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from fedrlhf.config.schema import MAIN_JOB
from fedrlhf.tracking.run_directory import RunDirectory

EVIL = "<script>alert(1)</script>"
CLIENTS = ("ann", "bob $x_1$ & co", "cy", EVIL)
# Rounds 1 and 2 are the warm-up of selectors 0 and 1; then the grouping decides.
ROUNDS: tuple[tuple[int, dict[str, float], dict[str, int]], ...] = (
    (1, {"ann": 0.7, "cy": 0.6}, {}),
    (2, {"ann": 0.66}, {}),
    (3, {"ann": 0.5, "cy": 0.4}, {"ann": 0, "bob $x_1$ & co": 1, "cy": 1, EVIL: 0}),
    (4, {"cy": 0.3}, {"ann": 0, "bob $x_1$ & co": 0, "cy": 1, EVIL: 1}))
REASON = "update norm <b>9</b> is more than 3 times the median"
RESULTS = {
    "selector.agreement": 0.75, "selector.agreement_low": 0.65, "selector.agreement_high": 0.85,
    "selector.agreement_own": 0.8, "selector.agreement_oracle": 0.9,
    "selector.agreement_length_rule": 0.55, "selector.agreement_0": 0.7,
    "selector.agreement_1": 0.72, "selector.held_out_pairs": 40.0, "grouping.ari": -0.25}
POLICY = {
    "policy.utility_before": 1.0, "policy.utility_after": 1.62, "policy.utility_gain": 0.62,
    "policy.utility_gain_low": 0.41, "policy.utility_gain_high": 0.83, "policy.win_rate": 0.7,
    "policy.win_rate_low": 0.6, "policy.win_rate_high": 0.8, "policy.proxy_win_rate": 0.9,
    "policy.proxy_win_rate_low": 0.8, "policy.proxy_win_rate_high": 0.95,
    "policy.words_before": 20.0, "policy.words_after": 30.0, "label.accuracy": 0.8,
    "best_of.n": 2.0, "best_of.utility_one": 1.0, "best_of.utility_vote": 1.3,
    "best_of.utility_oracle": 1.5}


def settings(**changes: Any) -> dict[str, Any]:
    """Return a configuration; changes are dotted keys with ``__`` for the dots."""
    config: dict[str, Any] = {
        "run": {"name": "made", "dir": "/somewhere/runs/made", "seed": 3, "stages": list(MAIN_JOB)},
        "data": {"_target_": "fedrlhf.data.tutor.source.TutorSource", "seed": 0},
        "partition": {"by": "column"},
        "selector": {"model": {"path": "tiny_tutor", "revision": None}, "template": "tutor",
                     "letters": [" A", " B"]},
        "tutor": {"model": {"path": "tiny_tutor", "revision": None}},
        "objective": {"_target_": "fedrlhf.objectives.choice.Choice"},
        "strategy": {"_target_": "fedrlhf.federation.strategies.FedBiscuit", "selectors": 2,
                     "warmup_rounds": 1},
        "select": {"rounds": 4, "clients_per_round": 2},
        "align": {"beta": 0.1, "learning_rate": 0.001},
        "evaluate": {"level": 0.95}, "runtime": {"engine": "local"}}
    for key, value in changes.items():
        *path, last = key.split("__")
        node = config
        for part in path:
            node = node[part]
        node[last] = value
    return config


def make_run(path: Path, upto: str | None = "evaluate", *, config: dict[str, Any] | None = None,
             overrides: list[str] | None = None, results: dict[str, float] | None = None,
             ) -> RunDirectory:
    """Write a run directory whose stages up to the named one are done; None: just begun."""
    config = config or settings()
    done = MAIN_JOB[:MAIN_JOB.index(upto) + 1] if upto else ()
    write_text(path / "config.yaml", yaml.safe_dump(config, sort_keys=False))
    put(path / "manifest.json", {
        "status": "completed" if upto == "evaluate" else "running", "error": None,
        "started": "2026-03-04T05:06:07+0000", "overrides": overrides or [], "seed": 3,
        "versions": {"torch": "2.13.0"}, "python": "3.11.7", "attempts": 1})
    wanted = [stage for stage in done if stage in config["run"]["stages"]]
    for place, stage in enumerate(wanted, 1):
        _MAKERS[stage](path, config, results or {})
        put(path / stage / "stage.json",
            {"status": "done", "seconds": 10.0 * place, "settings": {}})
    if upto == "evaluate":
        found = json.loads((path / "evaluate" / "results.json").read_text())
        put(path / "results.json", found | {
            "bytes.down": 3e6, "bytes.up": 1e6, "seconds.total": 150.0})
    return RunDirectory(path)


def put(path: Path, content: object) -> None:
    """Write a JSON file."""
    write_text(path, json.dumps(content))


def write_text(path: Path, content: str) -> None:
    """Write a text file and its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def _partition(path: Path, config: dict[str, Any], results: dict[str, float]) -> None:
    sizes = [{"all": 100 - 10 * i, "train": 70 - 10 * i, "validation": 10, "test": 20}
             for i in range(len(CLIENTS))]
    rows = [{"client_id": client, "sizes": size, "ties": 0, "chosen_first": 0.5,
             "longer": 0.4 + 0.1 * i} for i, (client, size) in enumerate(
                 zip(CLIENTS, sizes, strict=True))]
    put(path / "partition" / "population.json", {
        "shards": [{"client_id": row["client_id"], "file": "x", "sizes": row["sizes"], "ties": 0}
                   for row in rows],
        "counts": {"clients_below_min_pairs": 7, "no_trace": 12, "pairs_below_min_pairs": 30,
                   "rows_set_aside": 1},
        "summary": {"clients": 4, "pairs": 340, "ties": 0, "chosen_first": 0.5,
                    "longer": {"std": 0.11, "min": 0.4, "median": 0.55, "max": 0.7},
                    "sizes": {"train": {"total": 220}, "validation": {"total": 40},
                              "test": {"total": 80}}, "rows": rows}})


def _select(path: Path, config: dict[str, Any], results: dict[str, float]) -> None:
    lines = [json.dumps({
        "server_round": number, "cohort": [*losses, EVIL], "metrics": {},
        "client_metrics": {client: {"train_loss": loss, "num-examples": 5.0}
                           for client, loss in losses.items()},
        "rejected": [{"client_id": EVIL, "reason": REASON}], "seconds": 1.0, "grouping": grouping})
        for number, losses, grouping in ROUNDS]
    write_text(path / "select" / "rounds.jsonl", "\n".join(lines) + "\n")
    put(path / "select" / "grouping.json", ROUNDS[-1][2])
    put(path / "select" / "costs.json", {
        "train": {"down": 2_000_000, "up": 999_000, "seconds": 61.0, "messages": 8, "failures": 4},
        "evaluate.rank": {"down": 1_000, "up": 1_000, "seconds": 1.0, "messages": 4}})
    for selector in range(2):
        write_text(path / "select" / f"selector_{selector}" / "adapter_config.json", "{}")


def _label(path: Path, config: dict[str, Any], results: dict[str, float]) -> None:
    put(path / "label" / "summary.json", {
        "instructions": 2, "completions": 8, "distinct_completions": 7, "judged_pairs": 12,
        "pairs": 10, "does_not_fit": 1, "unanimous": 0.5, "position_bias": 0.04})
    rows = [{"prompt": EVIL, "votes": votes, "selectors": 2, "log_odds": odds}
            for votes, odds in [(2.0, 1.0)] * 6 + [(1.0, 0.2)] * 4]
    pq.write_table(pa.Table.from_pylist(rows), path / "label" / "pairs.parquet")


def _align(path: Path, config: dict[str, Any], results: dict[str, float]) -> None:
    put(path / "align" / "summary.json", {"pairs": 10, "steps": 3})
    lines = [{"stage": "align", "step": step, "name": name, "value": value}
             for step, loss in ((1, 0.693), (2, None), (3, 0.5))
             for name, value in (("loss", loss), ("rewards/margins", step / 10),
                                 ("rewards/accuracies", 0.5 + step / 10))]
    write_text(path / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    write_text(path / "align" / "policy" / "adapter_config.json", "{}")


def _evaluate(path: Path, config: dict[str, Any], results: dict[str, float]) -> None:
    aligned = "align" in config["run"]["stages"]
    folder = path / "evaluate"
    put(folder / "results.json", RESULTS | (POLICY if aligned else {}) | results)
    put(folder / "clients.json", [
        {"client_id": client, "group": i % 2, "selector": ROUNDS[-1][2][client],
         "num-examples": 10.0, "vote": 8.0 - i, "own": 8.0, "length": 5.5, "oracle_known": 10.0,
         "oracle": 9.0} for i, client in enumerate(CLIENTS)])
    put(folder / "costs.json", {"evaluate.agreement": {
        "down": 1_000_000, "up": 4, "seconds": 2.0, "messages": 4, "failures": 0}})
    if aligned:
        put(folder / "curve.json", [
            {"step": 0, "proxy": 0.0, "utility": 1.0, "utility_low": 0.8, "utility_high": 1.2},
            {"step": 3, "proxy": 0.5, "utility": 1.62, "utility_low": 1.4, "utility_high": 1.8}])
        put(folder / "best_of.json", {"n": [1, 2], "vote": [1.0, 1.3], "oracle": [1.0, 1.5]})
        put(folder / "samples.json", [{"prompt": f"{EVIL} number {i}", "before": "one\n  two",
                                       "after": f"</p>{EVIL}"} for i in range(8)])


_MAKERS = {"partition": _partition, "select": _select, "label": _label, "align": _align,
           "evaluate": _evaluate}


class Page(HTMLParser):
    """A page as a reader and a browser see it.

    Attributes:
        text: All text outside of style sheets, white space joined.
        tags: Every element's name and attributes.
    """

    def __init__(self, path: Path) -> None:
        """Read a page from its file."""
        super().__init__()
        self.source = path.read_text("utf-8")
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._texts: list[str] = []
        self._hidden = False
        self.feed(self.source)
        self.text = " ".join(" ".join(self._texts).replace("\N{NO-BREAK SPACE}", " ").split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.tags.append((tag, dict(attrs)))
        self._hidden = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        """Note the end of a style sheet."""
        if tag == "style":
            self._hidden = False

    def handle_data(self, data: str) -> None:
        """Collect text."""
        if not self._hidden:
            self._texts.append(data)

    def ids(self) -> list[str]:
        """Return all ids."""
        return [str(attributes["id"]) for _, attributes in self.tags if "id" in attributes]
