"""The human evaluation of Tulu: one row by hand, and the facts of the real file."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from fedrlhf.data.source import Source
from fedrlhf.data.tulu_human_eval import TuluHumanEvalSource
from fedrlhf.errors import DataError
from fedrlhf.types import PreferencePair

ROW = {"annotation_id": 5, "instance_index": 0, "instance_id": "i", "evaluator": "e01",
       "prompt": "Hi", "model_a": "m1", "model_b": "m2", "completion_a": "Hello",
       "completion_b": "Yo", "a_acceptable": True, "b_acceptable": False,
       "preference": "b-is-slightly-better"}


def source_of(folder: Path, **change: Any) -> Source:
    """Write one annotation, changed as told."""
    (folder / "annotations.jsonl").write_text(json.dumps({**ROW, **change}))
    return TuluHumanEvalSource(str(folder))


def test_b_is_slightly_better(tmp_path: Path) -> None:
    """What belongs to b is the chosen side's; b was shown second."""
    assert source_of(tmp_path).preferences() == [PreferencePair(
        "Hi", "Yo", "Hello", "e01", "tulu_human_eval", chosen_first=False, columns={
            "strength": 1, "chosen_acceptable": False, "rejected_acceptable": True,
            "chosen_model": "m2", "rejected_model": "m1", "instance_id": "i", "annotation_id": 5})]


@pytest.mark.parametrize(("preference", "expected"), [
    ("a-is-better", ("Hello", False, True, 2)), ("a-is-slightly-better", ("Hello", False, True, 1)),
    ("tie", ("Hello", True, True, 0)), ("b-is-better", ("Yo", False, False, 2))])
def test_levels(tmp_path: Path, preference: str, expected: tuple[str, bool, bool, int]) -> None:
    """Chosen text, tie, chosen_first and strength of the other levels; a tie keeps the order."""
    pair = source_of(tmp_path, preference=preference).preferences()[0]
    assert (pair.chosen, pair.tie, pair.chosen_first, pair.columns["strength"]) == expected


@pytest.mark.parametrize("change", [
    {"preference": "c-is-better"}, {"a_acceptable": "yes"}, {"completion_b": None}])
def test_bad_rows(tmp_path: Path, change: dict[str, Any]) -> None:
    """The message names line and field."""
    with pytest.raises(DataError, match=f"line 1: {next(iter(change))} is "):
        source_of(tmp_path, **change).preferences()


def test_no_instructions_and_no_truth(tmp_path: Path) -> None:
    """The file offers preferences only."""
    source = source_of(tmp_path)
    assert source.instructions().label == source.instructions().evaluate == ()
    assert source.truth() is None


def test_facts_of_the_real_file(shared: Path) -> None:
    """1,150 annotations by 16 people with 20 to 190 each; counts of preferences as published."""
    file = shared / "data/tulu_human_eval/annotations.jsonl"
    pairs = TuluHumanEvalSource(str(file)).preferences()
    people = Counter(pair.client_id for pair in pairs)
    assert (len(pairs), len(people), min(people.values()), max(people.values())) == (
        1150, 16, 20, 190)
    levels = Counter((pair.columns["strength"], pair.chosen_first) for pair in pairs)
    assert levels == {(0, True): 376, (1, True): 235, (1, False): 191, (2, True): 188,
                      (2, False): 160}


def test_longer_completions_win(shared: Path) -> None:
    """Of 774 choices 523 are for the longer completion and 8 have none: 523 / 766 = 68.3%."""
    pairs = TuluHumanEvalSource(str(shared / "data/tulu_human_eval")).preferences()
    choices = [pair for pair in pairs if not pair.tie]
    differences = [len(choice.chosen) - len(choice.rejected) for choice in choices]
    assert len(differences) == 774
    assert sum(difference > 0 for difference in differences) == 523
    assert sum(difference == 0 for difference in differences) == 8
