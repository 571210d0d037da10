"""A Python function as a reward."""

import importlib
import logging
from collections.abc import Sequence

import numpy as np

from fedrlhf.config import schema
from fedrlhf.data.source import Source
from fedrlhf.errors import ConfigError, RunFailed
from fedrlhf.rewards.base import Client, Reward, Score
from fedrlhf.types import Prompt, as_text

log = logging.getLogger(__name__)


class Function(Reward):
    """``function(prompt, completions, person)`` returns a number for each completion.

    Args:
        path: Its dotted path; the package must be in ``trust``.
    """

    def __init__(self, *, path: str) -> None:
        self.path = path

    def check(self, config: schema.Config, source: Source) -> None:
        """Import the function once, so that a wrong name stops the run before it begins.

        In a deployment it may be installed at the sites alone.
        """
        self._check_path(config.trust)
        if config.runtime.engine != "deployment":
            self._function()

    def open(self, client: Client) -> Score:
        """Return the function, its answers checked.

        Flower sends an error's text to the server: it tells what went wrong and quotes nothing.
        """
        self._check_path(client.config.trust)
        function, path = self._function(), self.path

        def score(prompt: Prompt, completions: Sequence[str], person: str) -> np.ndarray:
            try:
                found = np.asarray(function(as_text(prompt), list(completions), person), float)
            except Exception as error:  # noqa: BLE001  whatever a user's function raises
                log.exception("the reward %s failed", path)
                raise RunFailed(f"the reward {path} failed with {type(error).__name__}; the log of "
                                "the client's process says more") from None
            if found.shape != (len(completions),) or not np.isfinite(found).all():
                log.error("the reward %s returned %r", path, found)
                raise RunFailed(f"the reward {path} must return {len(completions)} finite numbers "
                                f"for {len(completions)} completions, got an array of shape "
                                f"{found.shape} with {np.isfinite(found).sum()} finite ones; the "
                                "log of the client's process has them")
            return found

        return score

    def _check_path(self, trust: Sequence[str]) -> None:
        module, _, name = self.path.rpartition(".")
        if not (module and name):
            raise ConfigError(f"the reward function must be named with its module, such as "
                              f"my_package.my_function, got {self.path!r}")
        if not any(f"{module}.".startswith(f"{package.rstrip('.')}.") for package in trust):
            raise ConfigError(f"the reward function {self.path} is not in a trusted package; if "
                              f"you trust it: 'trust=[{self.path.split('.')[0]}]'")

    def _function(self):  # type: ignore[no-untyped-def]  # noqa: ANN202
        module, _, name = self.path.rpartition(".")
        try:
            found = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise ConfigError(f"the reward function {self.path} cannot be imported: {error}; "
                              "install its package, or add its folder to PYTHONPATH") from error
        if not callable(found):
            raise ConfigError(f"the reward function {self.path} is no function but a "
                              f"{type(found).__name__}")
        return found
