"""Model cards beside the adapters that a run has made."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedrlhf.files import write_text
from fedrlhf.report.artifacts import Artifacts, facts, finite, numbers, read_artifacts, rows
from fedrlhf.report.render import render
from fedrlhf.report.rounds import strategy_name
from fedrlhf.report.table import ROWS, show
from fedrlhf.report.verdict import judge_phrase, selector_count, verdict
from fedrlhf.report.words import fixed, number, percent, plain, size
from fedrlhf.tracking.run_directory import RunDirectory

CARD = "README.md"
EMBEDDED = "tiny_tutor"  # the model inside this package; no hub knows it
_UNSAFE = str.maketrans({character: f"\\{character}" for character in "\\`*_{}[]<>#|"})


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
    policy = run.path / "align" / "policy"
    if policy.is_dir():
        written.append((policy / CARD, policy_card(artifacts)))
    for path, text in written:
        write_text(path, text)
    return [path for path, _ in written]


def selector_card(artifacts: Artifacts, index: int) -> str:
    """Return the card of one selector."""
    name = f"selector_{index}"
    members = list(artifacts.grouping.values()).count(index)
    return _card(
        artifacts, "selector", title=f"{_run_name(artifacts)}: selector {index}",
        tags=["reward-model", "preference"], folder=f"select/{name}",
        summary="A LoRA adapter that turns its base model into a judge: given a prompt and two "
                "completions it says which one is better.",
        training=[("selectors trained together", str(selector_count(artifacts))),
                  ("clients that use this one", str(members) if members else "unknown")],
        results=_selector_results(artifacts, index))


def policy_card(artifacts: Artifacts) -> str:
    """Return the card of the aligned tutor."""
    pairs = numbers(artifacts.labels).get("pairs")
    steps = numbers(artifacts.alignment).get("steps")
    imitated = numbers(artifacts.imitation)
    before = [("supervised fine-tuning before", f"{number(imitated['demonstrations'])} "
               f"demonstrations, {number(imitated['steps'])} steps")] if imitated else []
    return _card(
        artifacts, "tutor", title=f"{_run_name(artifacts)}: aligned tutor", tags=["dpo", "trl"],
        folder="align/policy",
        summary="A LoRA adapter that aligns its base model by direct preference optimisation with "
                f"pairs that {judge_phrase(artifacts)} labelled.",
        training=[*before,
                  ("labelled pairs", number(pairs) if pairs is not None else "unknown"),
                  ("DPO steps", number(steps) if steps is not None else "unknown"),
                  ("beta", plain(artifacts.setting("align.beta"), 20)),
                  ("learning rate", plain(artifacts.setting("align.learning_rate"), 20))],
        results=_rows(artifacts.results, ("policy.", "label.accuracy")))


def _card(artifacts: Artifacts, part: str, *, title: str, tags: list[str], folder: str,
          summary: str, training: list[tuple[str, str]], results: list[tuple[str, str]]) -> str:
    """Fill the card's template; `part` is the section of the configuration it belongs to."""
    from huggingface_hub import ModelCard, ModelCardData

    base = str(artifacts.setting(f"{part}.model.path") or EMBEDDED)
    bits = artifacts.setting(f"{part}.model.quantization")
    if bits not in (None, "none"):
        training = [*training, ("base model during training", f"quantised, {plain(bits, 10)}")]
    data = ModelCardData(
        base_model=base if on_hub(base) else None, library_name="peft",
        pipeline_tag="text-generation" if part == "tutor" else "text-classification",
        tags=["federated-learning", "flower", "fedrlhf", "lora", *tags])
    body = render(
        "card.md.j2", title=_marked(title), summary=summary,
        verdict=verdict(artifacts), part=part, folder=folder,
        kind="embedded" if base == EMBEDDED else "hub" if on_hub(base) else "folder",
        base=plain(base if on_hub(base) else Path(base).name, 80),
        remote_code=artifacts.setting(f"{part}.model.trust_remote_code") is True,
        revision=plain(artifacts.setting(f"{part}.model.revision") or "main", 40),
        federation=_federation(artifacts), data_facts=_data(artifacts), training=training,
        results=results, layout=plain(artifacts.setting("selector.template"), 30),
        letters=[json.dumps(letter) for letter in _list(artifacts.setting("selector.letters"))])
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{body}"))


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
             ("clients asked in a round", plain(artifacts.setting("select.clients_per_round"), 20)),
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
