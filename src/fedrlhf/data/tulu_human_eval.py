"""The human comparisons behind Tulu: two models' completions of one prompt.

Wang et al., "How far can camels go?", NeurIPS 2023 (Apache-2.0).
"""

from functools import partial
from pathlib import Path

from fedrlhf.data.lines import BadRow, Row, one_of, read_json_lines, text
from fedrlhf.data.source import Instructions, Truth
from fedrlhf.types import PreferencePair

FILE = "annotations.jsonl"
# What an annotation says: the preferred completion (None: a tie) and how strongly.
PREFERENCES: dict[str, tuple[str | None, int]] = {
    "a-is-better": ("a", 2), "a-is-slightly-better": ("a", 1), "tie": (None, 0),
    "b-is-slightly-better": ("b", 1), "b-is-better": ("b", 2),
}


class TuluHumanEvalSource:
    """One preference pair for each annotation; the person is the evaluator.

    The columns of a pair are ``strength`` (0: tie, 1: slightly better, 2: better),
    ``chosen_acceptable`` and ``rejected_acceptable`` (true, false), ``chosen_model`` and
    ``rejected_model``, ``instance_id`` (the prompt's) and ``annotation_id``.
    """

    def __init__(self, path: str) -> None:
        """Name ``annotations.jsonl`` or the folder that holds it; it is read when asked for."""
        self._path = Path(path).expanduser()
        self.name = "tulu_human_eval"

    def preferences(self) -> list[PreferencePair]:
        """Return the annotations in the file's order.

        Raises:
            DataError: The file is absent or has bad rows.
        """
        file = self._path / FILE if self._path.is_dir() else self._path
        return read_json_lines(file, partial(_pair, source=self.name))

    def instructions(self) -> Instructions:
        """Return none: the prompts belong to the evaluation of other models."""
        return Instructions()

    def truth(self) -> Truth | None:
        """Return None: nobody planted the preferences of real people."""
        return None


def _pair(row: Row, source: str) -> PreferencePair:
    preferred, strength = one_of(row, "preference", PREFERENCES)
    order = ("b", "a") if preferred == "b" else ("a", "b")
    chosen, rejected = (text(row, f"completion_{letter}") for letter in order)
    sides = dict(zip(("chosen", "rejected"), order, strict=True))
    return PreferencePair(
        prompt=text(row, "prompt"), chosen=chosen, rejected=rejected,
        client_id=text(row, "evaluator"), source=source,
        tie=preferred is None, chosen_first=preferred != "b",
        columns={"strength": strength,
                 **{f"{side}_acceptable": _flag(row, f"{letter}_acceptable")
                    for side, letter in sides.items()},
                 **{f"{side}_model": text(row, f"model_{letter}")
                    for side, letter in sides.items()},
                 **{key: row.get(key) for key in ("instance_id", "annotation_id")}})


def _flag(row: Row, field: str) -> bool:
    value = row.get(field)
    if not isinstance(value, bool):
        raise BadRow(field, value, "must be true or false")
    return value
