"""The server's source in a deployment: prompts, and no preference of anybody."""

from fedrlhf.data.jsonl import JsonlSource
from fedrlhf.data.source import Instructions, Truth
from fedrlhf.errors import DataError
from fedrlhf.types import PreferencePair


class SitesSource:
    """Preferences that only the sites hold, and the server's own prompts.

    Attributes:
        name: ``sites``.
    """

    name = "sites"

    def __init__(self, instructions: str | None) -> None:
        """Name the file of the server's prompts, as for `JsonlSource`, or None."""
        self._instructions = instructions

    def preferences(self) -> list[PreferencePair]:
        """Refuse: nobody but a site reads its preferences.

        Raises:
            DataError: Always; it says what to use instead.
        """
        raise DataError("with data=sites the preferences are at the sites: use "
                        "runtime.engine=deployment, or another data=… that has them here")

    def instructions(self) -> Instructions:
        """Return the prompts of the instructions file, each once.

        Raises:
            DataError: The file cannot be read, has bad rows or gives a prompt both splits.
        """
        return JsonlSource("", self._instructions).instructions()

    def truth(self) -> Truth | None:
        """Return None: nobody planted the preferences of real people."""
        return None
