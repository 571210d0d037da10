"""Instructions and answers to imitate, in the forms in which they are published.

A row is read in the first of these forms that it has:

* ``messages``: the turns of a conversation; the last one, of the assistant, is the completion.
* ``instruction``, ``input``, ``output`` (Alpaca); ``input`` may be absent or empty.
* ``prompt`` and ``completion`` (TRL) or ``label`` (the TL;DR summaries), texts or turns.
"""

from fedrlhf.data.lines import BadRow, Row, text
from fedrlhf.data.tables import read_table
from fedrlhf.data.turns import completion_after, prompt_of, turns_of
from fedrlhf.types import Demonstration, Prompt


def read_demonstrations(path: str, revision: str | None, split: str,
                        limit: int | None) -> list[Demonstration]:
    """Read demonstrations in the order of the rows.

    Args:
        path: A file, a folder laid out as on the hub, or a name on the hub.
        revision: Commit, tag or branch on the hub; None for local files.
        split: The split to read; a single file is read whatever it is called.
        limit: Read at most so many rows; None: all.

    Raises:
        DataError: Nothing can be read there, there is no such split, or rows are bad.
    """
    return read_table(path, demonstration_of, revision=revision, split=split, limit=limit)


def demonstration_of(row: Row) -> Demonstration:
    """Make a demonstration of a row in one of the forms.

    Raises:
        BadRow: A field is absent or has a wrong value.
    """
    prompt = instruction_of(row)
    if row.get("messages") is not None:
        last = turns_of(row["messages"], "messages")[-1]
        if last["role"] != "assistant":
            raise BadRow("messages", last, "the last turn must be the assistant's")
        return Demonstration(prompt, last["content"])
    if row.get("instruction") is not None:
        return Demonstration(prompt, text(row, "output"))
    field = "label" if row.get("completion") is None and "label" in row else "completion"
    if isinstance(row.get(field), list):
        return Demonstration(prompt, completion_after(prompt, turns_of(row[field], field), field))
    return Demonstration(prompt, text(row, field))


def instruction_of(row: Row) -> Prompt:
    """Return what a row in one of the forms asks; it needs no completion.

    Raises:
        BadRow: It is absent, empty or neither a text nor turns that end with a question.
    """
    if row.get("messages") is not None:
        return _asked(row)
    if row.get("instruction") is None:
        return prompt_of(row)
    task = text(row, "instruction")
    if not task.strip():
        raise BadRow("instruction", task, "it is empty; write what was asked")
    details = text(row, "input") if row.get("input") is not None else ""
    return f"{task}\n\n{details}" if details.strip() else task


def _asked(row: Row) -> Prompt:
    turns = turns_of(row["messages"], "messages")
    asked = turns[:-1] if turns[-1]["role"] == "assistant" else turns
    if not asked or asked[-1]["role"] == "assistant":
        raise BadRow("messages", [turn["role"] for turn in turns],
                     "a turn of the user must stand before the assistant's last one")
    return asked
