"""LoRA adapters as flat vectors: attach, read, write, save.

An adapter is one float32 vector over the trainable tensors of a frozen base model. All clients,
selectors and policies of a process use the same slot and copy their vector into it, which costs
less than a tenth of a millisecond where PEFT's own state-dict functions take ten.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from peft import LoraConfig, PeftModel, get_peft_model
from peft.utils import ModulesToSaveWrapper
from safetensors.numpy import load_file
from torch import nn
from transformers.modeling_layers import GradientCheckpointingLayer

from fedrlhf.config.schema import Adapter
from fedrlhf.errors import ConfigError
from fedrlhf.models.load import SCORE, Base
from fedrlhf.models.runtime import seeded
from fedrlhf.models.slot import Layout, Slot

NAME = "default"  # TRL accepts no other name


class AdapterSlot(Slot):
    """The place on a base model where one adapter at a time is active."""

    def __init__(self, base: Base, spec: Adapter, seed: int) -> None:
        self.base, self.spec, self.seed = base, spec, seed
        with seeded(seed):
            self.model = get_peft_model(base.model, lora_config(base, spec), NAME)
        self.model.eval()
        if spec.kind == "ffa":
            _freeze_a(self.model)
        named = [(name, p) for name, p in self.model.named_parameters() if p.requires_grad]
        for _, parameter in named:  # PEFT leaves a scalar head in the base model's dtype
            parameter.data = parameter.data.float()
        self.parameters = [parameter for _, parameter in named]
        self.layout = Layout(tuple(_saved_name(name) for name, _ in named),
                             tuple(tuple(parameter.shape) for _, parameter in named))

    @contextmanager
    def training(self) -> Iterator[None]:
        """Switch the adapter's dropout on inside the block; the base stays in evaluation mode.

        Layers that forget their activations (`gradient_checkpointing`) do so only in training mode;
        it is set on the layers themselves and not on what they hold.
        """
        switched = [module for name, module in self.model.named_modules() if "lora_dropout" in name
                    or isinstance(module, GradientCheckpointingLayer)
                    and module.gradient_checkpointing]
        for module in switched:
            module.training = True
        try:
            yield
        finally:
            for module in switched:
                module.training = False

    def initial(self, seed: int) -> np.ndarray:
        """Return a fresh adapter: B = 0, so that the base model is unchanged.

        A scalar head is drawn from N(0, 1/(D + 1)^2) for D inputs (Stiennon et al., 2020).
        """
        kept = self.read()
        with seeded(seed):
            for module in self.model.modules():
                if hasattr(module, "reset_lora_parameters") and self.spec.kind != "ffa":
                    module.reset_lora_parameters(NAME, True)  # type: ignore[operator]
                elif isinstance(module, ModulesToSaveWrapper):
                    head = module.modules_to_save[NAME].weight
                    nn.init.normal_(head, std=1 / (head.shape[1] + 1))  # type: ignore[arg-type, operator, index]
        fresh = self.read() if self.spec.kind != "ffa" else np.zeros_like(kept)
        self.write(kept)
        return fresh

    def save(self, vector: np.ndarray, folder: Path) -> None:
        """Write an adapter as PEFT does: adapter_config.json and adapter_model.safetensors."""
        self.write(vector)
        self.model.peft_config[NAME].base_model_name_or_path = self.base.spec.path
        self.model.save_pretrained(str(folder), save_embedding_layers=False)

    def load(self, folder: Path) -> np.ndarray:
        """Read an adapter that `save` or PEFT wrote, as a vector of this slot's layout.

        Raises:
            UserError: The folder's tensors are not this slot's.
        """
        tensors = load_file(folder / "adapter_model.safetensors")
        return self.layout.vector(tensors, folder)


def attach(base: Base, spec: Adapter, seed: int) -> AdapterSlot:
    """Return the slot of this kind on the base model, replacing a slot of another kind."""
    slot = base.attached
    if slot is None or (slot.spec, slot.seed) != (spec, seed):
        detach(base)
        base.attached = slot = AdapterSlot(base, spec, seed)
    return slot


def detach(base: Base) -> None:
    """Take the adapter off: the base model is as it was loaded."""
    if base.attached is not None:
        base.attached.model.unload()
        base.attached = None


def lora_config(base: Base, spec: Adapter) -> LoraConfig:
    """Translate an adapter's settings into PEFT's.

    Raises:
        ConfigError: A target module does not exist in the model.
    """
    leaves = _linear_names(base)
    wanted = leaves if spec.targets == "all-linear" else spec.targets.replace(" ", "").split(",")
    if missing := sorted(set(wanted) - set(leaves)):
        raise ConfigError(f"adapter.targets names {', '.join(missing)}; "
                          f"{base.spec.path} has {', '.join(leaves)}")
    top = None
    if spec.kind == "top_layers":
        depth = base.model.config.get_text_config().num_hidden_layers
        if spec.layers > depth:
            raise ConfigError(f"adapter.layers={spec.layers}, but {base.spec.path} has {depth}")
        top = list(range(depth - spec.layers, depth))
    return LoraConfig(r=spec.rank, lora_alpha=spec.alpha, lora_dropout=spec.dropout,
                      target_modules=sorted(wanted), layers_to_transform=top,
                      task_type="SEQ_CLS" if base.head == SCORE else "CAUSAL_LM")


def _linear_names(base: Base) -> list[str]:
    head = base.model.score if base.head == SCORE else base.model.get_output_embeddings()
    return sorted({name.rpartition(".")[2] for name, module in base.model.named_modules()
                   if isinstance(module, nn.Linear) and module is not head})


def _saved_name(name: str) -> str:
    """Return a parameter's name as PEFT saves it."""
    return name.replace(f".modules_to_save.{NAME}.", ".").replace(f".{NAME}.", ".")


def _freeze_a(model: PeftModel) -> None:
    for name, parameter in model.named_parameters():
        if "lora_A" in name:
            parameter.requires_grad_(False)
