"""Preferences from what students did with the tutor's answers."""

from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path

from fedrlhf.data.instructions import read_instructions
from fedrlhf.data.source import Instructions, Truth
from fedrlhf.data.traces.channels import Reward
from fedrlhf.data.traces.drafts import KINDS
from fedrlhf.data.traces.em import Prior
from fedrlhf.data.traces.evidence import Channel
from fedrlhf.data.traces.reading import Logged, Rejected, read_events
from fedrlhf.data.traces.training_data import Rules, UserData, fate_counts, training_data
from fedrlhf.errors import DataError
from fedrlhf.types import Preference

BAD_ROWS = "rows set aside"


class TracesSource:
    """Preference pairs and ratings from a file or a folder of events (`events.Event`).

    The table of evidence is fitted for each user from that user's events only, so that a site
    which holds one user's file makes the same data of it.

    Attributes:
        reward: What an answer's traces are worth.
        left_out: After `preferences`: how many rows gave none, by why.
    """

    name = "traces"

    def __init__(self, path: str, *, reward_lambda: float,  # noqa: PLR0913  # the configuration's
                 kappa: float, channels: Sequence[Channel], gap: float, cap_per_user: int,
                 feedback_clip: float, gaming_seconds: float, fit: bool,
                 instructions: str | None = None, instructions_revision: str | None = None,
                 instructions_split: str = "train",
                 instructions_limit: int | None = None) -> None:
        self._path = Path(path).expanduser()
        self._instructions = partial(read_instructions, instructions, instructions_revision,
                                     instructions_split, instructions_limit)
        self.reward = Reward(reward_lambda, kappa, tuple(channels))
        self._rules = Rules(self.reward, gap, cap_per_user, feedback_clip, gaming_seconds,
                            Prior() if fit else None)
        self.left_out: dict[str, int] = {}

    def preferences(self) -> list[Preference]:
        """Return every user's pairs and ratings.

        Raises:
            DataError: The events cannot be read, or nothing can be learned from any of them.
        """
        found = [one for user in self.users for one in user.preferences]
        fates = fate_counts(self.users)
        self.left_out = {BAD_ROWS: len(self.rejected)} if self.rejected else {}
        self.left_out |= {fate: count for fate, count in sorted(fates.items())
                          if fate not in KINDS}
        if not found:
            raise DataError(f"{self._path}: no row gives a preference ({self._reasons()}); "
                            f"`fedrlhf traces {self._path}` shows what became of each one")
        return found

    def instructions(self) -> Instructions:
        """Return the server's prompts, which are none of the students'.

        Raises:
            DataError: They cannot be read, have bad rows or one of them has both splits.
        """
        return self._instructions()

    def truth(self) -> Truth | None:
        """Return None: nobody planted what real students did."""
        return None

    @cached_property
    def users(self) -> list[UserData]:
        """What became of each user's events."""
        return training_data(self._read[0], self._rules, self.name)

    @property
    def rejected(self) -> list[Rejected]:
        """The rows that cannot be used."""
        return self._read[1]

    @cached_property
    def _read(self) -> tuple[list[Logged], list[Rejected]]:
        return read_events(self._path)

    def _reasons(self) -> str:
        return ", ".join(f"{count} {reason}" for reason, count in self.left_out.items())
