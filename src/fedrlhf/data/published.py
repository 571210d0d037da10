"""What sources of published preferences share: where their rows are, and the server's prompts."""

from collections import Counter
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import ClassVar

from fedrlhf.data.instructions import read_instructions
from fedrlhf.data.lines import Made, Row
from fedrlhf.data.source import Instructions, Truth
from fedrlhf.data.tables import read_table
from fedrlhf.errors import DataError
from fedrlhf.types import PreferencePair

# A pair, or what was left out and why: a plural noun and the reason ("rows without an answer").
Outcome = PreferencePair | str


class PublishedSource:
    """A data set on the hub or a local copy of it; it is read when asked for.

    Attributes:
        name: Of the data set.
        subset: The configuration on the hub, where there are several.
        left_out: After `preferences`, the numbers of what was left out by the reason.
    """

    name: ClassVar[str]
    subset: ClassVar[str | None] = None

    def __init__(self, path: str, revision: str | None, split: str, limit: int | None,
                 instructions: str | None = None, instructions_revision: str | None = None,
                 instructions_split: str = "train", instructions_limit: int | None = None) -> None:
        """Name the data set and the server's prompts.

        Args:
            path: A file, a folder laid out as on the hub, or a name on the hub.
            revision: Commit, tag or branch on the hub; None for local files.
            split: The split to read; a single file is read whatever it is called.
            limit: Read at most so many rows; None: all.
            instructions: The server's prompts (see `read_instructions`), or None.
            instructions_revision: Their version on the hub; None for local files.
            instructions_split: Their split.
            instructions_limit: Read at most so many of their rows; None: all.
        """
        self.path, self.revision, self.split, self.limit = path, revision, split, limit
        self._prompts = (instructions, instructions_revision, instructions_split,
                         instructions_limit)
        self.left_out: dict[str, int] = {}

    def instructions(self) -> Instructions:
        """Return the server's prompts; which ones it may use is the user's decision.

        Raises:
            DataError: They cannot be read, have bad rows or one of them has both splits.
        """
        return self._instructions

    def truth(self) -> Truth | None:
        """Return None: nobody planted the preferences of real people."""
        return None

    def read(self, parse: Callable[[Row], Made]) -> list[Made]:
        """Parse the rows in their order.

        Raises:
            DataError: Nothing can be read there, there is no such split, or rows are bad.
        """
        return read_table(self.path, parse, revision=self.revision, split=self.split,
                          subset=self.subset, limit=self.limit)

    def kept(self, outcomes: Iterable[Outcome]) -> list[PreferencePair]:
        """Return the pairs and count the rest in ``left_out``.

        Raises:
            DataError: There is no pair.
        """
        found = list(outcomes)
        pairs = [outcome for outcome in found if not isinstance(outcome, str)]
        self.left_out = dict(Counter(outcome for outcome in found if isinstance(outcome, str)))
        if not pairs:
            raise DataError(f"{self.path} has no usable row: {self.left_out}")
        return pairs

    @cached_property
    def _instructions(self) -> Instructions:
        return read_instructions(*self._prompts)
