"""What every reward offers; one file of this package for each."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fedrlhf.config import schema
from fedrlhf.data.source import Source
from fedrlhf.types import Preference, Prompt

# Scores completions of a prompt for the person who asked, shape (completion,).
Score = Callable[[Prompt, Sequence[str], str], np.ndarray]


@dataclass(frozen=True)
class Client:
    """What a client knows when it opens its rewards; nothing of it is sent.

    Attributes:
        config: The run's configuration.
        client_id: Whose shard it is.
        train: The training split of the shard.
    """

    config: schema.Config
    client_id: str
    train: tuple[Preference, ...]


class Reward(ABC):
    """A part of what an online objective maximises, opened at the client that uses it."""

    def check(self, config: schema.Config, source: Source) -> None:  # noqa: B027
        """Refuse before the first round what cannot work in this run.

        Raises:
            ConfigError: Names the key, its value and what would do.
        """

    @abstractmethod
    def open(self, client: Client) -> Score:
        """Return what scores completions at this client."""
