"""Expand overrides with several values into one list of overrides for each job."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from hydra import initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from fedrlhf.config.load import config_folder
from fedrlhf.errors import ConfigError

_LONGEST = 120  # characters of a folder's name that stay as they are


@dataclass(frozen=True)
class SweepJob:
    """One combination of a sweep's values.

    Attributes:
        name: The values that set it apart, as the name of a folder.
        overrides: All overrides of the job, each with one value.
    """

    name: str
    overrides: tuple[str, ...]


def expand(overrides: Sequence[str]) -> list[SweepJob]:
    """Return a job for each combination of values, in Hydra's order and by Hydra's grammar.

    ``a=1,2``, ``a=choice(1,2)``, ``a=range(1,9,2)`` and, for a folder of ``conf/``,
    ``strategy=glob(fed*)`` have several values. Where a key is given twice, the last one counts.

    Raises:
        ConfigError: No override has several values, or Hydra does not understand one.
    """
    try:
        return _expand(list(overrides))
    except HydraException as error:
        raise ConfigError(f"the sweep cannot be expanded: {' '.join(str(error).split())}") from None


def _expand(overrides: list[str]) -> list[SweepJob]:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
        parsed = parser.parse_overrides(overrides)
        last = {override.get_key_element(): override for override in parsed}
        swept = [override for override in last.values() if override.is_sweep_override()]
        _check(swept)
        fixed = [override.input_line or "" for override in last.values()
                 if not override.is_sweep_override()]
        batch, = BasicSweeper.split_arguments(swept, max_batch_size=None)
    jobs = {_folder_name(words): (*fixed, *words) for words in batch}
    return [SweepJob(name, words) for name, words in jobs.items()]


def _check(swept: Sequence[Override]) -> None:
    if not swept:
        raise ConfigError("a sweep (-m) needs an override with several values, such as "
                          "strategy=fedbis,fedbiscuit")
    if any(override.get_key_element() == "run.dir" for override in swept):
        raise ConfigError("run.dir cannot be swept: each job has a folder of its own below run.dir")


def _folder_name(words: Sequence[str]) -> str:
    """Name a job's folder: ``select.rounds-6__strategy-fedbis``.

    Hydra reads the name without quotes. Where a value had to be changed for that, or the name is
    long, the hash of all values ends it, so that no two jobs share a folder.
    """
    plain = "__".join(word.lstrip("+").replace("=", "-", 1) for word in sorted(words))
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", plain)
    doubtful = name != plain or any("__" in word.partition("=")[2] for word in words)
    if not doubtful and len(name) <= _LONGEST:
        return name
    return f"{name[:_LONGEST]}-{hashlib.sha256(repr(sorted(words)).encode()).hexdigest()[:8]}"
