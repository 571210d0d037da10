"""What a client's optimiser remembers, as arrays that the client keeps between its rounds."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn import Parameter

from fedrlhf.errors import RunFailed

_PREFIX = "optimizer."


def optimizer_arrays(optimizer: torch.optim.Optimizer) -> dict[str, np.ndarray]:
    """Return the optimiser's state by name: one flat float32 vector for each kind of moment.

    Adam's are ``optimizer.step``, ``optimizer.exp_avg`` and ``optimizer.exp_avg_sq``, each over
    all parameters one after another; a parameter that was frozen has zeros, as at the beginning.
    An optimiser without memory gives none.
    """
    parameters = _parameters(optimizer)
    names = sorted({name for one in parameters for name in optimizer.state.get(one, {})})
    return {_PREFIX + name: torch.cat([_flat(optimizer, one, name) for one in parameters]).numpy()
            for name in names}


def restore_optimizer(optimizer: torch.optim.Optimizer, kept: Mapping[str, np.ndarray]) -> None:
    """Give a new optimiser the state that `optimizer_arrays` returned; without one, nothing.

    Raises:
        RunFailed: The state is of another optimiser or another adapter.
    """
    parameters = _parameters(optimizer)
    for name in (name for name in kept if name.startswith(_PREFIX)):
        vector, kind = torch.from_numpy(kept[name]), name.removeprefix(_PREFIX)
        sizes = [_size(parameter, kind) for parameter in parameters]
        if sum(sizes) != vector.numel():
            raise RunFailed(f"this client kept {vector.numel()} values of {name}, but what it "
                            f"trains needs {sum(sizes)}: the adapter or the optimiser changed; "
                            "set objective.optimizer_state=reset or begin a new run")
        for parameter, piece in zip(parameters, vector.split(sizes), strict=True):
            # A step count stays on the CPU, where the optimisers make it.
            optimizer.state[parameter][kind] = (
                piece.reshape(()).clone() if kind == "step"
                else piece.reshape(parameter.shape).to(parameter.device, copy=True))


def _parameters(optimizer: torch.optim.Optimizer) -> list[Parameter]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _size(parameter: Parameter, kind: str) -> int:
    return 1 if kind == "step" else parameter.numel()


def _flat(optimizer: torch.optim.Optimizer, parameter: Parameter, kind: str) -> Tensor:
    value = optimizer.state.get(parameter, {}).get(kind)
    if value is None:
        return torch.zeros(_size(parameter, kind))
    return value.detach().float().cpu().flatten()  # type: ignore[no-any-return]
