"""The clients' shards, in memory and as files of which a site needs only its own."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fedrlhf.data.lines import BadRow, Row, read_json_lines, text
from fedrlhf.errors import DataError
from fedrlhf.files import read_json, replaced_folder, write_json, write_text
from fedrlhf.types import SPLITS, Preference, PreferencePair, Prompt, Rating, Split, Turn

INDEX = "population.json"
SHARDS = "shards"


@dataclass(frozen=True)
class Shard:
    """The preferences of one client, ties among them, split by prompt: pairs and ratings.

    A preference's own ``client_id`` says whose it is; the shard's says which client holds it.
    They are the same where each person is a client.

    Raises:
        DataError: The shard is empty.
    """

    client_id: str
    train: tuple[Preference, ...]
    validation: tuple[Preference, ...]
    test: tuple[Preference, ...]

    def __post_init__(self) -> None:
        """Refuse an empty shard: a client without preferences is no client."""
        if not self.preferences:
            raise DataError(f"the shard of client {self.client_id!r} has no preferences")

    @property
    def preferences(self) -> tuple[Preference, ...]:
        """Return all preferences: train, validation, test."""
        return (*self.train, *self.validation, *self.test)

    @property
    def ties(self) -> int:
        """Return the number of ties in all splits."""
        return sum(one.tie for one in self.preferences)

    def split(self, name: Split) -> tuple[Preference, ...]:
        """Return the preferences of one split."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]

    def sizes(self) -> dict[Split, int]:
        """Return the number of preferences of each split, ties included."""
        return {name: len(self.split(name)) for name in SPLITS}


@dataclass(frozen=True)
class Population:
    """All shards by client id, in sorted order.

    Attributes:
        shards: One for each client.
        counts: What the partition left out and which clients lack a split, as numbers by name.
    """

    shards: tuple[Shard, ...]
    counts: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a population whose clients are not sorted or not distinct."""
        ids = [shard.client_id for shard in self.shards]
        if ids != sorted(set(ids)):
            raise DataError(f"client ids must be distinct and sorted, got {ids[:20]}")


@dataclass(frozen=True)
class ShardEntry:
    """A line of the index: a client and its file, relative to the index.

    In a deployment the file and the number of ties stay at the site: both are None, and the sizes
    are what the site told in the roll call.
    """

    client_id: str
    file: str | None
    sizes: dict[Split, int]
    ties: int | None


@dataclass(frozen=True)
class Index:
    """What the server knows of a population on disk: names and numbers, no preferences."""

    shards: tuple[ShardEntry, ...]
    counts: dict[str, int]
    summary: dict[str, Any]


def write_population(folder: Path, population: Population, summary: Mapping[str, Any]) -> None:
    """Write ``shards/0000.jsonl`` … and, last, the index ``population.json``.

    The index is there if and only if the shards are whole.
    """
    (folder / INDEX).unlink(missing_ok=True)
    entries = []
    with replaced_folder(folder / SHARDS) as shards:
        for number, shard in enumerate(population.shards):
            # A client id may hold characters that no file name can.
            name = f"{number:04d}.jsonl"
            write_shard(shards / name, shard)
            entries.append(
                ShardEntry(shard.client_id, f"{SHARDS}/{name}", shard.sizes(), shard.ties))
    write_index(folder, Index(tuple(entries), population.counts, dict(summary)))


def write_index(folder: Path, index: Index) -> None:
    """Write ``population.json``."""
    write_json(folder / INDEX, asdict(index))


def write_shard(path: Path, shard: Shard) -> None:
    """Write one client's shard, a preference a line."""
    write_text(path, "".join(f"{line}\n" for line in _lines(shard)))


def read_index(folder: Path) -> Index:
    """Read the index of a population.

    Raises:
        DataError: It is absent or not an index.
    """
    path = folder / INDEX
    try:
        content = read_json(path)
        entries = tuple(ShardEntry(**entry) for entry in content["shards"])
        return Index(entries, content["counts"], content["summary"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path} is no index of a population ({error!r}); run the stage "
                        "`partition` to make it") from error


def shard_file(folder: Path, entry: ShardEntry) -> Path:
    """Return where a shard of an index is.

    Raises:
        DataError: It is at a site and not beside the index.
    """
    if entry.file is None:
        raise DataError(f"the shard of {entry.client_id!r} is at its site, not in {folder}; "
                        "continue this run with runtime.engine=deployment")
    return folder / entry.file


def read_shard(path: Path) -> Shard:
    """Read one client's shard; no other file is needed.

    Raises:
        DataError: The file cannot be read, has bad rows or rows of several clients.
    """
    rows = read_json_lines(path, _row)
    owners = sorted({owner for owner, _, _ in rows})
    if len(owners) != 1:
        raise DataError(f"{path} must hold the pairs of one client, it has those of {owners}")
    train, validation, test = (
        tuple(one for _, split, one in rows if split == name) for name in SPLITS)
    return Shard(owners[0], train, validation, test)


def read_population(folder: Path) -> Population:
    """Read all shards that the index names.

    Raises:
        DataError: A file is absent, broken or belongs to another client than the index says.
    """
    index = read_index(folder)
    shards = tuple(read_shard(shard_file(folder, entry)) for entry in index.shards)
    for shard, entry in zip(shards, index.shards, strict=True):
        if (shard.client_id, shard.sizes()) != (entry.client_id, entry.sizes):
            raise DataError(f"{shard_file(folder, entry)} is not the shard of {entry.client_id!r} "
                            f"that {INDEX} describes; run the stage `partition` again")
    return Population(shards, index.counts)


def _lines(shard: Shard) -> Iterator[str]:
    for split in SPLITS:
        for one in shard.split(split):
            row = {"shard": shard.client_id, "split": split, **vars(one)}
            try:
                yield json.dumps(row, allow_nan=False)
            except (TypeError, ValueError) as error:
                raise DataError(f"a preference of {shard.client_id!r} cannot be written: {error}; "
                                f"columns must hold JSON values, got {one.columns}") from error


def _row(row: Row) -> tuple[str, Split, Preference]:
    fields = dict(row)
    owner, split = text(fields, "shard"), fields.pop("split", None)
    del fields["shard"]
    if split not in SPLITS:
        raise BadRow("split", split, f"must be one of {', '.join(SPLITS)}")
    try:
        kind = Rating if "completion" in fields else PreferencePair
        return owner, split, kind(**{**fields, "prompt": _prompt(fields.get("prompt"))})
    except (TypeError, KeyError, ValueError) as error:
        raise BadRow("the row", row, f"it is no preference: {error!r}") from None


def _prompt(value: Any) -> Prompt:
    if isinstance(value, str):
        return value
    return tuple(Turn(role=turn["role"], content=turn["content"]) for turn in value)
