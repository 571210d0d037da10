"""Load a frozen causal LM and its tokenizer, once for each process."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BitsAndBytesConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import is_flash_attn_2_available

from fedrlhf.config.schema import Model
from fedrlhf.errors import ConfigError

EMBEDDED = ("tiny_tutor",)
LANGUAGE, SCORE = "language", "score"  # what a model ends in


@dataclass(eq=False)
class Base:
    """A frozen model in evaluation mode and its tokenizer.

    ``attached`` is the adapter that acts on the model at present (models/adapters.py). With the
    head ``score`` the model ends in one number for each token instead of the next token's logits.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    spec: Model
    head: str = LANGUAGE
    attached: Any = None

    @property
    def device(self) -> torch.device:
        """Where the model's weights are."""
        return self.model.device


@lru_cache(maxsize=4)
def shared_base(spec: Model, head: str = LANGUAGE, beside: bool = False) -> Base:
    """Return the process's one copy of a base model; all adapters act on it.

    Args:
        spec: What to load and how.
        head: See `load_base`.
        beside: Return the second copy, for a reward that judges while the first one trains: one
            adapter at a time is active on a copy.
    """
    return load_base(spec, head)


def release_bases() -> None:
    """Forget the shared copies, so that their memory can be used for training."""
    shared_base.cache_clear()
    gc.collect()  # an adapter and its model refer to each other
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def load_base(spec: Model, head: str = LANGUAGE) -> Base:
    """Load a model and its tokenizer from the package, a folder or the hub.

    Args:
        spec: What to load and how.
        head: ``language`` for a causal LM, ``score`` for the same with a new scalar head, whose
            values an adapter brings.

    Raises:
        ConfigError: The model cannot be found or needs a package that is missing.
    """
    place, options = resolve(spec.path), _options(spec)
    tokenizer = load_tokenizer(spec)
    kind, own = _HEADS[head]
    with _explained(spec):
        if hasattr(AutoConfig.from_pretrained(place, **options), "vision_config"):
            raise ConfigError(f"model {spec.path!r} reads images as well; choose a text model of "
                              "its family")
        model = kind.from_pretrained(
            place, **own, dtype=getattr(torch, spec.dtype), attn_implementation=_attention(spec),
            quantization_config=_quantization(spec), use_safetensors=True, **options)
    if spec.quantization == "nf4":
        _keep_gradients(model)
    if spec.quantization == "none":
        model.to(default_device())  # type: ignore[arg-type]
    model.requires_grad_(False)
    if spec.gradient_checkpointing:
        model.activation_checkpointing_enable()
    return Base(model.eval(), tokenizer, spec, head)


def load_tokenizer(spec: Model) -> PreTrainedTokenizerBase:
    """Load a model's tokenizer; one without a padding token pads with its end token.

    Raises:
        ConfigError: It cannot be found.
    """
    with _explained(spec):
        tokenizer = AutoTokenizer.from_pretrained(resolve(spec.path), **_options(spec))
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


_HEADS: dict[str, tuple[Any, dict[str, Any]]] = {
    LANGUAGE: (AutoModelForCausalLM, {}),
    SCORE: (AutoModelForSequenceClassification, {"num_labels": 1})}


def resolve(path: str) -> str:
    """Turn an embedded model's name into its folder; leave every other path as it is."""
    if path in EMBEDDED and not Path(path).is_dir():
        return str(files("fedrlhf.models").joinpath(path))
    return path


def default_device() -> torch.device:
    """Return the first GPU of the process, or the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _options(spec: Model) -> dict[str, Any]:
    return {"revision": spec.revision or "main", "trust_remote_code": spec.trust_remote_code}


@contextmanager
def _explained(spec: Model) -> Iterator[None]:
    try:
        yield
    except (OSError, ImportError, ValueError) as error:
        raise ConfigError(f"model {spec.path!r} cannot be loaded: {_summary(error)}") from error


def _attention(spec: Model) -> str | None:
    """Return the attention kernel by name; None lets the model choose between sdpa and eager.

    Raises:
        ConfigError: flash_attention_2 is asked for and cannot work here.
    """
    lacks = _flash_attention_lacks(spec)
    if spec.attention == "auto":
        return None if lacks else "flash_attention_2"
    if spec.attention == "flash_attention_2" and lacks:
        raise ConfigError(f"attention=flash_attention_2 needs {lacks}; set attention=auto, which "
                          "takes it where it works")
    return spec.attention


def _flash_attention_lacks(spec: Model) -> str:
    if not torch.cuda.is_available():
        return "a GPU, and torch sees none"
    if not is_flash_attn_2_available():
        return "the package flash-attn (pip install flash-attn)"
    if spec.dtype == "float32":
        return "dtype=bfloat16 or float16, got float32"
    return ""


def _quantization(spec: Model) -> BitsAndBytesConfig | None:
    if spec.quantization == "none":
        return None
    if spec.quantization == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4",
                              bnb_4bit_use_double_quant=True,
                              bnb_4bit_compute_dtype=getattr(torch, spec.dtype))


def _keep_gradients(model: PreTrainedModel) -> None:
    """Keep 4-bit layers in the form that passes gradients on.

    On processors with bfloat16 instructions, bitsandbytes packs a layer for inference the first
    time that it reads without gradients, for good; the packed product has no backward pass, and
    training after a judgement would silently lose the gradients through it.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False  # type: ignore[assignment]


def _summary(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else f"{text[:300]}…"
