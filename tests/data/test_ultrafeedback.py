"""Rated completions and simulated people: weights, choices, and what cannot be compared."""

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedrlhf.data import ultrafeedback
from fedrlhf.data.ultrafeedback import ASPECTS, UltraFeedbackSource, make_people, task_of
from fedrlhf.errors import ConfigError, DataError
from fedrlhf.types import PreferencePair

FIXTURE = Path(__file__).parents[1] / "fixtures/ultrafeedback"


def source(path: Path = FIXTURE, **changes: Any) -> UltraFeedbackSource:
    """Return a source with four people, one for each aspect, who care for nothing else."""
    settings: dict[str, Any] = {
        "clients": 4, "groups": 4, "pairs_per_client": 100, "focus": 1.0, "concentration": None,
        "temperature": 0.1, "seed": 0, **changes}
    return UltraFeedbackSource(str(path), None, "train", None, **settings)


def completion(text: str, *ratings: str) -> dict[str, Any]:
    """Return a completion as published, with ratings in the order of the aspects."""
    return {"model": "m", "response": text, "overall_score": 7.0, "fine-grained_score": 3.5,
            "annotations": {aspect: {"Rating": rating, "Rationale": "so"}
                            for aspect, rating in zip(ASPECTS, ratings, strict=True)}}


def written(folder: Path, *completions: dict[str, Any]) -> Path:
    """Write a row with these completions."""
    path = folder / "x.jsonl"
    path.write_text(json.dumps({"source": "flan", "instruction": "Go.", "models": [],
                                "completions": completions}))
    return path


def test_people_choose_by_their_aspect() -> None:
    """Ratings differ by whole points: at temperature 0.1 the chance of a slip is below e^-10.

    A person of group g weighs only aspect g; where it is rated alike the choice is a coin's.
    """
    found = source()
    ratings = {(task.instruction, c.text): c.ratings
               for task in found._tasks for c in task.completions}
    for pair in found.preferences():
        group = pair.columns["group"]
        assert pair.client_id == f"person_{group:03d}"
        chosen, rejected = ratings[pair.prompt, pair.chosen], ratings[pair.prompt, pair.rejected]
        assert chosen is not None
        assert rejected is not None
        assert chosen[group] >= rejected[group]
        assert pair.columns["oracle_margin"] == pytest.approx(chosen[group] - rejected[group])
        assert pair.columns["consensus_margin"] == pytest.approx(
            np.mean(chosen) - np.mean(rejected))


def test_the_choice_is_bradley_terry(tmp_path: Path) -> None:
    """One pair, ratings 4 and 2, temperature 2: P = sigmoid((4 - 2) / 2) = 0.7311.

    Of 4,000 people, 0.7311 +- 4 standard deviations of 0.0070 prefer the first.
    """
    path = written(tmp_path, completion("a", *"4444"), completion("b", *"2222"))
    pairs = source(path, clients=4000, pairs_per_client=1, temperature=2.0).preferences()
    assert np.mean([pair.chosen == "a" for pair in pairs]) == pytest.approx(0.7311, abs=0.028)
    assert np.mean([pair.chosen_first for pair in pairs]) == pytest.approx(0.5, abs=0.032)


def test_the_same_seed_gives_the_same_choices() -> None:
    """Nothing but the settings decides; another seed changes people and choices."""
    assert source(concentration=20.0).preferences() == source(concentration=20.0).preferences()
    assert source().preferences() != source(seed=1).preferences()


def test_a_person_compares_different_pairs(tmp_path: Path) -> None:
    """Three completions make three pairs; nobody sees one twice, and a fourth is refused."""
    path = written(tmp_path, *(completion(text, *text * 4) for text in "123"))
    pairs = source(path, pairs_per_client=3).preferences()
    for person in range(4):
        own = pairs[3 * person:3 * person + 3]
        seen = {frozenset((pair.chosen, pair.rejected)) for pair in own}
        assert seen == {frozenset(pair) for pair in combinations("123", 2)}
    with pytest.raises(DataError, match="has 3 pairs of completions .*data.pairs_per_client=4"):
        source(path, pairs_per_client=4).preferences()


def test_what_cannot_be_compared_is_counted(tmp_path: Path) -> None:
    """Unrated: N/A, no annotations. Of the pairs of a, a, b, c: (a, a) and (b, c) are equal."""
    bare = {**completion("e", *"1111"), "annotations": None}
    path = written(tmp_path, completion("a", *"1111"), completion("a", *"2222"),
                   completion("b", *"3333"), completion("c", *"3333"),
                   completion("d", "1", "2", "N/A", "3"), bare)
    found = source(path, pairs_per_client=4)
    assert len(found.preferences()) == 16
    assert found.left_out == {ultrafeedback.UNRATED: 2, ultrafeedback.EQUAL: 2}


def test_facts_of_the_fixture() -> None:
    """60 instructions of two sources; in every tenth one completion has no rating of honesty."""
    found = source(clients=6, groups=3)
    pairs = found.preferences()
    assert len(pairs) == 600
    assert {pair.columns["source"] for pair in pairs} == {"evol_instruct", "flan"}
    assert found.left_out[ultrafeedback.UNRATED] == 6
    assert found.truth().groups == {f"person_{n:03d}": n % 3 for n in range(6)}


def test_truth_knows_rated_completions_only() -> None:
    """With equal groups the mean utility is the mean rating; other texts have none."""
    truth = source().truth()
    task = source()._tasks[0]
    known = next(c for c in task.completions if c.ratings is not None)
    assert known.ratings is not None
    assert truth.utility(task.instruction, known.text) == pytest.approx(np.mean(known.ratings))
    assert not truth.any_text
    with pytest.raises(DataError, match="nobody rated 'something new'"):
        truth.utility(task.instruction, "something new")


def test_weights_of_groups_and_people() -> None:
    """focus 0.6: the own aspect has 0.6 + 0.4/4 = 0.7. Dirichlet: mean the group's, sum 1.

    The variance of a weight is m (1 - m) / (concentration + 1) = 0.21 / 21 = 0.01 for m = 0.7,
    so the mean of 400 draws is within 4 x 0.005 of it.
    """
    assert make_people(1, 1, 0.6, None, 0)[0].weights == pytest.approx((0.7, 0.1, 0.1, 0.1))
    weights = np.array([p.weights for p in make_people(400, 1, 0.6, 20.0, 0)])
    assert weights.sum(axis=1) == pytest.approx(np.ones(400))
    assert weights.mean(axis=0) == pytest.approx([0.7, 0.1, 0.1, 0.1], abs=0.02)
    assert weights[:, 0].var() == pytest.approx(0.01, rel=0.3)
    assert make_people(2, 2, 1.0, 5.0, 0)[1].weights == (0, 1, 0, 0)


@pytest.mark.parametrize(("change", "words"), [
    ({"groups": 5}, "data.groups must be between 1 and 4, got 5"),
    ({"clients": 3}, r"data.clients must be at least 4 \(data.groups\), got 3"),
    ({"focus": 1.5}, "data.focus must be between 0 and 1, got 1.5"),
    ({"concentration": 0}, "data.concentration must be greater than 0, got 0"),
    ({"temperature": 0}, "data.temperature must be greater than 0, got 0"),
    ({"pairs_per_client": 0}, "data.pairs_per_client must be at least 1, got 0")])
def test_settings_out_of_range(change: dict[str, Any], words: str) -> None:
    """Each message names the key and its value."""
    with pytest.raises(ConfigError, match=words):
        source(**change)


@pytest.mark.parametrize(("change", "words"), [
    ({"instruction": " "}, "instruction is ' '"), ({"instruction": None}, "instruction is missing"),
    ({"source": None}, "source is missing"), ({"completions": None}, "completions is missing"),
    ({"completions": [{"model": "m", "annotations": {}}]}, "response is missing"),
    ({"completions": [{"model": "m", "response": "r"}]}, "annotations is missing")])
def test_bad_rows_are_named(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    """The message has the line and the field."""
    row = {"source": "flan", "instruction": "Go.", "completions": [], **change}
    (tmp_path / "x.jsonl").write_text(json.dumps(row))
    with pytest.raises(DataError, match=f"line 1: {words}"):
        source(tmp_path / "x.jsonl").preferences()


def test_ratings_may_be_numbers() -> None:
    """Copies of the data set have them as numbers."""
    task = task_of({"source": "s", "instruction": "i", "completions": [{
        "model": "m", "response": "r", "annotations": {a: {"Rating": 4} for a in ASPECTS}}]})
    assert task.completions[0].ratings == (4, 4, 4, 4)


def test_a_pair_looks_like_every_other(tmp_path: Path) -> None:
    """One choice with all its columns: weights (1, 0, 0, 0), ratings 5 and 1 in that aspect."""
    path = written(tmp_path, completion("a", *"5111"), completion("b", *"1111"))
    pair, = source(path, clients=1, groups=1, pairs_per_client=1).preferences()
    assert pair == PreferencePair(
        "Go.", "a", "b", "person_000", "ultrafeedback", chosen_first=pair.chosen_first, columns={
            "group": 0, "source": "flan", "chosen_model": "m", "rejected_model": "m",
            "oracle_margin": 4.0, "consensus_margin": 4.0})
