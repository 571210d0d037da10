"""What a preference source offers; one file of this package implements each source."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from fedrlhf.types import Preference, Prompt


@dataclass(frozen=True)
class Instructions:
    """Prompts that the server owns: to write completions for, and to evaluate the tutor on."""

    label: tuple[Prompt, ...] = ()
    evaluate: tuple[Prompt, ...] = ()


class Truth(Protocol):
    """Planted truth of a simulated population; real data have none.

    Attributes:
        groups: Each client's group.
        any_text: Whether the utility of every text is known, also of what the tutor writes;
            otherwise only that of the source's own completions.
    """

    groups: dict[str, int]
    any_text: bool

    def utility(self, prompt: Prompt, completion: str) -> float:
        """Return the population's mean utility of a completion."""

    def utility_of(self, person: str, prompt: Prompt, completion: str) -> float:
        """Return one person's utility of a completion."""


@runtime_checkable
class TeachingTruth(Truth, Protocol):
    """Planted truth that also knows what answers teach."""

    def learning(self, prompt: Prompt, completion: str) -> float:
        """Return how much a completion teaches, the same for all people."""


class Source(Protocol):
    """A set of preferences and, where it has them, prompts for the server and planted truth."""

    name: str

    def preferences(self) -> list[Preference]:
        """Return every preference once; ``client_id`` is "" where the source names no person."""

    def instructions(self) -> Instructions:
        """Return the server's prompts; empty where the source has none."""

    def truth(self) -> Truth | None:
        """Return the planted truth, or None for real data."""


def left_out(source: Source) -> dict[str, int]:
    """Return what a source left out of its preferences, by the names of counts.

    A source that leaves something out has, after `preferences`, an attribute ``left_out``: numbers
    by what it was and why, such as "rows without an answer".
    """
    found: dict[str, int] = getattr(source, "left_out", {})
    return {reason.replace(" ", "_"): count for reason, count in found.items()}
