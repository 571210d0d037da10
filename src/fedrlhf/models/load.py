"""Load a frozen causal LM and its tokenizer, once for each process."""

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BitsAndBytesConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

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


@lru_cache(maxsize=2)
def shared_base(spec: Model, head: str = LANGUAGE) -> Base:
    """Return the process's one copy of a base model; all adapters act on it."""
    return load_base(spec, head)


def release_bases() -> None:
    """Forget the shared copies, so that their memory can be used for training."""
    shared_base.cache_clear()


def load_base(spec: Model, head: str = LANGUAGE) -> Base:
    """Load a model and its tokenizer from the package, a folder or the hub.

    Args:
        spec: What to load and how.
        head: ``language`` for a causal LM, ``score`` for the same with a new scalar head, whose
            values an adapter brings.

    Raises:
        ConfigError: The model cannot be found or needs a package that is missing.
    """
    place = resolve(spec.path)
    options: dict[str, Any] = {"revision": spec.revision or "main",
                               "trust_remote_code": spec.trust_remote_code}
    try:
        tokenizer = AutoTokenizer.from_pretrained(place, **options)
        kind, own = _HEADS[head]
        model = kind.from_pretrained(
            place, **own, dtype=getattr(torch, spec.dtype), attn_implementation=spec.attention,
            quantization_config=_quantization(spec), use_safetensors=True, **options)
    except (OSError, ImportError, ValueError) as error:
        raise ConfigError(f"model {spec.path!r} cannot be loaded: {_summary(error)}") from error
    if spec.quantization == "none":
        model.to(default_device())  # type: ignore[arg-type]
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    model.requires_grad_(False)
    return Base(model.eval(), tokenizer, spec, head)


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


def _quantization(spec: Model) -> BitsAndBytesConfig | None:
    if spec.quantization == "none":
        return None
    if spec.quantization == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4",
                              bnb_4bit_use_double_quant=True,
                              bnb_4bit_compute_dtype=torch.bfloat16)


def _summary(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else f"{text[:300]}…"
