"""Preferences and instructions from JSON-lines files, and what is said about bad rows."""

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrlhf.data.jsonl import JsonlSource, preference, preference_pair
from fedrlhf.data.lines import BadRow
from fedrlhf.data.source import Instructions, Source
from fedrlhf.errors import DataError
from fedrlhf.types import PreferencePair, Rating, as_text

USER = {"role": "user", "content": "2 + 2?"}
FOUR = {"role": "assistant", "content": "4"}
FIVE = {"role": "assistant", "content": "5"}
TRL = {"prompt": "2 + 2?", "chosen": "4", "rejected": "5"}
JUDGED = {"prompt": "2 + 2?", "completion_a": "4", "completion_b": "5", "preference": "a"}


def written(folder: Path, *rows: Any) -> Path:
    """Write rows (texts as they are) to a file."""
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    path = folder / "mine.jsonl"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def error_of(path: Path) -> str:
    """Return the message of reading a bad file."""
    with pytest.raises(DataError) as caught:
        JsonlSource(str(path), None).preferences()
    return str(caught.value)


def test_plain_texts_with_every_optional_key(tmp_path: Path) -> None:
    """Each key of the row has one place in the pair; the unknown one is a column."""
    row = {**TRL, "client_id": 7, "weight": 2, "tie": False, "chosen_first": False, "topic": "sums"}
    source: Source = JsonlSource(str(written(tmp_path, row)), None)
    assert source.name == "mine"
    assert source.truth() is None
    assert source.preferences() == [PreferencePair(
        "2 + 2?", "4", "5", "7", "mine", 2.0, False, False, {"topic": "sums"})]


def test_missing_optional_keys_have_the_defaults_of_a_pair(tmp_path: Path) -> None:
    """No person, weight 1, no tie, order unknown, no columns; null means missing."""
    rows = [TRL, {**TRL, "client_id": None, "weight": None, "tie": None, "chosen_first": None}]
    pairs = JsonlSource(str(written(tmp_path, *rows)), None).preferences()
    assert pairs == [PreferencePair("2 + 2?", "4", "5", "", "mine")] * 2


@pytest.mark.parametrize("row", [
    {"prompt": [USER], "chosen": [FOUR], "rejected": [FIVE]},
    {"prompt": [USER], "chosen": [USER, FOUR], "rejected": [USER, FIVE]},
    {"prompt": [USER], "chosen": "4", "rejected": "5"},
    {"chosen": [USER, FOUR], "rejected": [USER, FIVE]},
    {"prompt": [USER], "completion_a": [FIVE], "completion_b": [FOUR], "preference": "b"},
])
def test_conversations_in_every_form(row: dict[str, Any]) -> None:
    """All of them are the turn "2 + 2?" with the completions "4" and "5"."""
    pair = preference_pair(row, "s")
    assert (pair.prompt, pair.chosen, pair.rejected) == ((USER,), "4", "5")


def test_text_prompt_repeated_in_both_dialogues() -> None:
    """The prompt stays the text that was given; the dialogues lose their beginning."""
    pair = preference_pair(
        {"prompt": "2 + 2?", "chosen": [USER, FOUR], "rejected": [USER, FIVE]}, "s")
    assert (pair.prompt, pair.chosen, pair.rejected) == ("2 + 2?", "4", "5")


def test_implicit_prompt_of_equal_dialogues_leaves_the_last_turn() -> None:
    """The shared beginning never takes the last turn, or no completion would be left."""
    pair = preference_pair({"chosen": [USER, FOUR], "rejected": [USER, FOUR]}, "s")
    assert (pair.prompt, pair.chosen, pair.rejected) == ((USER,), "4", "4")


@pytest.mark.parametrize(("preference", "expected"), [
    ("a", ("4", "5", False, True)), ("A", ("4", "5", False, True)), ("1", ("4", "5", False, True)),
    (1, ("4", "5", False, True)), ("b", ("5", "4", False, False)), ("B", ("5", "4", False, False)),
    ("2", ("5", "4", False, False)), (2, ("5", "4", False, False)),
    ("tie", ("4", "5", True, True))])
def test_judgements(preference: object, expected: tuple[str, str, bool, bool]) -> None:
    """completion_a (4) was shown first: chosen, rejected, tie, chosen_first follow."""
    pair = preference_pair({**JUDGED, "preference": preference}, "s")
    assert (pair.chosen, pair.rejected, pair.tie, pair.chosen_first) == expected


@given(one=st.text(), two=st.text(), preference=st.sampled_from("ab"))
def test_swapped_order_flips_only_chosen_first(one: str, two: str, preference: str) -> None:
    """Showing the same two texts the other way round, with the same one preferred."""
    other = {"a": "b", "b": "a"}[preference]
    pair = preference_pair({"prompt": "p", "completion_a": one, "completion_b": two,
                            "preference": preference}, "s")
    swapped = preference_pair({"prompt": "p", "completion_a": two, "completion_b": one,
                               "preference": other}, "s")
    assert (pair.chosen, pair.rejected) == (swapped.chosen, swapped.rejected)
    assert pair.chosen_first is not swapped.chosen_first


def test_chosen_of_a_tie_is_the_one_shown_first() -> None:
    """A tie that says "chosen was shown second" is the same tie with the names exchanged."""
    pair = preference_pair({**TRL, "tie": True, "chosen_first": False}, "s")
    assert (pair.chosen, pair.rejected, pair.tie, pair.chosen_first) == ("5", "4", True, True)


RATED = {"prompt": "2 + 2?", "completion": "4", "label": True}


@pytest.mark.parametrize(("change", "value"), [
    ({}, 1.0), ({"label": False}, 0.0), ({"label": None, "value": 0.25}, 0.25),
    ({"completion": [USER, FOUR]}, 1.0), ({"prompt": [USER], "completion": [FOUR]}, 1.0)])
def test_ratings(change: dict[str, Any], value: float) -> None:
    """TRL's unpaired columns; a value says how probably the completion is good."""
    found = preference({**RATED, "client_id": 7, "weight": 2, "topic": "sums", **change}, "s")
    assert isinstance(found, Rating)
    assert as_text(found.prompt) in ("2 + 2?", "User: 2 + 2?")
    assert replace(found, prompt="") == Rating("", "4", value, "7", "s", 2.0, {"topic": "sums"})


def test_one_file_mixes_pairs_and_ratings(tmp_path: Path) -> None:
    """Each row has its own form; a pair's label is a column as before."""
    path = written(tmp_path, TRL, RATED, JUDGED, {**TRL, "label": "easy"})
    found = JsonlSource(str(path), None).preferences()
    assert [type(one) for one in found] == [PreferencePair, Rating, PreferencePair, PreferencePair]
    assert found[3].columns == {"label": "easy"}


@pytest.mark.parametrize(("change", "field"), [
    ({"label": None}, "value is missing"), ({"label": 1}, "label is 1"),
    ({"label": None, "value": 1.5}, "value is 1.5"), ({"label": None, "value": True}, "value is"),
    ({"value": 0.5}, "value is 0.5: remove it, it does not go with label"),
    ({"chosen": "5"}, "chosen is '5': remove it"), ({"preference": "a"}, "preference is 'a'"),
    ({"completion": 4}, "completion is 4"), ({"prompt": None}, "prompt is missing"),
    ({"prompt": None, "completion": [FOUR]}, "prompt is missing"),
    ({"completion": [USER]}, "completion is []: after the prompt")])
def test_a_bad_rating_is_named(tmp_path: Path, change: dict[str, Any], field: str) -> None:
    """Line and field."""
    assert f"line 2: {field}" in error_of(written(tmp_path, TRL, {**RATED, **change}))


def test_compressed_file_with_mark_and_empty_lines(tmp_path: Path) -> None:
    """A byte order mark and empty lines are no rows; U+2028 ends no line."""
    line = json.dumps({**TRL, "chosen": "4\u2028!"}, ensure_ascii=False)
    path = tmp_path / "votes.jsonl.gz"
    path.write_bytes(gzip.compress(f"\ufeff{line}\n\n{line}".encode()))
    source = JsonlSource(str(path), None)
    assert source.name == "votes"
    assert [pair.chosen for pair in source.preferences()] == ["4\u2028!"] * 2


@pytest.mark.parametrize(("change", "field", "value"), [
    ({"prompt": None}, "prompt", "missing"),
    ({"prompt": "  "}, "prompt", "'  '"),
    ({"prompt": []}, "prompt", "[]"),
    ({"prompt": [{"role": "human", "content": "?"}]}, "prompt[0].role", "'human'"),
    ({"prompt": [{"role": "user", "content": 3}]}, "prompt[0].content", "3"),
    ({"prompt": [{**USER, "name": "x"}]}, "prompt[0]", "'name'"),
    ({"chosen": 4}, "chosen", "4"),
    ({"rejected": [FIVE]}, "rejected", "both be texts"),
    ({"chosen": [FOUR, FOUR], "rejected": [FIVE]}, "chosen", "['assistant', 'assistant']"),
    ({"prompt": None, "chosen": [FOUR], "rejected": [FIVE]}, "prompt", "missing"),
    ({"client_id": 1.5}, "client_id", "1.5"),
    ({"client_id": True}, "client_id", "True"),
    ({"weight": 0}, "weight", "0"),
    ({"weight": "2"}, "weight", "'2'"),
    ({"tie": 1}, "tie", "1"),
    ({"chosen_first": "yes"}, "chosen_first", "'yes'"),
    ({"preference": "a"}, "chosen", "'4'"),
])
def test_a_bad_value_is_named(change: dict[str, Any], field: str, value: str) -> None:
    """Each message names the field and shows the value."""
    with pytest.raises(BadRow) as caught:
        preference_pair({**TRL, **change}, "s")
    assert str(caught.value).startswith(f"{field} is ")
    assert value in str(caught.value)


@pytest.mark.parametrize("preference", [0, 3, "c", True, None, 1.0, ["a"]])
def test_unknown_preference_is_refused(preference: object) -> None:
    """0 could be the first completion or a tie; nobody guesses."""
    with pytest.raises(BadRow, match="preference is"):
        preference_pair({**JUDGED, "preference": preference}, "s")


def test_bad_rows_are_counted_and_the_first_shown(tmp_path: Path) -> None:
    """Seven of eight rows are bad: five are shown with their line numbers, 2 to 6."""
    path = written(tmp_path, TRL, *[{**TRL, "weight": -n} for n in range(1, 8)])
    message = error_of(path)
    assert f"{path}: 7 bad rows; the first 5" in message
    assert "line 2: weight is -1: must be a number above 0" in message
    assert "line 6:" in message
    assert "line 7:" not in message


@pytest.mark.parametrize(("line", "part"), [
    ("{", "line 2: the line is b'{': not JSON"),
    ("[1]", "line 2: the line is [1]: write a JSON object"),
    ('{"prompt": "p", "chosen": "a", "rejected": "b", "weight": NaN}', "NaN is no JSON number"),
    ('{"prompt": "\\ud800", "chosen": "a", "rejected": "b"}', "surrogates not allowed")])
def test_lines_that_are_not_rows(tmp_path: Path, line: str, part: str) -> None:
    """The second line is broken and named as such."""
    assert part in error_of(written(tmp_path, TRL, line))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """Absent, empty, in another encoding and cut off: an error names each file."""
    latin, cut, empty = (tmp_path / name for name in ("l.jsonl", "c.jsonl.gz", "e.jsonl"))
    latin.write_bytes('{"prompt": "é"}'.encode("latin-1"))
    cut.write_bytes(gzip.compress(json.dumps(TRL).encode())[:-4])
    empty.write_text("\n")
    assert "cannot be read" in error_of(tmp_path / "absent.jsonl")
    assert "line 1" in error_of(latin)
    assert "that the file is whole" in error_of(cut)
    assert "holds no rows" in error_of(empty)


def test_no_instructions(tmp_path: Path) -> None:
    """Without a file the server has no prompts."""
    assert JsonlSource(str(written(tmp_path, TRL)), None).instructions() == Instructions()


def test_every_fourth_instruction_evaluates(tmp_path: Path) -> None:
    """Prompts 0 … 8 without a split: 3 and 7 (the fourth and the eighth) are for evaluation."""
    path = written(tmp_path, *[{"prompt": str(n)} for n in range(9)])
    found = JsonlSource("unused", str(path)).instructions()
    assert found.evaluate == ("3", "7")
    assert found.label == ("0", "1", "2", "4", "5", "6", "8")


def test_given_splits_and_repeated_instructions(tmp_path: Path) -> None:
    """A prompt counts once, as a text or as its only turn; a given split holds for its repeats."""
    rows = [{"prompt": "2 + 2?"}, {"prompt": "b", "split": "label"}, {"prompt": [USER]},
            {"prompt": "2 + 2?", "split": "evaluate"}]
    found = JsonlSource("unused", str(written(tmp_path, *rows))).instructions()
    assert found == Instructions(label=("b",), evaluate=("2 + 2?",))


def test_an_instruction_with_both_splits_is_refused(tmp_path: Path) -> None:
    """A tutor must not be evaluated on a prompt that it was aligned on."""
    rows = [{"prompt": "x", "split": split} for split in ("label", "evaluate")]
    path = written(tmp_path, *rows)
    with pytest.raises(DataError, match="'x' has both splits"):
        JsonlSource("unused", str(path)).instructions()


def test_an_instruction_with_an_unknown_split_is_refused(tmp_path: Path) -> None:
    """`train` is a split of shards, not of instructions."""
    path = written(tmp_path, {"prompt": "x", "split": "train"})
    with pytest.raises(DataError, match="line 1: split is 'train': must be label or evaluate"):
        JsonlSource("unused", str(path)).instructions()
