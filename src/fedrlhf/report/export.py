"""Hand out what a run made: adapters, the merged tutor, the labelled pairs, each with a card."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

from fedrlhf.config.schema import Model
from fedrlhf.errors import UserError
from fedrlhf.files import read_json, replaced_folder, write_json, write_text
from fedrlhf.report.artifacts import Artifacts, facts, read_artifacts
from fedrlhf.report.card import CARD, base_name, on_hub
from fedrlhf.report.cards import pairs_card, selector_card
from fedrlhf.report.policy_cards import policy_card
from fedrlhf.report.rounds import strategy_name
from fedrlhf.tracking.run_directory import RunDirectory

MARK = "export.json"
_ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
_PAIRS_FILE = "data/train-00000-of-00001.parquet"  # where `datasets` looks for the split train


@dataclass(frozen=True)
class Part:
    """One thing that is handed out, in a folder (and, on the hub, a repository) of its own.

    Attributes:
        name: The folder below the target.
        kind: ``model`` or ``dataset``, as the hub calls them.
        suffix: What its repository's name has after the given one.
    """

    name: str
    kind: str = "model"
    suffix: str = ""


def export_run(run: RunDirectory, target: Path, *, merged: bool = False,
               repository: str | None = None) -> list[Part]:
    """Write everything that a run has finished into one folder and return its parts.

    The folder holds adapters, cards and pairs that the server's own prompts gave; nothing of a
    client's shard, no configuration and no path of this machine.

    Args:
        run: The run's folder.
        target: A new or empty folder, or one that was exported before and is replaced.
        merged: Whether to write the tutor with its adapter merged as well.
        repository: Name on the hub that the cards tell to load from, where it is known.

    Raises:
        UserError: The run has nothing to export, or the target is something else.
    """
    artifacts = read_artifacts(run)
    every = _writers(artifacts, merged, repository)
    if not every:
        raise UserError(f"{run.path} has nothing to export: none of sft, select, label, align "
                        "and rlhf is done")
    _check_target(run, target)
    with replaced_folder(target) as folder:
        for part, write in every:
            (folder / part.name).mkdir()
            write(folder / part.name)
        write_json(folder / MARK, {"run": str(artifacts.setting("run.name")),
                                   "parts": [part.name for part, _ in every]})
    return [part for part, _ in every]


def _writers(artifacts: Artifacts, merged: bool,
             repository: str | None) -> list[tuple[Part, Callable[[Path], None]]]:
    """Return the parts that the run can give, each with what writes it into a folder."""
    run = artifacts.run.path
    found: list[tuple[Part, Callable[[Path], None]]] = []

    def place(part: Part) -> str:
        return f"{repository}{part.suffix}" if repository else part.name

    def adapter(part: Part, source: Path, section: str, card: Callable[[str], str]) -> None:
        def write(folder: Path) -> None:
            _copy_adapter(artifacts, source, section, folder)
            write_text(folder / CARD, card(place(part)))
        found.append((part, write))

    policy = run / str(artifacts.policy_stage) / "policy"
    if artifacts.policy_stage:
        adapter(Part("policy"), policy, "tutor", partial(policy_card, artifacts))
    if merged:
        if not artifacts.policy_stage:
            raise UserError(f"{run} has no trained tutor to merge: leave out --merged")
        part = Part("merged", suffix="-merged")
        found.append((part, lambda folder: _write_merged(artifacts, policy, folder, place(part))))
    if artifacts.done("select") and strategy_name(artifacts) != "LocalOnly":
        for source in sorted((run / "select").glob("selector_*"), key=_number):
            if not (source / _ADAPTER_FILES[0]).exists():
                raise UserError(f"{source} holds a network of its own and no adapter, which cannot "
                                "be published in PEFT's form")
            adapter(Part(source.name, suffix=f"-selector-{_number(source)}"), source, "selector",
                    partial(selector_card, artifacts, _number(source)))
    if artifacts.done("label"):
        pairs = Part("pairs", "dataset", "-pairs")
        found.append((pairs, lambda folder: _write_pairs(artifacts, folder, place(pairs))))
    return found


def _copy_adapter(artifacts: Artifacts, source: Path, section: str, folder: Path) -> None:
    """Copy an adapter; a base model's place on this machine gives way to its name."""
    for name in _ADAPTER_FILES:
        shutil.copyfile(source / name, folder / name)
    config = read_json(folder / "adapter_config.json")
    config["base_model_name_or_path"] = base_name(artifacts, section)
    revision = artifacts.setting(f"{section}.model.revision")
    config["revision"] = revision if on_hub(config["base_model_name_or_path"]) else None
    write_json(folder / "adapter_config.json", config)


def _write_merged(artifacts: Artifacts, adapter: Path, folder: Path, place: str) -> None:
    from fedrlhf.models.merge import write_merged

    known = facts(artifacts.setting("tutor.model"))
    names = {field.name for field in fields(Model)}
    write_merged(Model(**{key: value for key, value in known.items() if key in names}),
                 adapter, folder)
    config = read_json(folder / "config.json")
    config.pop("_name_or_path", None)
    write_json(folder / "config.json", config)
    write_text(folder / CARD, policy_card(artifacts, place, merged=True))


def _write_pairs(artifacts: Artifacts, folder: Path, place: str) -> None:
    target = folder / _PAIRS_FILE
    target.parent.mkdir()
    shutil.copyfile(artifacts.run.path / "label" / "pairs.parquet", target)
    write_text(folder / CARD, pairs_card(artifacts, place))


def _number(folder: Path) -> int:
    return int(folder.name.rpartition("_")[2])


def _check_target(run: RunDirectory, target: Path) -> None:
    """Refuse to replace a folder that holds anything but an earlier export.

    Raises:
        UserError: It does, or it would lie in the run's own folder.
    """
    place = target.expanduser().resolve()
    if place == run.path.resolve() or place in run.path.resolve().parents:
        raise UserError(f"--to {target} holds the run itself; name another folder")
    if place.exists() and not place.is_dir():
        raise UserError(f"--to {target} is a file; name a folder")
    if place.is_dir() and any(place.iterdir()) and not _is_export(place):
        raise UserError(f"--to {target} holds other files; name a new folder")


def _is_export(folder: Path) -> bool:
    try:
        parts = {*read_json(folder / MARK)["parts"], MARK}
    except (OSError, json.JSONDecodeError, KeyError, TypeError):
        return False
    return {path.name for path in folder.iterdir()} <= parts
