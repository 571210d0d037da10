"""A model without its weights: what it would weigh and how large its adapter is."""

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
)

from fedrlhf.config.schema import Adapter, Model
from fedrlhf.errors import ConfigError
from fedrlhf.models.adapters import AdapterSlot
from fedrlhf.models.load import SCORE, Base, resolve

_DOUBLE_QUANTISED = 4.127 / 8  # bytes a weight: 4 bits and its share of the scales (QLoRA, 2023)
_WIDTH = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True)
class Skeleton:
    """Sizes of a model and its adapter.

    Attributes:
        kind: The family, such as ``llama``.
        parameters: Of the base model; weights that two layers share count once.
        weights: Bytes of the base model as it would be loaded.
        adapter: Values of the adapter's vector.
        layers: How many decoder layers there are.
        hidden: Width of the residual stream.
        inner: Width of the feed-forward layers.
        keys: Width of a token's keys in one layer (its values are as wide).
        vocabulary: How many tokens there are.
        width: Bytes of an activation's value.
    """

    kind: str
    parameters: int
    weights: float
    adapter: int
    layers: int
    hidden: int
    inner: int
    keys: int
    vocabulary: int
    width: int


def skeleton(spec: Model, adapter: Adapter, head: str) -> Skeleton:
    """Build a model on torch's meta device, where tensors have a shape and no memory.

    Args:
        spec: The model; a folder, an embedded model, a name in the hub's local cache or one of
            the names in known_models.json. Nothing but its config.json is read.
        adapter: The LoRA setting.
        head: ``language`` or ``score``, as in `load_base`.

    Raises:
        ConfigError: The model's configuration cannot be found.
    """
    config = model_config(spec)
    kind: Any = AutoModelForCausalLM
    if head == SCORE:
        kind, config.num_labels = AutoModelForSequenceClassification, 1
    with torch.device("meta"):
        model = kind.from_config(config)
        model.tie_weights()
        parameters = sum(p.numel() for p in model.parameters())
        weights = _bytes(model, spec)
        slot = AdapterSlot(Base(model, _no_tokenizer(), spec, head), adapter, seed=0)
    text = config.get_text_config()
    heads = text.num_attention_heads
    width = getattr(text, "head_dim", None) or text.hidden_size // heads
    return Skeleton(
        kind=config.model_type, parameters=parameters, weights=weights, adapter=slot.layout.size,
        layers=text.num_hidden_layers, hidden=text.hidden_size, inner=text.intermediate_size,
        keys=width * (getattr(text, "num_key_value_heads", None) or heads),
        vocabulary=text.vocab_size, width=_WIDTH[spec.dtype])


def model_config(spec: Model) -> PreTrainedConfig:
    """Return a model's configuration without its weights.

    Raises:
        ConfigError: It is neither here nor among the known models.
    """
    try:
        return AutoConfig.from_pretrained(  # type: ignore[no-any-return]
            resolve(spec.path), revision=spec.revision or "main",
            trust_remote_code=spec.trust_remote_code)
    except (OSError, ValueError) as error:
        known = _known()
        if spec.path in known:
            settings = dict(known[spec.path])
            return AutoConfig.for_model(settings.pop("model_type"), **settings)
        raise ConfigError(
            f"the sizes of model {spec.path!r} are unknown: it is no folder here, its config.json "
            f"cannot be fetched ({' '.join(str(error).split())[:160]}), and it is none of the "
            f"models whose sizes are built in: {', '.join(sorted(known))}") from error


@lru_cache(maxsize=1)
def _known() -> dict[str, dict[str, Any]]:
    path = files("fedrlhf.models").joinpath("known_models.json")
    return json.loads(path.read_text("utf-8"))  # type: ignore[no-any-return]


def _bytes(model: nn.Module, spec: Model) -> float:
    """Count the weights' bytes: bitsandbytes quantises linear layers other than the head."""
    width = _WIDTH[spec.dtype]
    quantised = {"none": float(width), "int8": 1.0, "nf4": _DOUBLE_QUANTISED}[spec.quantization]
    head = getattr(model, "score", None) or model.get_output_embeddings()  # type: ignore[operator]
    linear = {id(module.weight) for module in model.modules()
              if isinstance(module, nn.Linear) and module is not head}
    return sum(p.numel() * (quantised if id(p) in linear else width) for p in model.parameters())


def _no_tokenizer() -> PreTrainedTokenizerFast:
    """Return a stand-in: sizes do not depend on the tokenizer."""
    from tokenizers import Tokenizer, models

    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel()))
