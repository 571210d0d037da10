"""Prompts and completions from texts or from lists of turns."""

import json
from typing import Any

from fedrlhf.data.lines import BadRow, Row
from fedrlhf.types import Prompt, Turn, as_turns

ROLES = ("system", "user", "assistant", "tool")


def turns_of(value: Any, field: str) -> tuple[Turn, ...]:
    """Check a list of turns, each with a role and a text.

    Raises:
        BadRow: It is something else.
    """
    if not isinstance(value, list) or not value:
        raise BadRow(field, value, "write a text or a list of turns")
    return tuple(_turn(turn, f"{field}[{place}]") for place, turn in enumerate(value))


def prompt_of(row: Row) -> Prompt:
    """Return a row's prompt, which must not be empty.

    Raises:
        BadRow: It is absent, empty or neither a text nor a list of turns.
    """
    value = row.get("prompt")
    if not isinstance(value, str):
        return turns_of(value, "prompt")
    if not value.strip():
        raise BadRow("prompt", value, "it is empty; write what was asked")
    return value


def prompt_and_completions(row: Row, first: str, second: str) -> tuple[Prompt, str, str]:
    """Return the prompt of a row and the two completions that stand in the given fields.

    Completions are texts or lists of turns that end with one message of the assistant; before it
    they may repeat the prompt. Without ``prompt`` it is the beginning that both lists share.

    Raises:
        BadRow: A field is absent or does not fit the others.
    """
    one, two = row.get(first), row.get(second)
    if isinstance(one, str) and isinstance(two, str):
        return prompt_of(row), one, two
    if isinstance(one, str) or isinstance(two, str):
        odd = second if isinstance(one, str) else first
        raise BadRow(odd, row.get(odd), f"{first} and {second} must both be texts or both be lists")
    left, right = turns_of(one, first), turns_of(two, second)
    given = None if row.get("prompt") is None else prompt_of(row)
    prompt = shared_beginning(left, right) if given is None else given
    if not prompt:
        raise BadRow("prompt", None, f"give it, or let {first} and {second} begin with it")
    return (prompt, completion_after(prompt, left, first),
            completion_after(prompt, right, second))


def prompt_and_completion(row: Row, field: str) -> tuple[Prompt, str]:
    """Return the prompt of a row and the completion that stands in the given field.

    The completion is a text or a list of turns that ends with one message of the assistant; before
    it there may be the prompt, which may then be absent from the row.

    Raises:
        BadRow: A field is absent or does not fit the other.
    """
    value = row.get(field)
    if isinstance(value, str):
        return prompt_of(row), value
    turns = turns_of(value, field)
    prompt = turns[:-1] if row.get("prompt") is None else prompt_of(row)
    if not prompt:
        raise BadRow("prompt", None, f"give it, or let {field} begin with it")
    return prompt, completion_after(prompt, turns, field)


def completion_after(prompt: Prompt, dialogue: tuple[Turn, ...], field: str) -> str:
    """Return the text of the one turn that a dialogue adds to a prompt, which it may repeat.

    Raises:
        BadRow: There is not exactly one more turn, or it is not the assistant's.
    """
    beginning = tuple(as_turns(prompt))
    rest = dialogue[len(beginning):] if dialogue[:len(beginning)] == beginning else dialogue
    if len(rest) != 1 or rest[0]["role"] != "assistant":
        raise BadRow(field, [turn["role"] for turn in rest],
                     "after the prompt there must be exactly one turn, of the assistant")
    return rest[0]["content"]


def prompt_key(prompt: Prompt) -> str:
    """Return a text that two prompts share if and only if they ask a model the same.

    A text and a conversation whose only turn is that text are the same prompt.
    """
    return json.dumps(as_turns(prompt), sort_keys=True)


def shared_beginning(left: tuple[Turn, ...], right: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """Return the turns that two dialogues share, without the last turn of either."""
    most = min(len(left), len(right)) - 1
    length = next((place for place in range(most) if left[place] != right[place]), most)
    return left[:length]


def _turn(value: Any, field: str) -> Turn:
    given = value if isinstance(value, dict) else {}
    # A table gives every turn the keys of all turns, null where it has none.
    if {key for key, found in given.items() if found is not None} != {"role", "content"}:
        raise BadRow(field, value, 'write {"role": …, "content": …} and no other key')
    if value["role"] not in ROLES:
        raise BadRow(f"{field}.role", value["role"], f"must be one of {', '.join(ROLES)}")
    if not isinstance(value["content"], str):
        raise BadRow(f"{field}.content", value["content"], "write a text")
    return Turn(role=value["role"], content=value["content"])
