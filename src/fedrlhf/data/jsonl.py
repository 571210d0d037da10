"""Your own preferences in a JSON-lines file."""

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from fedrlhf.data.instructions import read_instructions
from fedrlhf.data.lines import BadRow, Row, read_json_lines
from fedrlhf.data.source import Instructions, Truth
from fedrlhf.data.turns import prompt_and_completion, prompt_and_completions
from fedrlhf.types import Preference, PreferencePair, Rating

CHOSEN = ("chosen", "rejected", "tie", "chosen_first")
JUDGED = ("completion_a", "completion_b", "preference")
RATED = ("completion", "label", "value")
SHARED = ("prompt", "client_id", "weight")
# 0 is not among them: it could mean the first completion or a tie.
PREFERENCES = {"a": "a", "A": "a", "1": "a", 1: "a", "b": "b", "B": "b", "2": "b", 2: "b",
               "tie": "tie"}


class JsonlSource:
    """Preferences in a file ``*.jsonl`` or ``*.jsonl.gz``, one a line.

    A row has one of three forms:

    * TRL's: ``prompt``, ``chosen`` and ``rejected``, as texts or as lists of turns
      (``{"role": …, "content": …}``); two whole dialogues need no ``prompt``, it is what they
      share. ``tie`` (true, false) and ``chosen_first`` (true, false, null) are optional.
    * Judged: ``prompt``, ``completion_a`` (it was shown first), ``completion_b`` and
      ``preference``: ``a``, ``b`` or ``tie``; ``A`` and 1 mean a, ``B`` and 2 mean b.
    * Rated (TRL's unpaired columns): ``prompt``, ``completion`` and either ``label`` (true, false)
      or ``value`` (the probability that the completion is good, 0 to 1). A completion that is a
      whole dialogue needs no ``prompt``.

    All may have ``client_id`` (a text or a whole number) and ``weight`` (above 0). All other keys
    go to the preference's ``columns``.

    Attributes:
        name: The file's name without its endings.
    """

    def __init__(self, path: str, instructions: str | None,
                 instructions_revision: str | None = None, instructions_split: str = "train",
                 instructions_limit: int | None = None) -> None:
        """Name the files; they are read when asked for.

        Args:
            path: The file of preferences.
            instructions: The server's prompts (see `read_instructions`), or None.
            instructions_revision: Their version on the hub; None for local files.
            instructions_split: Their split.
            instructions_limit: Read at most so many of their rows; None: all.
        """
        self._path = Path(path).expanduser()
        self._instructions = partial(read_instructions, instructions, instructions_revision,
                                     instructions_split, instructions_limit)
        self.name = self._path.name.removesuffix(".gz").removesuffix(".jsonl")

    def preferences(self) -> list[Preference]:
        """Return the file's preferences in its order.

        Raises:
            DataError: The file cannot be read or has bad rows.
        """
        return read_json_lines(self._path, partial(preference, source=self.name))

    def instructions(self) -> Instructions:
        """Return the server's prompts, each once.

        Raises:
            DataError: They cannot be read, have bad rows or one of them has both splits.
        """
        return self._instructions()

    def truth(self) -> Truth | None:
        """Return None: nobody planted the preferences of real people."""
        return None


def preference(row: Row, source: str) -> Preference:
    """Make a pair or a rating of a row in one of the three forms of `JsonlSource`.

    Raises:
        BadRow: A field is absent, has a wrong value or belongs to another form.
    """
    if row.get("completion") is not None:
        return _rating(row, source)
    return preference_pair(row, source)


def preference_pair(row: Row, source: str) -> PreferencePair:
    """Make a preference pair of a row in one of its two forms.

    Raises:
        BadRow: A field is absent, has a wrong value or belongs to the other form.
    """
    judged = any(row.get(field) is not None for field in JUDGED)
    form, other = (JUDGED, CHOSEN) if judged else (CHOSEN, JUDGED)
    _refuse(row, other, form)
    prompt, one, two = prompt_and_completions(row, form[0], form[1])
    swap, tie, chosen_first = _judgement(row) if judged else _marks(row)
    chosen, rejected = (two, one) if swap else (one, two)
    known = {*SHARED, *CHOSEN, *JUDGED}
    return PreferencePair(
        prompt, chosen, rejected, _client_id(row), source, _weight(row), tie, chosen_first,
        columns={key: value for key, value in row.items() if key not in known})


def _rating(row: Row, source: str) -> Rating:
    _refuse(row, (*CHOSEN, *JUDGED), RATED)
    prompt, completion = prompt_and_completion(row, "completion")
    known = {*SHARED, *CHOSEN, *JUDGED, *RATED}
    return Rating(prompt, completion, _value(row), _client_id(row), source, _weight(row), columns={
        key: value for key, value in row.items() if key not in known})


def _value(row: Row) -> float:
    label, value = _flag(row, "label"), row.get("value")
    if label is not None:
        _refuse(row, ("value",), ("label",))
        return float(label)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise BadRow("value", value, "must be a number from 0 to 1, or give label: true or false")
    return float(value)


def _refuse(row: Row, fields: Sequence[str], form: Sequence[str]) -> None:
    for field in fields:
        if row.get(field) is not None:
            raise BadRow(field, row[field], f"remove it, it does not go with {', '.join(form)}")


def _judgement(row: Row) -> tuple[bool, bool, bool]:
    """Return whether to swap a and b, whether it is a tie, and whether the chosen came first."""
    value = row.get("preference")
    if type(value) not in (str, int) or value not in PREFERENCES:
        raise BadRow("preference", value, "must be a, b or tie (A, B, 1 and 2 mean a and b)")
    preferred = PREFERENCES[value]
    return preferred == "b", preferred == "tie", preferred != "b"


def _marks(row: Row) -> tuple[bool, bool, bool | None]:
    """Return the same for TRL's form; a tie's `chosen` becomes the one that was shown first."""
    tie, first = _flag(row, "tie") or False, _flag(row, "chosen_first")
    swap = tie and first is False
    return swap, tie, True if swap else first


def _flag(row: Row, field: str) -> bool | None:
    value = row.get(field)
    if value is not None and not isinstance(value, bool):
        raise BadRow(field, value, "must be true, false or null")
    return value


def _client_id(row: Row) -> str:
    value = row.get("client_id")
    if value is None:
        return ""
    if type(value) not in (str, int):
        raise BadRow("client_id", value, "write a text or a whole number")
    return str(value)


def _weight(row: Row) -> float:
    value = row.get("weight")
    if value is None:
        return 1.0
    if type(value) not in (int, float) or not 0 < value < math.inf:
        raise BadRow("weight", value, "must be a number above 0; leave out a row that has none")
    return float(value)
