"""Federated RLHF on Flower: preferences stay with their owners, adapters travel.

``fedrlhf.run("experiment=smoke select.rounds=3", strategy=MyStrategy())`` does what
``fedrlhf run`` does on the command line.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fedrlhf.api import run

__all__ = ["run"]


def __getattr__(name: str) -> Any:
    # Imported on first use: `import fedrlhf` alone takes no torch.
    if name == "run":
        from fedrlhf.api import run
        return run
    raise AttributeError(f"module 'fedrlhf' has no attribute {name!r}")
