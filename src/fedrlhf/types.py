"""The words of the project that every layer shares."""

from dataclasses import dataclass, field
from typing import Any, TypedDict

Split = str  # one of SPLITS
SPLITS = ("train", "validation", "test")


class Turn(TypedDict):
    """One message of a conversation: ``{"role": "user", "content": "…"}``."""

    role: str
    content: str


Prompt = str | tuple[Turn, ...]


@dataclass(frozen=True)
class PreferencePair:
    """One person's choice between two completions of a prompt, in TRL's words.

    Attributes:
        prompt: A text, or the turns of a conversation.
        chosen: The preferred completion (for a tie: the one that was shown first).
        rejected: The other completion.
        client_id: Who holds the preference; it never leaves that client.
        source: Name of the data set.
        weight: How much the pair counts in a mean over pairs.
        tie: The person saw no difference; ties are counted and never trained on.
        chosen_first: Whether the chosen completion was shown first; None where unknown.
        columns: Further facts of the row (topic, group, gold, …), used to partition and evaluate.
    """

    prompt: Prompt
    chosen: str
    rejected: str
    client_id: str
    source: str
    weight: float = 1.0
    tie: bool = False
    chosen_first: bool | None = None
    columns: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CompletionPair:
    """A prompt and two completions that nobody has judged yet."""

    prompt: Prompt
    first: str
    second: str


@dataclass(frozen=True)
class Demonstration:
    """A prompt and a completion to imitate: what supervised fine-tuning learns from."""

    prompt: Prompt
    completion: str


def as_text(prompt: Prompt) -> str:
    """Render a prompt as one text; a conversation gets a line for each turn."""
    if isinstance(prompt, str):
        return prompt
    return "\n\n".join(f"{turn['role'].capitalize()}: {turn['content']}" for turn in prompt)


def as_turns(prompt: Prompt) -> list[Turn]:
    """Render a prompt as the turns of a conversation that a chat template takes."""
    if isinstance(prompt, str):
        return [Turn(role="user", content=prompt)]
    return [Turn(**turn) for turn in prompt]
