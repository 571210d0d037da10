"""PRISM: people all over the world rate the answers of several models in their own conversations.

Kirk et al., "The PRISM alignment dataset", NeurIPS 2024.
"""

from collections.abc import Iterator
from itertools import groupby

from fedrlhf.data.lines import BadRow, Row, number, one_of, records, text
from fedrlhf.data.published import Outcome, PublishedSource
from fedrlhf.types import PreferencePair, Turn

_ROLES = {"user": "user", "model": "assistant"}

NO_CHOICE = "turns without exactly one chosen response"
EQUAL_TEXTS = "responses equal to the chosen one"


class PrismSource(PublishedSource):
    """The chosen response of a turn against each other response of it; the person is the user.

    It reads the conversations (a row is a whole conversation); the utterances hold the same. The
    prompt is the conversation so far, in which the chosen responses stand. Equal scores are a tie.
    A conversation is left at a turn without a single chosen response, as nobody knows how it went
    on. Columns: ``conversation_id``, ``conversation_type``, ``turn`` (from 0), ``chosen_model``,
    ``rejected_model`` and the ratings ``chosen_score`` and ``rejected_score``, 1 to 100.
    """

    name = "prism"
    subset = "conversations"

    def preferences(self) -> list[PreferencePair]:
        """Return the pairs by conversation and turn.

        Raises:
            DataError: Nothing can be read there, or rows are bad.
        """
        return self.kept(outcome for found in self.read(outcomes_of) for outcome in found)


def outcomes_of(row: Row) -> list[Outcome]:
    """Make the pairs of one conversation.

    Raises:
        BadRow: A field is absent or has a wrong value.
    """
    facts = {"client_id": text(row, "user_id"), "conversation_id": text(row, "conversation_id"),
             "conversation_type": row.get("conversation_type")}
    history = sorted(records(row, "conversation_history"), key=lambda entry: number(entry, "turn"))
    outcomes: list[Outcome] = []
    prompt: tuple[Turn, ...] = ()
    for turn, entries in groupby(history, key=lambda entry: int(entry["turn"])):
        sides: dict[str, list[Row]] = {"user": [], "assistant": []}
        for entry in entries:
            sides[one_of(entry, "role", _ROLES)].append(entry)
        if len(sides["user"]) != 1:
            raise BadRow("conversation_history", [len(sides["user"])],
                         f"turn {turn} must have one entry of the user")
        prompt = (*prompt, Turn(role="user", content=text(sides["user"][0], "content")))
        chosen = [entry for entry in sides["assistant"] if _chosen(entry)]
        # The same text may be marked several times.
        if len({text(entry, "content") for entry in chosen}) != 1:
            return [*outcomes, NO_CHOICE]
        outcomes += _turn_pairs(prompt, chosen[0], sides["assistant"], {**facts, "turn": turn})
        prompt = (*prompt, Turn(role="assistant", content=chosen[0]["content"]))
    return outcomes


def _turn_pairs(prompt: tuple[Turn, ...], chosen: Row, responses: list[Row],
                facts: Row) -> Iterator[Outcome]:
    columns = {key: value for key, value in facts.items() if key != "client_id"}
    score = number(chosen, "score")
    for other in responses:
        if _chosen(other):
            continue
        if text(other, "content") == chosen["content"]:
            yield EQUAL_TEXTS
            continue
        yield PreferencePair(
            prompt, chosen["content"], other["content"], facts["client_id"], PrismSource.name,
            tie=number(other, "score") == score, columns={
                **columns, "chosen_score": score, "rejected_score": other["score"],
                "chosen_model": chosen.get("model_name"),
                "rejected_model": other.get("model_name")})


def _chosen(entry: Row) -> bool:
    value = entry.get("if_chosen")
    if not isinstance(value, bool):
        raise BadRow("if_chosen", value, "must be true or false")
    return value
