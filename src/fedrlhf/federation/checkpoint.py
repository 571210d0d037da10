"""Save and restore a federated stage after any round, whatever the strategy.

One safetensors file holds all arrays; its header holds the rest as JSON, so that the file is
either the old round or the new one.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord
from flwr.serverapp.strategy import Strategy
from safetensors import safe_open
from safetensors.numpy import save

from fedrlhf.errors import UserError
from fedrlhf.federation.client_grid import ClientGrid, Cost
from fedrlhf.federation.rounds import Progress
from fedrlhf.files import write_bytes

Tensors = dict[str, np.ndarray]


def save_checkpoint(path: Path, progress: Progress, strategy: Strategy, grid: ClientGrid) -> None:
    """Write everything that the next round depends on.

    Raises:
        UserError: The strategy holds something that cannot be saved.
    """
    tensors: Tensors = {}
    header = {
        "progress": _encode(vars(progress), "progress", tensors),
        "strategy": _encode(strategy_state(strategy), "strategy", tensors),
        "costs": {name: asdict(cost) for name, cost in grid.costs.items()},
    }
    write_bytes(path, save(tensors, metadata={"state": json.dumps(header)}))


def load_checkpoint(path: Path, strategy: Strategy, grid: ClientGrid) -> Progress:
    """Read a checkpoint; the strategy and the grid's costs take over its state."""
    with safe_open(path, framework="numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
        header = json.loads(file.metadata()["state"])
    load_strategy_state(strategy, _decode(header["strategy"], tensors))
    grid.costs = {name: Cost(**cost) for name, cost in header["costs"].items()}
    return Progress(**_decode(header["progress"], tensors))


def strategy_state(strategy: Strategy) -> dict[str, Any]:
    """Return a strategy's state: its `state_dict`, or every attribute that is data.

    Flower's strategies keep moments and momenta in plain attributes and offer no way to save
    them; a strategy that wraps another one contributes the inner one's state as well.
    """
    if hasattr(strategy, "state_dict"):
        return dict(strategy.state_dict())
    return {name: strategy_state(value) if isinstance(value, Strategy) else value
            for name, value in vars(strategy).items()
            if isinstance(value, Strategy) or not callable(value)}


def load_strategy_state(strategy: Strategy, state: dict[str, Any]) -> None:
    """Put a state back into a strategy of the same class."""
    if hasattr(strategy, "load_state_dict"):
        strategy.load_state_dict(state)
        return
    for name, value in state.items():
        inner = getattr(strategy, name, None)
        if isinstance(inner, Strategy):
            load_strategy_state(inner, value)
        else:
            setattr(strategy, name, value)


def _encode(value: Any, place: str, tensors: Tensors) -> Any:
    """Replace arrays by references into `tensors` and tag what JSON cannot tell apart."""
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biuf":
        name = f"{len(tensors)}.{place}"  # unique, even where the keys 1 and "1" share a place
        tensors[name] = np.array(value, order="C")
        return {"tensor" if isinstance(value, np.ndarray) else "scalar": name}
    if isinstance(value, ArrayRecord):
        return {"arrays": {key: _encode(array.numpy(), f"{place}.{key}", tensors)
                           for key, array in value.items()}}
    if isinstance(value, dict) and all(isinstance(key, str | int) for key in value):
        return {"dict": [[key, _encode(item, f"{place}.{key}", tensors)]
                         for key, item in value.items()]}
    if isinstance(value, list | tuple):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [_encode(item, f"{place}.{i}", tensors) for i, item in enumerate(value)]}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise UserError(f"{place} is a {type(value).__name__} that cannot be checkpointed; give the "
                    "strategy the methods state_dict() and load_state_dict(state)")


def _decode(value: Any, tensors: Tensors) -> Any:
    if not isinstance(value, dict):
        return value
    (kind, content), = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "scalar":
        return tensors[content][()]
    if kind == "arrays":
        return ArrayRecord({key: Array(_decode(item, tensors)) for key, item in content.items()})
    if kind == "dict":
        return {key: _decode(item, tensors) for key, item in content}
    items = [_decode(item, tensors) for item in content]
    return items if kind == "list" else tuple(items)
