"""Cards of the models and pairs that a run has made, as the hub reads them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedrlhf.files import write_text
from fedrlhf.report.artifacts import Artifacts, facts, finite, numbers, read_artifacts, rows
from fedrlhf.report.render import render
from fedrlhf.report.rounds import strategy_name
from fedrlhf.report.table import ROWS, show
from fedrlhf.report.verdict import judge_phrase, selector_count, verdict
from fedrlhf.report.words import fixed, number, percent, plain, size
from fedrlhf.tracking.run_directory import RunDirectory

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

CARD = "README.md"
EMBEDDED = "tiny_tutor"  # the model inside this package; no hub knows it
_TAGS = ["federated-learning", "flower", "fedrlhf"]
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"),
          (1_000_000, "100K<n<1M"))
_UNSAFE = str.maketrans({character: f"\\{character}" for character in "\\`*_{}[]<>#|"})


@dataclass(frozen=True)
class _Content:
    """What sets a model's card apart from another one's.

    Attributes:
        title: The heading.
        summary: What the model is, in a sentence.
        tags: Beside those of every card.
        place: Where to load it from.
        training: Facts on its training.
        results: Facts on its evaluation.
        measured: The kind of metric of each result that the hub shows.
        merged: Whether it is a whole model and no adapter.
    """

    title: str
    summary: str
    tags: list[str]
    place: str
    training: list[tuple[str, str]]
    results: list[tuple[str, str]]
    measured: Mapping[str, str]
    merged: bool = False


def write_cards(run: RunDirectory) -> list[Path]:
    """Write README.md beside each trained selector and beside the aligned tutor.

    The cards hold numbers, names of settings and nothing that a client wrote.

    Returns:
        The cards' places; empty where the run has no adapter yet.

    Raises:
        UserError: A file of the run cannot be understood.
    """
    artifacts = read_artifacts(run)
    written = []
    for folder in sorted((run.path / "select").glob("selector_*")):
        if folder.is_dir() and folder.name.removeprefix("selector_").isdigit():
            index = int(folder.name.removeprefix("selector_"))
            written.append((folder / CARD, selector_card(artifacts, index)))
    for policy, card in (("align/policy", policy_card), ("rlhf/policy", federated_policy_card)):
        if (run.path / policy).is_dir():
            written.append((run.path / policy / CARD, card(artifacts)))
    for path, text in written:
        write_text(path, text)
    return [path for path, _ in written]


def selector_card(artifacts: Artifacts, index: int, place: str | None = None) -> str:
    """Return the card of one selector; `place` is the folder or repository to load it from."""
    members = list(artifacts.grouping.values()).count(index)
    return _card(artifacts, "selector", _Content(
        title=f"{_run_name(artifacts)}: selector {index}",
        tags=["lora", "reward-model", "preference"], place=place or f"select/selector_{index}",
        summary="A LoRA adapter that turns its base model into a judge: "
                + ("given a prompt and a completion it gives a reward, the higher the better."
                   if _scores(artifacts) else
                   "given a prompt and two completions it says which one is better."),
        training=[("selectors trained together", str(selector_count(artifacts))),
                  ("clients that use this one", str(members) if members else "unknown")],
        results=_selector_results(artifacts, index),
        measured={f"selector.agreement_{index}": "accuracy"}))


def policy_card(artifacts: Artifacts, place: str = "align/policy", merged: bool = False) -> str:
    """Return the card of the aligned tutor.

    Args:
        artifacts: The run.
        place: The folder or repository to load it from.
        merged: Whether the adapter is part of the base model's weights there.
    """
    pairs = numbers(artifacts.labels).get("pairs")
    steps = numbers(artifacts.alignment).get("steps")
    imitated = numbers(artifacts.imitation)
    before = [("supervised fine-tuning before", f"{number(imitated['demonstrations'])} "
               f"demonstrations, {number(imitated['steps'])} steps")] if imitated else []
    return _card(artifacts, "tutor", _Content(
        title=f"{_run_name(artifacts)}: aligned tutor",
        tags=["dpo", "trl"] if merged else ["lora", "dpo", "trl"], place=place, merged=merged,
        summary=f"{'A language model aligned' if merged else 'A LoRA adapter that aligns its base'}"
                f"{'' if merged else ' model'} by direct preference optimisation with pairs that "
                f"{judge_phrase(artifacts)} labelled.",
        training=[*before,
                  ("labelled pairs", number(pairs) if pairs is not None else "unknown"),
                  ("DPO steps", number(steps) if steps is not None else "unknown"),
                  ("beta", plain(artifacts.setting("align.beta"), 20)),
                  ("learning rate", plain(artifacts.setting("align.learning_rate"), 20))],
        results=_rows(artifacts.results, ("policy.", "label.accuracy")),
        measured={"policy.utility_gain": "utility_gain", "policy.win_rate": "win_rate",
                  "policy.proxy_win_rate": "win_rate"}))


def federated_policy_card(artifacts: Artifacts, place: str = "rlhf/policy",
                          merged: bool = False) -> str:
    """Return the card of a tutor that its clients trained; arguments as for `policy_card`."""
    objective = str(artifacts.setting("objective._target_")).rpartition(".")[2]
    kind = "language model" if merged else "LoRA adapter"
    return _card(artifacts, "tutor", _Content(
        title=f"{_run_name(artifacts)}: federated tutor",
        tags=["rlhf"] if merged else ["lora", "rlhf"], place=place, merged=merged,
        summary=f"A {kind} that clients trained on their own preferences, round by round.",
        training=[("objective at the clients", plain(objective, 40)),
                  ("learning rate", plain(artifacts.setting("objective.learning_rate"), 20))],
        results=_rows(artifacts.results, ("policy.",)),
        measured={"policy.utility_gain": "utility_gain", "policy.win_rate": "win_rate"}))


def _scores(artifacts: Artifacts) -> bool:
    """Say whether the judges are scalar reward models."""
    return str(artifacts.setting("objective._target_")).endswith(".Reward")


def pairs_card(artifacts: Artifacts, place: str) -> str:
    """Return the card of the labelled pairs as a data set."""
    from huggingface_hub import DatasetCard, DatasetCardData

    pairs = numbers(artifacts.labels).get("pairs", 0.0)
    data = DatasetCardData(
        pretty_name=f"{_run_name(artifacts)}: labelled pairs", task_categories=["text-generation"],
        tags=[*_TAGS, "preference", "dpo", "synthetic"],
        size_categories=[next((name for most, name in _SIZES if pairs < most), "n>1M")],
        configs=[{"config_name": "default",
                  "data_files": [{"split": "train", "path": "data/train-*.parquet"}]}])
    told = [(name.replace("_", " "), number(value))
            for name, value in numbers(artifacts.labels).items()]
    body = render("pairs.md.j2", title=_marked(f"{_run_name(artifacts)}: labelled pairs"),
                  judges=judge_phrase(artifacts), selectors=selector_count(artifacts), place=place,
                  tutor=base_name(artifacts, "tutor").replace("`", ""), summary=told,
                  results=_rows(artifacts.results, ("label.accuracy",)))
    return str(DatasetCard(f"---\n{data.to_yaml()}\n---\n\n{body}"))


def base_name(artifacts: Artifacts, part: str) -> str:
    """Name the base model of a section of the configuration, without its place on this machine."""
    base = str(artifacts.setting(f"{part}.model.path") or EMBEDDED)
    return plain(base if base == EMBEDDED or on_hub(base) else Path(base).name, 80)


def _card(artifacts: Artifacts, part: str, content: _Content) -> str:
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
        tags=[*_TAGS, *content.tags], eval_results=evaluated or None,
        model_name=_run_name(artifacts) if evaluated else None)
    body = render(
        "card.md.j2", title=_marked(content.title), summary=content.summary,
        verdict=verdict(artifacts), part=part, place=content.place, merged=content.merged,
        kind="embedded" if base == EMBEDDED else "hub" if on_hub(base) else "folder",
        base=base_name(artifacts, part),
        remote_code=artifacts.setting(f"{part}.model.trust_remote_code") is True,
        revision=plain(artifacts.setting(f"{part}.model.revision") or "main", 40),
        dtype=plain(artifacts.setting(f"{part}.model.dtype") or "float32", 20),
        federation=_federation(artifacts), data_facts=_data(artifacts),
        training=content.training + quantised, results=content.results,
        scores=part == "selector" and _scores(artifacts), federated="rlhf" in content.tags,
        layout=plain(artifacts.setting("selector.template"), 30),
        letters=[json.dumps(letter) for letter in _list(artifacts.setting("selector.letters"))])
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{body}"))


def _evaluated(artifacts: Artifacts, task: str, measured: Mapping[str, str]) -> list["EvalResult"]:
    """Return the results that the hub shows beside the card, each with its kind of metric."""
    from huggingface_hub import EvalResult

    names = {row.name: row.label for row in ROWS}
    return [EvalResult(task_type=task, dataset_type="preferences",
                       dataset_name="held-out data of the run's federation", metric_type=kind,
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


def on_hub(path: str) -> bool:
    """Say whether a model's path looks like a name on the hub and is no local folder."""
    return (path != EMBEDDED and path.count("/") == 1 and path[0] not in "./~"
            and not path.endswith("/") and not Path(path).expanduser().exists())


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _run_name(artifacts: Artifacts) -> str:
    return plain(artifacts.setting("run.name") or artifacts.run.path.name, 60)


def _marked(text: str) -> str:
    """Escape what Markdown would read as marks."""
    return text.translate(_UNSAFE)


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
    return [(name, _marked(value)) for name, value in found]


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


def _selector_results(artifacts: Artifacts, index: int) -> list[tuple[str, str]]:
    alone = artifacts.results.get(f"selector.agreement_{index}")
    found = [("agreement of this selector alone", fixed(alone, 3))] if alone is not None else []
    return found + _rows(artifacts.results, ("selector.", "grouping."))


def _rows(results: Mapping[str, float], names: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return the results whose names begin so, as the table of results shows them."""
    return [(row.label, text) for row in ROWS
            if row.name.startswith(names) and (text := show(row, results))]
