"""What a completion is still worth, read from the policy's hidden states by a client's own head."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from fedrlhf.errors import RunFailed
from fedrlhf.models.load import Base

_PREFIX = "value_head."


def value_head(base: Base, kept: Mapping[str, np.ndarray]) -> nn.Linear:
    """Return a linear head in float32: the one that the client kept, or zeros.

    Raises:
        RunFailed: The kept head is of a model with another width.
    """
    width = base.model.config.get_text_config().hidden_size
    head = nn.Linear(width, 1, device=base.device)
    for name, parameter in head.named_parameters():
        values = kept.get(_PREFIX + name, np.zeros(tuple(parameter.shape), np.float32))
        if values.shape != tuple(parameter.shape):
            raise RunFailed(f"this client kept a value head with {name} of shape {values.shape}, "
                            f"but {base.spec.path} needs {tuple(parameter.shape)}; begin a new "
                            "run for another model")
        parameter.data.copy_(torch.from_numpy(values))
    return head


def head_arrays(head: nn.Module) -> dict[str, np.ndarray]:
    """Return the head's weights by name, for the client to keep."""
    return {_PREFIX + name: parameter.detach().cpu().numpy().copy()
            for name, parameter in head.named_parameters()}
