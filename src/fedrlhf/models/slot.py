"""What is trained and sent: one flat float32 vector over some tensors of a model.

Clients, server, strategies and checkpoints know nothing but this vector and its layout, whether it
is a LoRA adapter on a language model (`models/adapters.py`) or a small network of its own.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from torch import nn

from fedrlhf.errors import UserError
from fedrlhf.files import write_json
from fedrlhf.models.load import default_device
from fedrlhf.models.runtime import seeded

TENSORS, CONFIG = "network.safetensors", "network.json"  # what a network's folder holds


@dataclass(frozen=True)
class Layout:
    """Names (as they are saved) and shapes of a vector's tensors, in the vector's order."""

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]

    @property
    def size(self) -> int:
        """Number of float32 values in the vector."""
        return sum(int(np.prod(shape)) for shape in self.shapes)

    @property
    def digest(self) -> str:
        """A short hash: two processes with the same one mean the same vector."""
        return hashlib.sha256(repr((self.names, self.shapes)).encode()).hexdigest()[:16]

    def tensors(self, vector: np.ndarray) -> dict[str, np.ndarray]:
        """Split a vector into its named tensors."""
        ends = np.cumsum([int(np.prod(shape)) for shape in self.shapes])
        pieces = np.split(vector, ends[:-1])
        return {name: piece.reshape(shape)
                for name, shape, piece in zip(self.names, self.shapes, pieces, strict=True)}

    def vector(self, tensors: dict[str, np.ndarray], folder: Path) -> np.ndarray:
        """Join named tensors to a vector.

        Args:
            tensors: By their saved names; further ones are left out.
            folder: Where they come from, for the message.

        Raises:
            UserError: One is absent or has another shape.
        """
        for name, shape in zip(self.names, self.shapes, strict=True):
            found = tensors[name].shape if name in tensors else "nothing"
            if found != shape:
                raise UserError(f"{folder}: {name} should have shape {shape}, found {found}; "
                                "it belongs to another model or LoRA setting, or to a network of "
                                "other sizes")
        return np.concatenate([tensors[name].ravel() for name in self.names]).astype(np.float32)


class Slot(ABC):
    """The place where one vector at a time is active.

    Attributes:
        parameters: The tensors that are trained, in the vector's order.
        layout: Their names and shapes.
    """

    parameters: list[nn.Parameter]
    layout: Layout

    def read(self) -> np.ndarray:
        """Return the active vector, ``layout.size`` float32 values."""
        return torch.cat([p.detach().flatten().float() for p in self.parameters]).cpu().numpy()

    @torch.no_grad()
    def write(self, vector: np.ndarray) -> None:
        """Make a vector the active one."""
        flat = torch.from_numpy(np.array(vector, dtype=np.float32)).to(self.parameters[0].device)
        pieces = flat.split([p.numel() for p in self.parameters])
        torch._foreach_copy_(list(self.parameters),  # noqa: SLF001
                             [piece.view_as(p) for piece, p in
                              zip(pieces, self.parameters, strict=True)])

    @abstractmethod
    def training(self) -> AbstractContextManager[None]:
        """Switch on inside the block what acts in training alone, such as dropout."""

    @abstractmethod
    def initial(self, seed: int) -> np.ndarray:
        """Return a fresh vector; the active one stays what it was."""

    @abstractmethod
    def save(self, vector: np.ndarray, folder: Path) -> None:
        """Write a vector into a folder."""

    @abstractmethod
    def load(self, folder: Path) -> np.ndarray:
        """Read a vector that `save` wrote.

        Raises:
            UserError: The folder's tensors are not this slot's.
        """


class NetworkSlot(Slot):
    """A small network that is trained and sent whole.

    Attributes:
        network: The module; it has no layer that acts differently in training.
        settings: What describes it, saved beside its tensors.
    """

    def __init__(self, make: Callable[[], nn.Module], settings: dict[str, Any]) -> None:
        self._make, self.settings = make, settings
        self.network = make().to(default_device())
        named = list(self.network.named_parameters())
        self.parameters = [parameter for _, parameter in named]
        self.layout = Layout(tuple(name for name, _ in named),
                             tuple(tuple(parameter.shape) for _, parameter in named))

    @contextmanager
    def training(self) -> Iterator[None]:
        """Change nothing: there is no dropout."""
        yield

    def initial(self, seed: int) -> np.ndarray:
        """Return the network's own random start, drawn with this seed."""
        with seeded(seed):
            fresh = self._make()
        return torch.cat([p.detach().flatten() for p in fresh.parameters()]).numpy()

    def save(self, vector: np.ndarray, folder: Path) -> None:
        """Write network.safetensors and network.json."""
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / CONFIG, self.settings)
        save_file(self.layout.tensors(np.asarray(vector, np.float32)), folder / TENSORS)

    def load(self, folder: Path) -> np.ndarray:
        """Read network.safetensors."""
        return self.layout.vector(load_file(folder / TENSORS), folder)
