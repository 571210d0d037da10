"""Chatbot Arena: people ask two unnamed models and say whose answer is better.

Zheng et al., "Judging LLM-as-a-judge with MT-bench and Chatbot Arena", NeurIPS 2023.
"""

from fedrlhf.data.lines import BadRow, Row, one_of, text
from fedrlhf.data.published import Outcome, PublishedSource
from fedrlhf.data.turns import turns_of
from fedrlhf.types import PreferencePair

# The winner's side; None: a tie.
_WINNERS = {"model_a": "a", "model_b": "b", "tie": None, "tie (bothbad)": None}

EARLIER_DIFFERENCE = "rows that differ before the last turn"
NO_ANSWER = "rows that do not end with an answer"


class ChatbotArenaSource(PublishedSource):
    """One preference pair for each vote on conversations that differ in the last answer only.

    The person is the judge. Both ties are ties. In a conversation of several turns the models'
    earlier answers differ as well, so that no prompt is shared: such rows are left out. Columns:
    ``question_id``, ``language``, ``turns`` (questions), ``chosen_model``, ``rejected_model`` and
    ``winner`` (as voted).
    """

    name = "chatbot_arena"

    def preferences(self) -> list[PreferencePair]:
        """Return the votes in the order of the rows.

        Raises:
            DataError: Nothing can be read there, or rows are bad.
        """
        return self.kept(self.read(outcome_of))


def outcome_of(row: Row) -> Outcome:
    """Make a pair of a vote, or say why there is none.

    Raises:
        BadRow: A field is absent or has a wrong value.
    """
    winner = one_of(row, "winner", _WINNERS)
    judge = text(row, "judge")
    if not judge:
        raise BadRow("judge", judge, "it is empty; a vote needs the person who gave it")
    dialogues = {side: turns_of(row.get(f"conversation_{side}"), f"conversation_{side}")
                 for side in "ab"}
    if dialogues["a"][:-1] != dialogues["b"][:-1]:
        return EARLIER_DIFFERENCE
    prompt = dialogues["a"][:-1]
    answers = [dialogue[-1] for dialogue in dialogues.values()]
    if not prompt or any(turn["role"] != "assistant" for turn in answers):
        return NO_ANSWER
    better, worse = ("b", "a") if winner == "b" else ("a", "b")
    return PreferencePair(
        prompt, dialogues[better][-1]["content"], dialogues[worse][-1]["content"], judge,
        ChatbotArenaSource.name, tie=winner is None, chosen_first=better == "a", columns={
            "question_id": row.get("question_id"), "language": row.get("language"),
            "turns": sum(turn["role"] == "user" for turn in prompt), "winner": row["winner"],
            "chosen_model": text(row, f"model_{better}"),
            "rejected_model": text(row, f"model_{worse}")})
