"""The cards of a run: of each selector, of the tutor it made and of the labelled pairs."""

from pathlib import Path

from fedrlhf.files import write_text
from fedrlhf.report.artifacts import Artifacts, numbers, read_artifacts
from fedrlhf.report.card import (
    CARD,
    TAGS,
    Content,
    base_name,
    marked,
    result_facts,
    run_name,
    write_card,
)
from fedrlhf.report.policy_cards import policy_card
from fedrlhf.report.render import render
from fedrlhf.report.verdict import judge_phrase, scores, selector_count
from fedrlhf.report.words import fixed, number
from fedrlhf.tracking.run_directory import RunDirectory

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"),
          (1_000_000, "100K<n<1M"))


def write_cards(run: RunDirectory) -> list[Path]:
    """Write README.md beside each trained selector and beside the final policy.

    The cards hold numbers, names of settings and nothing that a client wrote.

    Returns:
        The cards' places; empty where the run has no adapter yet.

    Raises:
        UserError: A file of the run cannot be understood.
    """
    artifacts = read_artifacts(run)
    written = []
    for folder in sorted((run.path / "select").glob("selector_*")):
        # A network of its own (objective=predictor) is no adapter that a card could load.
        if (folder / "adapter_config.json").exists() and folder.name[len("selector_"):].isdigit():
            index = int(folder.name.removeprefix("selector_"))
            written.append((folder / CARD, selector_card(artifacts, index)))
    if artifacts.policy_stage:
        folder = run.path / artifacts.policy_stage / "policy"
        written.append((folder / CARD, policy_card(artifacts)))
    for path, text in written:
        write_text(path, text)
    return [path for path, _ in written]


def selector_card(artifacts: Artifacts, index: int, place: str | None = None) -> str:
    """Return the card of one selector; `place` is the folder or repository to load it from."""
    members = list(artifacts.grouping.values()).count(index)
    return write_card(artifacts, "selector", Content(
        title=f"{run_name(artifacts)}: selector {index}",
        tags=["lora", "reward-model", "preference"], place=place or f"select/selector_{index}",
        summary="A LoRA adapter that turns its base model into a judge: "
                + ("given a prompt and a completion it gives a reward, the higher the better."
                   if scores(artifacts) else
                   "given a prompt and two completions it says which one is better."),
        training=[("selectors trained together", str(selector_count(artifacts))),
                  ("clients that use this one", str(members) if members else "unknown")],
        results=_selector_results(artifacts, index),
        measured={f"selector.agreement_{index}": "accuracy"}))


def pairs_card(artifacts: Artifacts, place: str) -> str:
    """Return the card of the labelled pairs as a data set."""
    from huggingface_hub import DatasetCard, DatasetCardData

    pairs = numbers(artifacts.labels).get("pairs", 0.0)
    data = DatasetCardData(
        pretty_name=f"{run_name(artifacts)}: labelled pairs", task_categories=["text-generation"],
        tags=[*TAGS, "preference", "dpo", "synthetic"],
        size_categories=[next((name for most, name in _SIZES if pairs < most), "n>1M")],
        configs=[{"config_name": "default",
                  "data_files": [{"split": "train", "path": "data/train-*.parquet"}]}])
    told = [(name.replace("_", " "), number(value))
            for name, value in numbers(artifacts.labels).items()]
    body = render("pairs.md.j2", title=marked(f"{run_name(artifacts)}: labelled pairs"),
                  judges=judge_phrase(artifacts), by_groups=_aggregation(artifacts),
                  selectors=selector_count(artifacts), place=place,
                  tutor=base_name(artifacts, "tutor").replace("`", ""), summary=told,
                  results=result_facts(artifacts.results, ("label.accuracy",)))
    return str(DatasetCard(f"---\n{data.to_yaml()}\n---\n\n{body}"))


def _aggregation(artifacts: Artifacts) -> str:
    """Return how the clients' scores were joined; empty where the selectors voted."""
    name = artifacts.setting("label.aggregate")
    return str(name) if name and "groups" in artifacts.labels else ""


def _selector_results(artifacts: Artifacts, index: int) -> list[tuple[str, str]]:
    alone = artifacts.results.get(f"selector.agreement_{index}")
    found = [("agreement of this selector alone", fixed(alone, 3))] if alone is not None else []
    return found + result_facts(artifacts.results, ("selector.", "grouping."))
