"""The words of the project that every layer shares."""

from collections.abc import Iterable
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
class Rating:
    """How good one person found one completion, without an opponent to it.

    KTO learns from its side of one half, the preference predictor from its value.

    Attributes:
        prompt: A text, or the turns of a conversation.
        completion: What was rated.
        value: The probability that it is good, or an option's share of a group's answers; 0 to 1.
        client_id: Who holds the rating; it never leaves that client.
        source: Name of the data set.
        weight: How much the rating counts in a mean.
        columns: Further facts of the row, used to partition and evaluate.
    """

    prompt: Prompt
    completion: str
    value: float
    client_id: str
    source: str
    weight: float = 1.0
    columns: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a value that is no probability.

        Raises:
            ValueError: It lies outside 0 to 1.
        """
        if not 0.0 <= self.value <= 1.0:
            raise ValueError(f"a rating's value must lie between 0 and 1, got {self.value}")

    @property
    def desirable(self) -> bool:
        """Whether the completion is rather good than bad."""
        return self.value > 0.5

    @property
    def tie(self) -> bool:
        """Whether the rating says nothing; like a tie of a pair it is never trained on."""
        return self.value == 0.5


Preference = PreferencePair | Rating


def only_pairs(preferences: Iterable[Preference]) -> list[PreferencePair]:
    """Return the comparisons of two completions."""
    return [one for one in preferences if isinstance(one, PreferencePair)]


def only_ratings(preferences: Iterable[Preference]) -> list[Rating]:
    """Return the ratings of single completions."""
    return [one for one in preferences if isinstance(one, Rating)]


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
