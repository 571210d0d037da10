"""A Python function as a reward."""

import importlib
from collections.abc import Sequence

import numpy as np

from fedrlhf.config import schema
from fedrlhf.data.source import Source
from fedrlhf.errors import ConfigError, RunFailed
from fedrlhf.rewards.base import Client, Reward, Score
from fedrlhf.types import Prompt, as_text


class Function(Reward):
    """``function(prompt, completions, person)`` returns a number for each completion.

    Args:
        path: Its dotted path; the package must be in ``trust``.
    """

    def __init__(self, *, path: str) -> None:
        self.path = path

    def check(self, config: schema.Config, source: Source) -> None:
        """Import the function once, so that a wrong name stops the run before it begins."""
        self._function(config.trust)

    def open(self, client: Client) -> Score:
        """Return the function, its answers checked."""
        function = self._function(client.config.trust)

        def score(prompt: Prompt, completions: Sequence[str], person: str) -> np.ndarray:
            found = np.asarray(function(as_text(prompt), list(completions), person), float)
            if found.shape != (len(completions),) or not np.isfinite(found).all():
                raise RunFailed(f"the reward {self.path} must return {len(completions)} finite "
                                f"numbers for {len(completions)} completions, got {found!r:.120}")
            return found

        return score

    def _function(self, trust: Sequence[str]):  # type: ignore[no-untyped-def]  # noqa: ANN202
        module, _, name = self.path.rpartition(".")
        if not any(f"{module}.".startswith(f"{package.rstrip('.')}.") for package in trust):
            raise ConfigError(f"the reward function {self.path} is not in a trusted package; if "
                              f"you trust it: 'trust=[{self.path.split('.')[0]}]'")
        try:
            found = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise ConfigError(f"the reward function {self.path} cannot be imported: {error}"
                              ) from error
        if not callable(found):
            raise ConfigError(f"{self.path} is no function")
        return found
