"""Sizes without weights, beside published counts, loaded models and measured activations."""

from pathlib import Path
from typing import Any

import pytest
import torch

from fedrlhf.config.schema import Adapter, Model
from fedrlhf.models.adapters import attach
from fedrlhf.models.load import LANGUAGE, SCORE, load_base
from fedrlhf.models.memory import activation_bytes
from fedrlhf.models.skeleton import skeleton

# Parameters as the models' cards and repositories state them.
PUBLISHED = {
    "Qwen/Qwen2-0.5B": 494_032_768, "Qwen/Qwen3-0.6B": 596_049_920,
    "google/gemma-2b": 2_506_172_416, "google/gemma-2-2b-it": 2_614_341_888,
    "meta-llama/Llama-2-7b-hf": 6_738_415_616, "meta-llama/Llama-3.2-1B-Instruct": 1_235_814_400,
    "meta-llama/Llama-3.1-8B-Instruct": 8_030_261_248,
    "HuggingFaceTB/SmolLM2-135M-Instruct": 134_515_008,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_counts(name: str) -> None:
    """The built-in sizes give the published number of parameters."""
    assert skeleton(Model(path=name), Adapter(), LANGUAGE).parameters == PUBLISHED[name]


def test_lora_of_llama_2() -> None:
    """r (d_in + d_out) values a matrix: 8 x 8192 for each of q and v in 32 layers."""
    found = skeleton(Model(path="meta-llama/Llama-2-7b-hf"), Adapter(targets="q_proj,v_proj"),
                     LANGUAGE)
    assert found.adapter == 2 * 32 * 8 * (4096 + 4096)


def test_weights_in_four_bits() -> None:
    """NF4: 0.516 bytes for each weight of a linear layer, two for embeddings, head and norms.

    Llama-3.1-8B: 2 x 128256 x 4096 values of embeddings and head and 65 norms of 4096.
    """
    found = skeleton(Model(path="meta-llama/Llama-3.1-8B-Instruct", dtype="bfloat16",
                           quantization="nf4"), Adapter(), LANGUAGE)
    rest = 2 * 128_256 * 4096 + 65 * 4096
    assert found.weights == pytest.approx(2 * rest + 4.127 / 8 * (found.parameters - rest))


@pytest.mark.parametrize("head", [LANGUAGE, SCORE])
def test_the_same_sizes_as_loaded(tiny_llama: Path, head: str) -> None:
    """A skeleton has the parameters and the adapter of the model when it is loaded."""
    spec, adapter = Model(path=str(tiny_llama)), Adapter(targets="q_proj,v_proj")
    base = load_base(spec, head)
    parameters = sum(p.numel() for p in base.model.parameters())
    found = skeleton(spec, adapter, head)
    assert found.parameters == parameters
    assert found.weights == 4 * parameters
    assert found.adapter == attach(base, adapter, 0).layout.size


def test_activations_are_as_estimated(tiny_llama: Path) -> None:
    """What autograd keeps of a forward pass with LoRA is within a third of the estimate.

    Counted once for each storage; the frozen weights themselves do not count.
    """
    spec, adapter = Model(path=str(tiny_llama)), Adapter(rank=1)
    base = load_base(spec)
    attach(base, adapter, 0)
    weights = {p.untyped_storage().data_ptr() for p in base.model.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    def unpack(tensor: Any) -> Any:
        return tensor

    ids = torch.randint(0, 100, (4, 64))
    with torch.autograd.graph.saved_tensors_hooks(note, unpack):
        out = base.model.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state
    assert out.requires_grad
    found = skeleton(spec, adapter, LANGUAGE)
    estimate = activation_bytes(found, ids.numel(), checkpointing=False)
    assert sum(kept.values()) == pytest.approx(estimate, rel=1 / 3)
