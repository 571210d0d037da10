"""One card as the model hub reads it: what every card of a run says, and how to load it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedrlhf.report.artifacts import Artifacts, facts, finite, numbers, rows
from fedrlhf.report.render import render
from fedrlhf.report.rounds import strategy_name
from fedrlhf.report.table import ROWS, show
from fedrlhf.report.verdict import scores, verdict
from fedrlhf.report.words import number, percent, plain, size

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

CARD = "README.md"
EMBEDDED = "tiny_tutor"  # the model inside this package; no hub knows it
TAGS = ["federated-learning", "flower", "fedrlhf"]
_UNSAFE = str.maketrans({character: f"\\{character}" for character in "\\`*_{}[]<>#|"})


@dataclass(frozen=True)
class Content:
    """What sets a model's card apart from another one's.

    Attributes:
        title: The heading.
        summary: What the model is, in a sentence.
        tags: Beside those of every card.
        place: Where to load it from.
        training: Facts on its training.
        results: Facts on its evaluation.
        measured: The kind of metric of each result that the hub shows.
        aim: What a policy was optimised for, empty for a judge.
        merged: Whether it is a whole model and no adapter.
        federated: Whether clients took part; else the card tells nothing of their data.
    """

    title: str
    summary: str
    tags: list[str]
    place: str
    training: list[tuple[str, str]]
    results: list[tuple[str, str]]
    measured: Mapping[str, str]
    aim: str = ""
    merged: bool = False
    federated: bool = True


def write_card(artifacts: Artifacts, part: str, content: Content) -> str:
    """Fill the card's template; `part` is the section of the configuration it belongs to."""
    from huggingface_hub import ModelCard, ModelCardData

    base = str(artifacts.setting(f"{part}.model.path") or EMBEDDED)
    task = "text-generation" if part == "tutor" else "text-classification"
    evaluated = _evaluated(artifacts, task, content.measured)
    bits = artifacts.setting(f"{part}.model.quantization")
    quantised = [] if bits in (None, "none") else [
        ("base model during training", f"quantised, {plain(bits, 10)}")]
    data = ModelCardData(
        base_model=base if on_hub(base) else None, license=_license(base),
        library_name="transformers" if content.merged else "peft", pipeline_tag=task,
        tags=[*(TAGS if content.federated else TAGS[-1:]), *content.tags],
        eval_results=evaluated or None, model_name=run_name(artifacts) if evaluated else None)
    body = render(
        "card.md.j2", title=marked(content.title), summary=content.summary,
        verdict=verdict(artifacts), part=part, place=content.place, merged=content.merged,
        kind="embedded" if base == EMBEDDED else "hub" if on_hub(base) else "folder",
        base=base_name(artifacts, part),
        remote_code=artifacts.setting(f"{part}.model.trust_remote_code") is True,
        revision=plain(artifacts.setting(f"{part}.model.revision") or "main", 40),
        dtype=plain(artifacts.setting(f"{part}.model.dtype") or "float32", 20),
        federated=content.federated, federation=_federation(artifacts),
        data_facts=_data(artifacts), training=content.training + quantised,
        results=content.results, aim=content.aim,
        scores=part == "selector" and scores(artifacts),
        layout=plain(artifacts.setting("selector.template"), 30),
        letters=[json.dumps(letter) for letter in _list(artifacts.setting("selector.letters"))])
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{body}"))


def base_name(artifacts: Artifacts, part: str) -> str:
    """Name the base model of a section of the configuration, without its place on this machine."""
    base = str(artifacts.setting(f"{part}.model.path") or EMBEDDED)
    return plain(base if base == EMBEDDED or on_hub(base) else Path(base).name, 80)


def on_hub(path: str) -> bool:
    """Say whether a model's path looks like a name on the hub and is no local folder."""
    return (path != EMBEDDED and path.count("/") == 1 and path[0] not in "./~"
            and not path.endswith("/") and not Path(path).expanduser().exists())


def run_name(artifacts: Artifacts) -> str:
    """Return the run's name on one line."""
    return plain(artifacts.setting("run.name") or artifacts.run.path.name, 60)


def marked(text: str) -> str:
    """Escape what Markdown would read as marks."""
    return text.translate(_UNSAFE)


def result_facts(results: Mapping[str, float], names: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return the results whose names begin so, as the table of results shows them."""
    return [(row.label, text) for row in ROWS
            if row.name.startswith(names) and (text := show(row, results))]


def _evaluated(artifacts: Artifacts, task: str, measured: Mapping[str, str]) -> list["EvalResult"]:
    """Return the results that the hub shows beside the card, each with its kind of metric."""
    from huggingface_hub import EvalResult

    names = {row.name: row.label for row in ROWS}
    return [EvalResult(task_type=task, dataset_type="preferences",
                       dataset_name="held-out data of the run", metric_type=kind,
                       metric_name=names.get(name, "agreement with held-out preferences"),
                       metric_value=round(artifacts.results[name], 4))
            for name, kind in measured.items() if name in artifacts.results]


def _license(base: str) -> str | None:
    """Return the licence that a local base model's own card names."""
    from huggingface_hub import ModelCard

    from fedrlhf.models.load import resolve

    card = Path(resolve(base)).expanduser() / CARD
    if on_hub(base) or not card.is_file():
        return None
    known = ModelCard.load(card, ignore_metadata_errors=True).data.license
    return plain(known, 40) if isinstance(known, str) else None


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _federation(artifacts: Artifacts) -> list[tuple[str, str]]:
    clients = len(rows(artifacts.population.get("shards")))
    sent = [numbers(cost) for cost in artifacts.costs.values()]
    found = [("strategy", plain(strategy_name(artifacts) or "unknown", 60)),
             ("rounds", str(len(artifacts.rounds))),
             ("clients", str(clients)),
             ("clients asked in a round", plain(
                 artifacts.setting(f"{artifacts.federated}.clients_per_round"), 20)),
             ("updates not used", str(sum(len(rows(row.get("rejected")))
                                          for row in artifacts.rounds))),
             ("seed", plain(artifacts.setting("run.seed"), 20))]
    for key, name in (("down", "sent to clients"), ("up", "sent by clients")):
        found.append((name, size(sum(cost.get(key, 0.0) for cost in sent))))
    return [(name, marked(value)) for name, value in found]


def _data(artifacts: Artifacts) -> list[tuple[str, str]]:
    """Describe the preferences by numbers alone."""
    summary = facts(artifacts.population.get("summary"))
    sizes = facts(summary.get("sizes"))
    totals = {split: numbers(sizes.get(split)) for split in ("train", "validation", "test")}
    found = [(name, number(value)) for key, name in (
        ("pairs", "preference pairs"), ("ties", "ties, not trained on"))
        if (value := finite(summary.get(key))) is not None]
    found += [(f"pairs to {verb}", number(totals[split]["total"])) for split, verb in (
        ("train", "train on"), ("validation", "validate on"), ("test", "test on"))
        if "total" in totals[split]]
    everything = numbers(sizes.get("all"))
    if {"min", "median", "max"} <= set(everything):
        found.append(("pairs of a client", f"{number(everything['min'])} to "
                      f"{number(everything['max'])}, median {number(everything['median'])}"))
    if (first := finite(summary.get("chosen_first"))) is not None:
        found.append(("chosen one was shown first", percent(first)))
    return found
