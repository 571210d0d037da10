"""UKPConvArg1: people's votes on which of two arguments convinces more.

Habernal and Gurevych, "Which argument is more convincing?", ACL 2016 (CC-BY 4.0).
"""

from functools import partial
from pathlib import Path

from fedrlhf.data.lines import BadRow, Row, read_csv, read_json_lines, text
from fedrlhf.data.source import Instructions, Truth
from fedrlhf.errors import DataError
from fedrlhf.types import PreferencePair

FILES = ("votes.csv", "pairs.csv", "arguments.jsonl")
_VOTES = ("a1", "a2", "equal")
_GOLD = {"a1": "first", "a2": "second", "equal": "tie", "": None}

Pairs = dict[str, Row]


class UkpConvArgSource:
    """One preference pair for each vote; the person is the worker.

    The folder holds ``votes.csv`` (pair_id, worker, value), ``pairs.csv`` (pair_id, topic, a1, a2,
    gold) and ``arguments.jsonl`` (arg_id, topic, debate, title, stance, text).

    A prompt is a side of a debate, "title — stance". The columns of a pair are ``topic`` (the
    side), ``debate``, ``pair_id``, ``worker_stance`` (the worker's own: same, opposite, none, or
    None), ``gold`` (the first, the second or a tie is better by all votes; None: not settled)
    and, where both decide, ``gold_margin``: 1 if the vote agrees with the gold label, else -1.
    """

    def __init__(self, path: str) -> None:
        """Name the folder of the corpus; it is read when asked for."""
        self._folder = Path(path).expanduser()
        self.name = "ukp_convarg"

    def preferences(self) -> list[PreferencePair]:
        """Return the votes in the file's order.

        Raises:
            DataError: A file is absent, or a row names an unknown pair, argument or value.
        """
        absent = [name for name in FILES if not (self._folder / name).is_file()]
        if absent:
            raise DataError(f"{self._folder} lacks {', '.join(absent)}; set data.path to the "
                            f"folder of UKPConvArg1 with {', '.join(FILES)}")
        votes, pairs, arguments = (self._folder / name for name in FILES)
        texts = dict(read_json_lines(arguments, _argument))
        known = dict(read_csv(pairs, partial(_pair, texts=texts)))
        return read_csv(votes, partial(_vote, pairs=known, source=self.name))

    def instructions(self) -> Instructions:
        """Return none: the prompts are debates, not instructions."""
        return Instructions()

    def truth(self) -> Truth | None:
        """Return None: nobody planted the preferences of real people."""
        return None


def _argument(row: Row) -> tuple[tuple[str, str], Row]:
    facts = {field: text(row, field) for field in ("topic", "debate", "title", "stance", "text")}
    return (facts["topic"], text(row, "arg_id")), facts


def _pair(row: Row, texts: dict[tuple[str, str], Row]) -> tuple[str, Row]:
    both = []
    for field in ("a1", "a2"):
        # An argument id is unique only within its topic.
        key = (text(row, "topic"), text(row, field))
        if key not in texts:
            raise BadRow(field, key[1], f"no such argument of topic {key[0]} in arguments.jsonl")
        both.append(texts[key])
    if row.get("gold") not in _GOLD:
        raise BadRow("gold", row.get("gold"), f"must be one of {', '.join(_VOTES)} or empty")
    return text(row, "pair_id"), {"arguments": both, "gold": row["gold"]}


def _vote(row: Row, pairs: Pairs, source: str) -> PreferencePair:
    number, value = text(row, "pair_id"), row.get("value")
    if number not in pairs:
        raise BadRow("pair_id", number, "no such pair in pairs.csv")
    if value not in _VOTES:
        raise BadRow("value", value, f"must be one of {', '.join(_VOTES)}")
    first, second = pairs[number]["arguments"]
    chosen, rejected = (second, first) if value == "a2" else (first, second)
    return PreferencePair(
        prompt=f"{first['title']} — {first['stance']}", chosen=chosen["text"],
        rejected=rejected["text"], client_id=text(row, "worker"), source=source,
        tie=value == "equal", chosen_first=value != "a2",
        columns={"topic": first["topic"], "debate": first["debate"], "pair_id": number,
                 "worker_stance": row.get("worker_stance") or None,
                 **_gold(pairs[number]["gold"], value)})


def _gold(gold: str, value: str) -> Row:
    facts: Row = {"gold": _GOLD[gold]}
    if {gold, value} <= {"a1", "a2"}:
        facts["gold_margin"] = 1.0 if gold == value else -1.0
    return facts
