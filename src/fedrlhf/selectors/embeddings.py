"""Fixed vectors of prompts with completions, read off the frozen base model once.

Shapes: N texts, D hidden size.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from fedrlhf.config.schema import Model
from fedrlhf.data.turns import prompt_key
from fedrlhf.data.tutor.curriculum import QUESTION_FORMS, topics
from fedrlhf.files import replaced_folder
from fedrlhf.models.likelihood import Written, encode_written
from fedrlhf.models.load import Base, resolve, shared_base
from fedrlhf.models.runtime import precision
from fedrlhf.models.skeleton import model_config
from fedrlhf.tracking.run_directory import model_digest
from fedrlhf.types import Prompt

Text = tuple[Prompt, str]  # a prompt and a completion
POOLINGS = ("mean", "last")
_STATEMENTS = ("definition", "example", "caveat")  # of each topic, for the moments


class Embedder:
    """Embeds completions; the same text has the same vector at every client.

    A vector is the mean of the last hidden states over the completion's tokens, each of which has
    read the prompt, or the last token's state. Each dimension is standardised by its mean and
    standard deviation over the texts of the embedded curriculum: fixed, public texts, so that no
    client's preferences enter and server and clients agree without a message. Without this, one
    direction that all texts of a language model share would drown what tells them apart.
    """

    def __init__(self, spec: Model, pooling: str, max_tokens: int, autocast: str,
                 cache: str | None) -> None:
        """Name the model; it is loaded when the first text is embedded.

        Args:
            spec: The base model.
            pooling: ``mean`` or ``last``.
            max_tokens: A longer text loses the beginning of its prompt.
            autocast: The setting `runtime.autocast`.
            cache: Folder that keeps vectors for the next process; None keeps none.
        """
        self.spec, self.pooling, self.max_tokens = spec, pooling, max_tokens
        self.autocast = autocast
        self._cache = None if cache is None else Path(cache).expanduser()
        self._known: dict[tuple[str, str], np.ndarray] = {}

    @cached_property
    def size(self) -> int:
        """D; known without the model's weights."""
        return int(model_config(self.spec).get_text_config().hidden_size)

    @property
    def settings(self) -> dict[str, Any]:
        """What makes the vectors, to be saved beside a network that reads them."""
        return {"model": asdict(self.spec), "pooling": self.pooling,
                "max_tokens": self.max_tokens, "autocast": self.autocast}

    def embed(self, texts: Sequence[Text]) -> np.ndarray:
        """Return the standardised vectors, shape (N, D), float32; NaN where a text does not fit."""
        mean, scale = self._moments
        return (self._raw(texts) - mean) / scale

    @cached_property
    def _moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each dimension over the curriculum, shape (D,)."""
        raw = self._raw([(QUESTION_FORMS[number % len(QUESTION_FORMS)].format(topic.name),
                          getattr(topic, part))
                         for number, topic in enumerate(topics()) for part in _STATEMENTS])
        raw = raw[~np.isnan(raw).any(axis=1)]
        return raw.mean(axis=0), np.maximum(raw.std(axis=0), 1e-6)

    def _raw(self, texts: Sequence[Text]) -> np.ndarray:
        named = [(prompt_key(prompt), completion) for prompt, completion in texts]
        missing = {name: text for name, text in zip(named, texts, strict=True)
                   if name not in self._known}
        if missing:
            found = self._read_or_compute(list(missing.values()))
            self._known.update(zip(missing, found, strict=True))
        return np.stack([self._known[name] for name in named]) if named else (
            np.zeros((0, self.size), np.float32))

    def _read_or_compute(self, texts: Sequence[Text]) -> np.ndarray:
        """Read these texts' vectors where an earlier process kept them, else compute them."""
        if self._cache is None:
            return self._compute(texts)
        folder = self._cache / self._digest(texts)
        if not folder.exists():
            with replaced_folder(folder) as fresh:
                save_file({"vectors": self._compute(texts)}, fresh / "vectors.safetensors")
        return load_file(folder / "vectors.safetensors")["vectors"]

    def _digest(self, texts: Sequence[Text]) -> str:
        """Name what decides the vectors: the model's files, how it reads, and the texts."""
        path = Path(resolve(self.spec.path))
        model = model_digest(path) if path.is_dir() else "hub"
        told = (model, repr(self.spec), self.pooling, self.max_tokens, self.autocast,
                [(prompt_key(prompt), completion) for prompt, completion in texts])
        return hashlib.sha256(repr(told).encode()).hexdigest()[:32]

    @torch.no_grad()
    def _compute(self, texts: Sequence[Text]) -> np.ndarray:
        base = shared_base(self.spec)
        written = [encode_written(base, prompt, completion, self.max_tokens)
                   for prompt, completion in texts]
        found = np.full((len(texts), self.size), np.nan, np.float32)
        with without_adapter(base):
            for row, one in enumerate(written):
                if one is not None and one.completion:
                    found[row] = self._pooled(base, one).cpu().numpy()
        return found

    def _pooled(self, base: Base, one: Written) -> torch.Tensor:
        """Return a sequence's vector, shape (D,).

        It is read alone: in a batch its last bits would depend on the others, and a client would
        train otherwise in one process than in another.
        """
        ids = torch.tensor([one.prompt + one.completion], device=base.device)
        with precision(self.autocast, base.device):
            hidden = base.model.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state[0]
        read = hidden[-1:] if self.pooling == "last" else hidden[len(one.prompt):]
        return read.float().mean(dim=0)


@contextmanager
def without_adapter(base: Base) -> Iterator[None]:
    """Make the base model act as it was loaded inside the block, whatever adapter it carries."""
    slot = base.attached
    if slot is None:
        yield
        return
    active = slot.read()
    slot.write(np.zeros_like(active))  # B = 0 leaves the base as it is
    try:
        yield
    finally:
        slot.write(active)


@lru_cache(maxsize=4)
def shared_embedder(spec: Model, pooling: str, max_tokens: int, autocast: str,
                    cache: str | None) -> Embedder:
    """Return the process's one embedder of these settings, with all vectors that it has made."""
    return Embedder(spec, pooling, max_tokens, autocast, cache)
