"""RealHumanEval's chat turns: rows by hand, and the facts of the real files."""

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from fedrlhf.data.realhumaneval import RealHumanEvalSource
from fedrlhf.errors import ConfigError, DataError
from fedrlhf.types import Rating

ROW = {"request": "[{'role': 'user', 'content': 'Sum?'}]", "response": "sum(x)",
       "copy_events": "[{'type': 'copy_button', 'copied': 'sum(x)'}]", "programmer_id": "7",
       "model": "GPT-4o (chat)", "task_name": "sum_product"}


def source_of(folder: Path, *changes: dict[str, Any]) -> RealHumanEvalSource:
    """Write rows, each changed as told, and one task."""
    for name, rows in (("chat_data.csv", [{**ROW, **change} for change in changes]),
                       ("tasks_data.csv", [{"name": "sum_product", "type": "logic"}])):
        with (folder / name).open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return RealHumanEvalSource(str(folder), copied=0.75, not_copied=0.25)


def test_a_copied_answer(tmp_path: Path) -> None:
    """P = 0.75 weighs |2 * 0.75 - 1| = 0.5."""
    assert source_of(tmp_path, {}).preferences() == [Rating(
        ({"role": "user", "content": "Sum?"},), "sum(x)", 0.75, "7", "realhumaneval", 0.5, columns={
            "task": "sum_product", "task_type": "logic", "model": "GPT-4o", "condition": "chat",
            "copied": True})]


def test_an_answer_that_nobody_copied(tmp_path: Path) -> None:
    """Nothing copied is P = 0.25: rather bad."""
    rating, = source_of(tmp_path, {"copy_events": "[]"}).preferences()
    assert (rating.value, rating.desirable, rating.columns["copied"]) == (0.25, False, False)


def test_empty_turns_are_counted(tmp_path: Path) -> None:
    """A turn without a question or an answer is left out, and said."""
    source = source_of(tmp_path, {}, {"request": "[]"}, {"response": " "}, {"response": ""})
    assert len(source.preferences()) == 1
    assert source.left_out == {"turns without a question": 1, "turns without an answer": 2}


@pytest.mark.parametrize("change", [
    {"copy_events": "open('x')"}, {"copy_events": "{}"}, {"request": "[{'role': 'user'}]"},
    {"request": "['Sum?'"}, {"task_name": "unknown"}, {"programmer_id": ""}])
def test_bad_rows(tmp_path: Path, change: dict[str, Any]) -> None:
    """The message names line and field; literals are read, never executed."""
    with pytest.raises(DataError, match=rf"line 3: {next(iter(change))}\S* is "):
        source_of(tmp_path, {}, change).preferences()


def test_what_is_refused(tmp_path: Path) -> None:
    """Files that are not there, and probabilities on the wrong side."""
    with pytest.raises(DataError, match="lacks chat_data.csv, tasks_data.csv"):
        RealHumanEvalSource(str(tmp_path), 0.7, 0.4).preferences()
    with pytest.raises(ConfigError, match="data.copied must be above 0.5"):
        RealHumanEvalSource(str(tmp_path), 0.5, 0.4)
    with pytest.raises(ConfigError, match="data.not_copied must be at least 0 and below 0.5"):
        RealHumanEvalSource(str(tmp_path), 0.7, 0.5)


def test_facts_of_the_real_files(shared: Path) -> None:
    """1,055 turns of 107 programmers, 1 to 29 each, 34.3% copied; two have no question."""
    source = RealHumanEvalSource(str(shared / "data" / "realhumaneval_chat"), 0.7, 0.4)
    ratings = source.preferences()
    assert source.left_out == {"turns without a question": 2}
    assert len(ratings) + 2 == 1055
    assert sum(one.desirable for one in ratings) == 362
    assert round(362 / 1055, 3) == 0.343
    sizes = Counter(one.client_id for one in ratings)
    assert (len(sizes), min(sizes.values()), max(sizes.values())) == (107, 1, 29)
    assert {one.columns["model"] for one in ratings} == {
        "GPT-3.5", "GPT-4o", "CodeLlama7b", "CodeLlama34b"}
