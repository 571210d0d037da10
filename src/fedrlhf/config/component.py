"""Build the class that a ``_target_`` names, from an allow-list and with its arguments checked."""

import importlib
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from fedrlhf.errors import ConfigError

TRUSTED = ("fedrlhf.", "flwr.serverapp.strategy.")


def build(node: Mapping[str, Any], name: str, trust: Sequence[str] = ()) -> Any:
    """Build a component of the configuration.

    Args:
        node: The class's dotted path under ``_target_`` and its keyword arguments.
        name: The configuration key, for messages.
        trust: Further packages that may be named.

    Raises:
        ConfigError: The class is not on the allow-list, does not exist or refuses an argument.
    """
    arguments = dict(node)
    target = arguments.pop("_target_", None)
    if not isinstance(target, str):
        raise ConfigError(f"{name}._target_ is missing: give the dotted path of a class")
    made = _import(target, name, trust)
    _check_arguments(made, target, arguments, name)
    return made(**arguments)


def _import(target: str, name: str, trust: Sequence[str]) -> Any:
    allowed = (*TRUSTED, *(f"{package.rstrip('.')}." for package in trust))
    if not target.startswith(allowed):
        raise ConfigError(
            f"{name}._target_={target} is not on the allow-list ({', '.join(allowed)}); "
            f"if you trust it, add its package: 'trust=[{target.split('.')[0]}]'")
    module, _, attribute = target.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{name}._target_={target} cannot be imported: {error}") from error
    if not inspect.isclass(found) or inspect.isabstract(found):
        raise ConfigError(f"{name}._target_={target} is no class that can be built")
    return found


def _check_arguments(made: Any, target: str, arguments: Mapping[str, Any], name: str) -> None:
    signature = inspect.signature(made)
    try:
        signature.bind(**arguments)
    except TypeError as error:
        known = ", ".join(signature.parameters) or "nothing"
        raise ConfigError(f"{name}: {target.rpartition('.')[2]} takes {known}; {error}") from None
