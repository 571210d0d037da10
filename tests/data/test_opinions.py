"""Planted groups of opinion and GlobalOpinionQA: shares, tastes and odd rows."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedrlhf.data.global_opinions import REPEATED, UNFIT, GlobalOpinionsSource
from fedrlhf.data.opinions import OpinionsSource
from fedrlhf.errors import ConfigError, DataError
from fedrlhf.selectors.questions import questions_of
from fedrlhf.types import Rating, as_text

FIXTURE = Path(__file__).parents[1] / "fixtures" / "global_opinions"


def planted(**more: Any) -> OpinionsSource:
    """Return a small source."""
    return OpinionsSource(**{"groups": 3, "questions": 5, "options": 4, "heterogeneity": 1.5,
                             "temperature": 2.0, "seed": 0} | more)


def test_shares_are_the_softmax_of_the_planted_utility() -> None:
    """Ratios of shares are exp of differences of utility / temperature; each question adds to 1."""
    source = planted()
    found = source.preferences()
    assert len(found) == 3 * 5 * 4
    by_question: dict[tuple[str, int], list[Rating]] = defaultdict(list)
    for one in found:
        by_question[one.client_id, one.columns["question"]].append(one)
    for (group, _), ratings in by_question.items():
        assert sum(one.value for one in ratings) == pytest.approx(1.0)
        taste = source.tastes[group]
        utility = [taste.utility(as_text(one.prompt), one.completion) for one in ratings]
        np.testing.assert_allclose(np.diff(np.log([one.value for one in ratings])),
                                   np.diff(utility) / 2.0, atol=1e-9)


def test_groups_answer_the_same_questions_alike_without_heterogeneity() -> None:
    """Heterogeneity 0: equal shares everywhere; above it, other groups have other shares."""
    for size, equal in ((0.0, True), (1.5, False)):
        values = np.array([one.value for one in planted(heterogeneity=size).preferences()])
        of_group = values.reshape(5, 3, 4)
        assert np.allclose(of_group[:, 0], of_group[:, 1]) == equal


def test_a_source_is_its_seed() -> None:
    """The same seed gives the same ratings, another one others; the truth names the groups."""
    assert planted().preferences() == planted().preferences()
    assert planted(seed=1).preferences() != planted().preferences()
    assert planted().truth().groups == {"group_00": 0, "group_01": 1, "group_02": 2}


@pytest.mark.parametrize("key, value", [("options", 1), ("temperature", 0), ("heterogeneity", -1),
                                        ("questions", 0), ("groups", 0)])
def test_refused_settings(key: str, value: float) -> None:
    """The message names the key."""
    with pytest.raises(ConfigError, match=f"data.{key}"):
        planted(**{key: value})
    with pytest.raises(ConfigError, match="curriculum has"):
        planted(questions=100_000).preferences()


def opinions(path: Path) -> GlobalOpinionsSource:
    """Return the published source on local files."""
    return GlobalOpinionsSource(str(path), None, "train", None)


def test_the_published_format() -> None:
    """Countries are clients, shares add up to 1, and what does not fit is counted."""
    source = opinions(FIXTURE / "global_opinions.csv")
    found = source.preferences()
    assert source.left_out == {UNFIT: 2, REPEATED: 1}
    questions, left_out = questions_of(found)
    assert left_out == 0
    assert {q.person for q in questions} >= {"Nigeria", "Germany", "Japan"}
    for question in questions:
        assert sum(question.shares) == pytest.approx(1.0)
    first = next(one for one in found if one.client_id == "Germany")
    assert first.columns == {"question": 0, "survey": "GAS"}


@pytest.mark.parametrize("field, told", [
    ("selections", "defaultdict(<class 'list'>, {'Japan': [__import__('os').getcwd()]})"),
    ("selections", "{1: [0.5, 0.5]}"), ("options", "{'a': 1}"), ("options", "no list"),
    ("question", None)])
def test_a_row_that_is_no_literal_is_refused(tmp_path: Path, field: str,
                                             told: str | None) -> None:
    """Nothing in a file is run; the message names the line and the field."""
    row = {"question": "Is it?", "selections": "{'Japan': [0.5, 0.5]}", "options": "['a', 'b']",
           "source": "WVS", field: told}
    (tmp_path / "train.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(DataError, match=field):
        opinions(tmp_path / "train.jsonl").preferences()
