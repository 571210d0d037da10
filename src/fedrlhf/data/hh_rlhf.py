"""Helpful and harmless dialogues whose last answers were compared by people.

Bai et al., "Training a helpful and harmless assistant …", 2022 (MIT).
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice, pairwise
from pathlib import Path

from fedrlhf.data.lines import Row, read_json_lines, read_rows, text
from fedrlhf.data.source import Instructions, Truth
from fedrlhf.errors import DataError
from fedrlhf.types import PreferencePair, Turn

_MARKER = re.compile(r"\n\n(Human|Assistant):")
_ROLES = {"Human": "user", "Assistant": "assistant"}
_ENDINGS = (".jsonl", ".jsonl.gz")

NO_DIALOGUE = "the text does not begin with a human's turn"
NOT_ALTERNATING = "the turns do not alternate"  # several chat templates refuse such a dialogue
NO_ANSWER = "the last turn is not the assistant's"
EARLIER_DIFFERENCE = "the dialogues differ before the last turn"

Outcome = PreferencePair | str  # a pair, or why there is none


class HhRlhfSource:
    r"""One preference pair for each row of two dialogues ``\n\nHuman: …\n\nAssistant: …``.

    The prompt is the conversation that both dialogues share, the completions are the last
    answers. Nobody is named: ``client_id`` is "". Columns: ``turns`` (of the prompt) and, for
    local files, ``file`` (its name without endings, such as ``harmless-base/train``).

    Attributes:
        left_out: After `preferences`, the number of rows without a pair by the reason.
    """

    def __init__(self, path: str, revision: str | None, split: str, limit: int | None) -> None:
        """Name the dialogues; they are read when asked for.

        Args:
            path: A file ``*.jsonl`` or ``*.jsonl.gz``, a folder of such, or a name on the hub.
            revision: Commit, tag or branch on the hub; None for local files.
            split: On the hub the split; in a folder the files ``<split>.jsonl`` and
                ``*[-_.]<split>.jsonl`` (and ``.gz``). A single file is read whatever it is called.
            limit: Read at most so many rows; None: all.
        """
        self._path, self._revision, self._split, self._limit = path, revision, split, limit
        self.name = "hh_rlhf"
        self.left_out: dict[str, int] = {}

    def preferences(self) -> list[PreferencePair]:
        """Return the pairs in the order of the rows, files by name.

        Raises:
            DataError: Nothing can be read there, a row has no two texts or no row has a pair.
        """
        local = Path(self._path).expanduser()
        rows = self._local(local) if local.exists() else self._hub()
        outcomes = rows[:self._limit]
        self.left_out = dict(Counter(found for found in outcomes if isinstance(found, str)))
        pairs = [found for found in outcomes if not isinstance(found, str)]
        if not pairs:
            raise DataError(f"{self._path} has no usable row: {self.left_out}")
        return pairs

    def instructions(self) -> Instructions:
        """Return none: which prompts a server may use is the user's decision."""
        return Instructions()

    def truth(self) -> Truth | None:
        """Return None: nobody planted the preferences of real people."""
        return None

    def _local(self, path: Path) -> list[Outcome]:
        if self._revision is not None:
            raise DataError(f"data.revision={self._revision} names a version on the hub, but "
                            f"{path} is a local path; leave the revision out")
        root = path if path.is_dir() else path.parent
        files = files_of_split(path, self._split) if path.is_dir() else [path]
        return [outcome for file in files for outcome in read_json_lines(
            file, partial(outcome_of, columns={"file": _without_ending(file, root)}))]

    def _hub(self) -> list[Outcome]:
        rows = islice(_load(self._path, self._revision, self._split), self._limit)
        return read_rows(Path(self._path), enumerate(rows, 1), partial(outcome_of, columns={}))


def outcome_of(row: Row, columns: Row) -> Outcome:
    """Make a pair of two dialogues, or say why there is none.

    Raises:
        BadRow: `chosen` or `rejected` is no text.
    """
    left, right = dialogue_of(text(row, "chosen")), dialogue_of(text(row, "rejected"))
    if flaw := _flaw(left, right):
        return flaw
    return PreferencePair(left[:-1], left[-1]["content"], right[-1]["content"], client_id="",
                          source="hh_rlhf", columns={"turns": len(left) - 1, **columns})


def dialogue_of(dialogue: str) -> tuple[Turn, ...]:
    """Cut a text into its turns; a text that does not begin with a marker has none."""
    beginning, *pieces = _MARKER.split(dialogue)
    if beginning.strip():
        return ()
    return tuple(Turn(role=_ROLES[speaker], content=content.strip())
                 for speaker, content in zip(pieces[::2], pieces[1::2], strict=True))


def files_of_split(folder: Path, split: str) -> list[Path]:
    """Return a folder's files of one split, by name.

    Raises:
        DataError: There is none.
    """
    files = sorted(path for path in folder.rglob("*") if path.name.endswith(_ENDINGS))
    wanted = re.compile(rf"(.*[-_./])?{re.escape(split)}")
    found = [path for path in files if wanted.fullmatch(_without_ending(path, folder))]
    if not found:
        names = ", ".join(path.relative_to(folder).as_posix() for path in files[:10]) or "none"
        raise DataError(f"{folder} has no file of the split {split!r}; its files: {names}. Set "
                        "data.split, or data.path to one file")
    return found


def _without_ending(file: Path, root: Path) -> str:
    name = file.relative_to(root).as_posix()
    return name.removesuffix(".gz").removesuffix(".jsonl")


def _flaw(left: tuple[Turn, ...], right: tuple[Turn, ...]) -> str | None:
    roles = [[turn["role"] for turn in dialogue] for dialogue in (left, right)]
    if any(spoken[:1] != ["user"] for spoken in roles):
        return NO_DIALOGUE
    if left[:-1] != right[:-1]:
        return EARLIER_DIFFERENCE
    if any(one == other for spoken in roles for one, other in pairwise(spoken)):
        return NOT_ALTERNATING
    return None if roles[0][-1] == "assistant" else NO_ANSWER


def _load(name: str, revision: str | None, split: str) -> Iterator[Row]:
    from datasets import load_dataset  # takes seconds to import, and only this source needs it

    try:
        rows: Iterable[Row] = load_dataset(name, revision=revision, split=split)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{name} is neither here (from {Path.cwd()}) nor can it be loaded from the hub "
            f"(revision {revision}, split {split}): {error}") from error
    return iter(rows)
