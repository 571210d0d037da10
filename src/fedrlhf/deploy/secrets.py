"""Refuse secrets in what becomes a command: it is stored, shown and logged by the cluster."""

import re
from collections.abc import Iterable, Mapping

from fedrlhf.errors import ConfigError

_NAME = re.compile(r"\w*(?:_KEY|_TOKEN|_SECRET|PASSWORD|"
                   r"(?i:(?:api|access|private|secret)_?key|(?:api|auth|access|hub)_token|"
                   r"_secret|password))")
_ASSIGNED = re.compile(rf"({_NAME.pattern})[\"']?\s*[:=]\s*(?!null\b)[^\s,}}]")
_VALUES = {
    "a Weights & Biases key": re.compile(r"\b[0-9a-f]{40}\b|\bwandb_v\d+_\w{20,}"),
    "a Hugging Face token": re.compile(r"\bhf_[A-Za-z0-9]{20,}"),
    "an API key": re.compile(r"\bsk-[A-Za-z0-9_-]{16,}"),
    "an AWS key": re.compile(r"\bAKIA[0-9A-Z]{16}\b"),
    "a GitHub token": re.compile(r"\bgh[opsu]_[A-Za-z0-9]{36}|\bgithub_pat_\w{20,}"),
}


def refuse_in_overrides(overrides: Iterable[str]) -> None:
    """Refuse overrides that hold a secret; a reference in `cluster.secrets` is none.

    Raises:
        ConfigError: Names the key and says how to refer to a secret; never shows the value.
    """
    for word in overrides:
        key = word.lstrip("+~").partition("=")[0]
        if kind := _looks_like(word, hexadecimal=not key.endswith("revision")):
            raise _refusal(key, f"holds what looks like {kind}")
        if not key.startswith("cluster.secrets") and (found := _ASSIGNED.search(word)):
            raise _refusal(found[1], "has a name for secrets and a literal value")


def refuse_in_environment(environment: Mapping[str, str]) -> None:
    """Refuse variables that hold a secret.

    Raises:
        ConfigError: As for overrides.
    """
    for name, value in environment.items():
        if kind := _looks_like(value):
            raise _refusal(name, f"holds what looks like {kind}")
        if value and _NAME.fullmatch(name):
            raise _refusal(name, "has a name for secrets and a literal value")


def _looks_like(text: str, hexadecimal: bool = True) -> str | None:
    """Name the kind of secret in a text; a git revision has the form of an older W&B key."""
    for kind, pattern in _VALUES.items():
        found = pattern.search(text)
        if found and (hexadecimal or not re.fullmatch(r"[0-9a-f]{40}", found[0])):
            return kind
    return None


def _refusal(key: str, what: str) -> ConfigError:
    variable = key.rpartition(".")[2]
    return ConfigError(
        f"{key} {what}: a command is stored and shown by the cluster. Put the value into a "
        "Kubernetes secret (runai/README.md) and refer to it: "
        f"+cluster.secrets.{variable}=SECRET-NAME/KEY")
