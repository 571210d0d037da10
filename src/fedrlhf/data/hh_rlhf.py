"""Helpful and harmless dialogues whose last answers were compared by people.

Bai et al., "Training a helpful and harmless assistant …", 2022 (MIT).
"""

import re
from functools import partial
from itertools import pairwise
from pathlib import Path

from fedrlhf.data.lines import Row, read_json_lines, text
from fedrlhf.data.published import Outcome, PublishedSource
from fedrlhf.errors import DataError
from fedrlhf.types import PreferencePair, Turn

_MARKER = re.compile(r"\n\n(Human|Assistant):")
_ROLES = {"Human": "user", "Assistant": "assistant"}
_ENDINGS = (".jsonl", ".jsonl.gz")

NO_DIALOGUE = "rows that do not begin with a human's turn"
NOT_ALTERNATING = "rows whose turns do not alternate"  # several chat templates refuse them
NO_ANSWER = "rows that do not end with an answer"
EARLIER_DIFFERENCE = "rows that differ before the last turn"


class HhRlhfSource(PublishedSource):
    r"""One preference pair for each row of two dialogues ``\n\nHuman: …\n\nAssistant: …``.

    The prompt is the conversation that both dialogues share, the completions are the last
    answers. Nobody is named: ``client_id`` is "". Columns: ``turns`` (of the prompt) and, for
    local files, ``file`` (its name without endings, such as ``harmless-base/train``).

    A local path is a file ``*.jsonl`` or ``*.jsonl.gz`` or a folder of such; in a folder the split
    names the files ``<split>.jsonl`` and ``*[-_.]<split>.jsonl`` (and ``.gz``).
    """

    name = "hh_rlhf"

    def preferences(self) -> list[PreferencePair]:
        """Return the pairs in the order of the rows, files by name.

        Raises:
            DataError: Nothing can be read there, a row has no two texts or no row has a pair.
        """
        local = Path(self.path).expanduser()
        return self.kept(self._local(local)[:self.limit] if local.exists()
                         else self.read(partial(outcome_of, columns={})))

    def _local(self, path: Path) -> list[Outcome]:
        if self.revision is not None:
            raise DataError(f"data.revision={self.revision} names a version on the hub, but "
                            f"{path} is a local path; leave the revision out")
        root = path if path.is_dir() else path.parent
        files = files_of_split(path, self.split) if path.is_dir() else [path]
        return [outcome for file in files for outcome in read_json_lines(
            file, partial(outcome_of, columns={"file": _without_ending(file, root)}))]


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
