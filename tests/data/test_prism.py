"""Rated conversations: pairs of each turn, the conversation so far, ties."""

import json
from pathlib import Path
from typing import Any

import pytest

from fedrlhf.data import prism
from fedrlhf.data.prism import PrismSource, outcomes_of
from fedrlhf.errors import DataError
from fedrlhf.types import PreferencePair, Turn

FIXTURE = Path(__file__).parents[1] / "fixtures/prism/conversations.jsonl"


def asked(turn: int, content: str) -> dict[str, Any]:
    """Return what the user says in a turn."""
    return {"turn": turn, "role": "user", "content": content, "score": None, "if_chosen": None}


def said(turn: int, content: str, score: Any = 50, chosen: Any = False) -> dict[str, Any]:
    """Return what a model says in a turn."""
    return {"turn": turn, "role": "model", "content": content, "score": score,
            "if_chosen": chosen, "model_name": f"m-{content}"}


def talk(*history: dict[str, Any]) -> dict[str, Any]:
    """Return a row: a whole conversation."""
    return {"user_id": "user0", "conversation_id": "c0", "conversation_type": "unguided",
            "conversation_history": list(history)}


def test_each_turn_gives_pairs_after_what_was_said() -> None:
    """Turn 0: b beats a and c. Turn 1 comes after b and its chosen response beats the other."""
    found = outcomes_of(talk(asked(0, "Hi"), said(0, "a", 9), said(0, "b", 90, True),
                             said(0, "c", 30), asked(1, "Why?"), said(1, "d", 80, True),
                             said(1, "e", 80)))
    prompts = [pair.prompt for pair in found if isinstance(pair, PreferencePair)]
    opening = (Turn(role="user", content="Hi"),)
    assert prompts == [opening, opening, (*opening, Turn(role="assistant", content="b"),
                                          Turn(role="user", content="Why?"))]
    assert found[1] == PreferencePair(
        opening, "b", "c", "user0", "prism", columns={
            "conversation_id": "c0", "conversation_type": "unguided", "turn": 0,
            "chosen_score": 90, "rejected_score": 30, "chosen_model": "m-b",
            "rejected_model": "m-c"})
    # Equal scores: the person saw no difference.
    assert [pair.tie for pair in found if isinstance(pair, PreferencePair)] == [False, False, True]


def test_the_order_of_the_entries_does_not_matter() -> None:
    """Turns are read by number."""
    entries = [asked(0, "Hi"), said(0, "a", 9), said(0, "b", 90, True), asked(1, "Why?"),
               said(1, "d", 80, True), said(1, "e", 70)]
    assert outcomes_of(talk(*entries)) == outcomes_of(talk(*entries[3:], *entries[:3]))


@pytest.mark.parametrize(("responses", "expected"), [
    ([said(0, "a"), said(0, "b")], [prism.NO_CHOICE]),
    ([said(0, "a", 50, True), said(0, "b", 50, True)], [prism.NO_CHOICE]),
    ([said(0, "a", 50, True), said(0, "a", 40)], [prism.EQUAL_TEXTS])])
def test_what_gives_no_pair(responses: list[dict[str, Any]], expected: list[str]) -> None:
    """Without one chosen text the conversation is left; a response equal to it is skipped."""
    more = [asked(1, "Why?"), said(1, "d", 80, True), said(1, "e")]
    found = outcomes_of(talk(asked(0, "Hi"), *responses, *more))
    assert found[:1] == expected
    assert len(found) == (1 if expected == [prism.NO_CHOICE] else 2)


def test_a_text_marked_twice_counts_once() -> None:
    """Two chosen responses with one text: one pair with the third."""
    found = outcomes_of(talk(asked(0, "Hi"), said(0, "a", 50, True), said(0, "a", 50, True),
                             said(0, "b", 40)))
    assert [(pair.chosen, pair.rejected) for pair in found if isinstance(pair, PreferencePair)] == [
        ("a", "b")]


def test_facts_of_the_fixture(tmp_path: Path) -> None:
    """25 conversations of 3 + 1 pairs; one has no choice in turn 0. As a file and as on the hub."""
    source = PrismSource(str(FIXTURE), None, "train", None)
    pairs = source.preferences()
    assert len(pairs) == 24 * 4
    assert source.left_out == {prism.NO_CHOICE: 1}
    assert sum(pair.tie for pair in pairs) == 1
    assert {pair.client_id for pair in pairs} == {f"user{n}" for n in range(5)}
    # Users of even number like polite answers, the others frank ones.
    assert {(int(pair.client_id[-1]) % 2, pair.chosen.split()[0]) for pair in pairs} == {
        (0, "Gladly."), (1, "Frankly,")}
    (tmp_path / "conversations.jsonl").write_text(FIXTURE.read_text())
    (tmp_path / "utterances.jsonl").write_text('{"other": 1}\n')
    (tmp_path / "README.md").write_text(
        '---\nconfigs:\n- config_name: conversations\n  data_files: "conversations.jsonl"\n'
        '- config_name: utterances\n  data_files: "utterances.jsonl"\n---\n')
    assert PrismSource(str(tmp_path), None, "train", None).preferences() == pairs


@pytest.mark.parametrize(("row", "words"), [
    ({**talk(), "user_id": None}, "user_id is missing"),
    ({"user_id": "u", "conversation_id": "c"}, "conversation_history is missing"),
    (talk(said(0, "a", 50, True)), "turn 0 must have one entry of the user"),
    (talk({**asked(0, "Hi"), "turn": None}), "turn is missing"),
    (talk({**asked(0, "Hi"), "role": "system"}), "role is 'system': must be one of user, model"),
    (talk(asked(0, "Hi"), said(0, "a", 50, None)), "if_chosen is missing: must be true or false"),
    (talk(asked(0, "Hi"), said(0, "a", None, True), said(0, "b")), "score is missing")])
def test_bad_rows_are_named(tmp_path: Path, row: dict[str, Any], words: str) -> None:
    """The message has the line and the field."""
    (tmp_path / "x.jsonl").write_text(json.dumps(row))
    with pytest.raises(DataError, match=f"line 1: .*{words}"):
        PrismSource(str(tmp_path / "x.jsonl"), None, "train", None).preferences()
