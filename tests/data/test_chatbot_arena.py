"""Votes of the arena: winners, ties, conversations that share no prompt."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fedrlhf.data import chatbot_arena
from fedrlhf.data.chatbot_arena import ChatbotArenaSource, outcome_of
from fedrlhf.errors import DataError
from fedrlhf.types import PreferencePair, Turn

FIXTURE = Path(__file__).parents[1] / "fixtures/chatbot_arena/train.jsonl"
ASKED = {"content": "2 + 2?", "role": "user"}


def said(content: str) -> dict[str, str]:
    """Return an answer."""
    return {"content": content, "role": "assistant"}


ROW: dict[str, Any] = {
    "question_id": "q", "model_a": "m-a", "model_b": "m-b", "winner": "model_b", "judge": "j",
    "conversation_a": [ASKED, said("5")], "conversation_b": [ASKED, said("4")], "turn": 1,
    "language": "English"}


def test_a_vote_becomes_a_pair() -> None:
    """The judge is the person; A was shown first."""
    assert outcome_of(ROW) == PreferencePair(
        (Turn(role="user", content="2 + 2?"),), "4", "5", "j", "chatbot_arena",
        chosen_first=False, columns={
            "question_id": "q", "language": "English", "turns": 1, "winner": "model_b",
            "chosen_model": "m-b", "rejected_model": "m-a"})


@pytest.mark.parametrize(("winner", "chosen", "tie"), [
    ("model_a", "5", False), ("model_b", "4", False), ("tie", "5", True),
    ("tie (bothbad)", "5", True)])
def test_winners_and_ties(winner: str, chosen: str, tie: bool) -> None:
    """The `chosen` of a tie is the one that was shown first."""
    pair = outcome_of({**ROW, "winner": winner})
    assert isinstance(pair, PreferencePair)
    assert (pair.chosen, pair.tie, pair.chosen_first) == (chosen, tie, winner != "model_b")


def test_conversations_of_several_turns() -> None:
    """They share a prompt only where the earlier answers are equal; then it is the whole talk."""
    more = [{"content": "Sure?", "role": "user"}, said("Yes")]
    differing = {**ROW, "conversation_a": [*ROW["conversation_a"], *more],
                 "conversation_b": [*ROW["conversation_b"], *more]}
    assert outcome_of(differing) == chatbot_arena.EARLIER_DIFFERENCE
    alike = {**differing, "conversation_b": [*ROW["conversation_a"], more[0], said("No")]}
    pair = outcome_of(alike)
    assert isinstance(pair, PreferencePair)
    assert (pair.columns["turns"], len(pair.prompt), pair.chosen) == (2, 3, "No")


def test_conversations_without_an_answer() -> None:
    """There is nothing to compare."""
    row = {**ROW, "conversation_a": [ASKED], "conversation_b": [ASKED]}
    assert outcome_of(row) == chatbot_arena.NO_ANSWER


def test_facts_of_the_fixture(tmp_path: Path) -> None:
    """80 votes, 3 of them left out, 7 ties; the same as a Parquet file of the hub."""
    source = ChatbotArenaSource(str(FIXTURE), None, "train", None)
    pairs = source.preferences()
    assert (len(pairs), sum(pair.tie for pair in pairs)) == (77, 7)
    assert source.left_out == {chatbot_arena.EARLIER_DIFFERENCE: 3}
    assert {pair.client_id for pair in pairs} == {f"arena_user_{n}" for n in range(5)}
    (tmp_path / "data").mkdir()
    rows = [json.loads(line) for line in FIXTURE.read_text().splitlines()]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "data/train-00000-of-00001.parquet")
    assert ChatbotArenaSource(str(tmp_path), None, "train", None).preferences() == pairs


@pytest.mark.parametrize(("change", "words"), [
    ({"winner": "A"}, "winner is 'A': must be one of model_a, model_b, tie"),
    ({"judge": None}, "judge is missing"), ({"judge": ""}, "judge is ''"),
    ({"conversation_b": None}, "conversation_b is missing"),
    ({"conversation_a": [{"content": "x", "role": "robot"}]}, r"conversation_a\[0\].role is 'rob"),
    ({"model_a": None}, "model_a is missing")])
def test_bad_rows_are_named(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    """The message has the line and the field."""
    path = tmp_path / "x.jsonl"
    path.write_text(f"{json.dumps(ROW)}\n{json.dumps({**ROW, **change})}")
    with pytest.raises(DataError, match=f"line 2: {words}"):
        ChatbotArenaSource(str(path), None, "train", None).preferences()
