"""Comparisons of two summaries of a forum post (TL;DR).

Stiennon et al., "Learning to summarize from human feedback", NeurIPS 2020.
"""

from collections.abc import Callable
from pathlib import Path

from fedrlhf.data.lines import (
    BadRow,
    Made,
    Row,
    number,
    read_json_lines,
    record,
    records,
    text,
    text_or_empty,
)
from fedrlhf.data.published import Outcome, PublishedSource
from fedrlhf.data.tables import read_table
from fedrlhf.errors import ConfigError, DataError
from fedrlhf.types import PreferencePair

# The data set's own names of splits that make up each split on the hub.
_SPLITS = {"train": ("train",), "validation": ("valid1", "valid2"), "valid1": ("valid1",),
           "valid2": ("valid2",)}
_FOLDER = "comparisons"
# On the hub the data set is a script, which nobody executes; this branch has its rows as files.
_HUB_BRANCH = "refs/convert/parquet"
_ENDINGS = (".json", ".jsonl", ".json.gz", ".jsonl.gz")

NEWS = "comparisons of news summaries"
OTHER_SPLIT = "comparisons of another split"


class TldrComparisonsSource(PublishedSource):
    r"""One preference pair for each comparison; the person is the worker.

    The prompt is ``SUBREDDIT: r/…\n\nTITLE: …\n\nPOST: …\n\nTL;DR:``, the form of the summaries
    that people wrote for the same posts. Spaces around a summary are removed, as generated
    completions have none. Columns: ``post_id``, ``subreddit``, ``batch``, ``split`` (the data
    set's own), ``confidence`` (None: not asked), ``chosen_policy`` and ``rejected_policy``.

    A local path is a file of JSON lines, a folder of such (``batch3.json`` …, as published by the
    authors) or a copy of the hub's folders; a folder ``comparisons`` in it is what is read.
    ``split`` is train, validation, valid1 or valid2.
    """

    name = "tldr_comparisons"

    def preferences(self) -> list[PreferencePair]:
        """Return the comparisons in the order of the rows, files by name.

        Raises:
            ConfigError: There is no split of this name.
            DataError: Nothing can be read there, or rows are bad.
        """
        if self.split not in _SPLITS:
            raise ConfigError(f"data.split must be one of {', '.join(_SPLITS)}, got {self.split!r}")
        return self.kept(self.read(self._outcome))

    def read(self, parse: Callable[[Row], Made]) -> list[Made]:
        """Parse the rows of the authors' files, or of the hub's."""
        local = Path(self.path).expanduser()
        if files := _files(local):
            if self.revision is not None:
                raise DataError(f"data.revision={self.revision} names a version on the hub, but "
                                f"{local} is a local path; leave the revision out")
            return [made for file in files for made in read_json_lines(file, parse)][:self.limit]
        split = "train" if self.split == "train" else "validation"
        revision = self.revision if local.exists() else self.revision or _HUB_BRANCH
        return read_table(self.path, parse, revision=revision, split=split, folder=_FOLDER,
                          limit=self.limit)

    def _outcome(self, row: Row) -> Outcome:
        if text(row, "split") not in _SPLITS[self.split]:
            return OTHER_SPLIT
        info = record(row, "info")
        return NEWS if info.get("article") is not None else _pair(row, info)


def post_prompt(subreddit: str, title: str, post: str) -> str:
    """Ask for the summary of a forum post."""
    return f"SUBREDDIT: r/{subreddit}\n\nTITLE: {title}\n\nPOST: {post}\n\nTL;DR:"


def _pair(row: Row, info: Row) -> PreferencePair:
    summaries = records(row, "summaries")
    if len(summaries) != 2:
        raise BadRow("summaries", summaries, "there must be two")
    choice = number(row, "choice")
    if choice not in (0, 1):
        raise BadRow("choice", choice, "must be 0 or 1, the place of the better summary")
    chosen, rejected = summaries[int(choice)], summaries[1 - int(choice)]
    worker = text(row, "worker")
    if not worker:
        raise BadRow("worker", worker, "it is empty; a comparison needs the person who made it")
    return PreferencePair(
        post_prompt(text_or_empty(info, "subreddit"), text_or_empty(info, "title"),
                    text(info, "post")),
        text(chosen, "text").strip(), text(rejected, "text").strip(), worker,
        TldrComparisonsSource.name, columns={
            "post_id": info.get("id"), "subreddit": info.get("subreddit"),
            "batch": row.get("batch"), "split": row["split"],
            "confidence": (row.get("extra") or {}).get("confidence"),
            "chosen_policy": chosen.get("policy"), "rejected_policy": rejected.get("policy")})


def _files(local: Path) -> list[Path]:
    folder = local / _FOLDER if (local / _FOLDER).is_dir() else local
    found = sorted(folder.iterdir()) if folder.is_dir() else [folder]
    return [path for path in found if path.is_file() and path.name.endswith(_ENDINGS)]
