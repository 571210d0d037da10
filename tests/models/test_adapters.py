"""Adapters as vectors: what is written is read, saved, loaded and taken off again, bit for bit."""

from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel, get_peft_model_state_dict
from torch import nn
from transformers import AutoModelForCausalLM

from fedrlhf.config.schema import Adapter
from fedrlhf.errors import ConfigError, UserError
from fedrlhf.models.adapters import AdapterSlot, attach, detach
from fedrlhf.models.load import Base

KINDS = [Adapter(rank=3), Adapter(kind="ffa", rank=3), Adapter(kind="top_layers", layers=1),
         Adapter(rank=2, targets="q_proj, v_proj")]
IDS = torch.arange(2, 26).reshape(2, 12)
ids_of_kind = [f"{a.kind}-{a.targets}" for a in KINDS]


def random_vector(slot: AdapterSlot, seed: int = 0) -> np.ndarray:
    """Return an adapter that changes every layer it acts on."""
    return np.random.default_rng(seed).normal(0, 0.1, slot.layout.size).astype(np.float32)


@torch.no_grad()
def logits(model: nn.Module) -> torch.Tensor:
    """Return the logits of two fixed rows of tokens."""
    return model(input_ids=IDS).logits


@pytest.mark.parametrize("spec", KINDS, ids=ids_of_kind)
def test_write_and_read_are_inverse(llama_base: Base, spec: Adapter) -> None:
    """Any float32 vector comes back bit for bit, subnormal and huge values too."""
    slot = attach(llama_base, spec, seed=0)
    vector = random_vector(slot)
    vector[:4] = [1e-42, -0.0, 3e38, np.pi]
    slot.write(vector)
    assert slot.read().tobytes() == vector.tobytes()
    assert slot.read().dtype == np.float32 and slot.read().shape == (slot.layout.size,)


def test_a_vector_of_another_size_is_refused(llama_base: Base) -> None:
    """One value too few or too many is an error, never a shift."""
    slot = attach(llama_base, KINDS[0], seed=0)
    for wrong in (-1, 1):
        with pytest.raises(RuntimeError):
            slot.write(np.zeros(slot.layout.size + wrong, np.float32))


def test_layout_is_pefts_state_dict(llama_base: Base) -> None:
    """Names, shapes and values are those that PEFT would save."""
    slot = attach(llama_base, KINDS[0], seed=0)
    slot.write(random_vector(slot))
    state = get_peft_model_state_dict(slot.model)
    assert dict(zip(slot.layout.names, slot.layout.shapes, strict=True)) == {
        name: tuple(tensor.shape) for name, tensor in state.items()}
    for name, tensor in slot.layout.tensors(slot.read()).items():
        np.testing.assert_array_equal(tensor, state[name].numpy())


def test_layout_size_by_hand(llama_base: Base) -> None:
    """Rank 3 on 2 layers: A is 3 x in, B is out x 3, so 3 (in + out) for each linear module.

    q, o: 32 + 32; k, v: 32 + 16 (two of four heads); gate, up, down: 32 + 64. Per layer
    2 * 64 + 2 * 48 + 3 * 96 = 512, times 3 times 2 layers = 3,072. The head is not among them.
    """
    assert attach(llama_base, KINDS[0], seed=0).layout.size == 3072


def test_layout_digest_tells_layouts_apart(llama_base: Base, tiny_llama: Path) -> None:
    """Equal settings have one digest in two processes' models; another rank or target another."""
    digests = [attach(llama_base, spec, seed=0).layout.digest for spec in (*KINDS, KINDS[0])]
    assert digests[0] == digests[-1]
    assert len(set(digests)) == len(KINDS)


@pytest.mark.parametrize("spec", KINDS, ids=ids_of_kind)
def test_save_and_load(llama_base: Base, spec: Adapter, tmp_path: Path) -> None:
    """The folder holds PEFT's two files; the vector comes back bit for bit."""
    slot = attach(llama_base, spec, seed=0)
    vector = random_vector(slot)
    slot.save(vector, tmp_path)
    assert {"adapter_config.json", "adapter_model.safetensors"} <= {
        path.name for path in tmp_path.iterdir()}
    assert {path.suffix for path in tmp_path.iterdir()} <= {".json", ".safetensors", ".md"}
    slot.write(random_vector(slot, seed=1))
    assert slot.load(tmp_path).tobytes() == vector.tobytes()


@pytest.mark.parametrize("spec", KINDS, ids=ids_of_kind)
def test_plain_peft_loads_what_we_save(llama_base: Base, spec: Adapter, tiny_llama: Path,
                                       tmp_path: Path) -> None:
    """PeftModel.from_pretrained on a fresh copy of the base gives equal logits."""
    slot = attach(llama_base, spec, seed=5)
    slot.save(random_vector(slot), tmp_path)
    theirs = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(tiny_llama, dtype=torch.float32), str(tmp_path)).eval()
    torch.testing.assert_close(logits(theirs), logits(llama_base.model), rtol=0, atol=0)


def test_what_peft_saves_is_loaded(llama_base: Base, tmp_path: Path) -> None:
    """An adapter that PEFT wrote by itself is read as a vector."""
    slot = attach(llama_base, KINDS[0], seed=0)
    slot.write(random_vector(slot))
    slot.model.save_pretrained(str(tmp_path))
    np.testing.assert_array_equal(slot.load(tmp_path), random_vector(slot))


def test_load_refuses_another_layout(llama_base: Base, tmp_path: Path) -> None:
    """Another rank, or fewer target modules: the message names the folder and the tensor."""
    slot = attach(llama_base, KINDS[0], seed=0)
    slot.save(random_vector(slot), tmp_path)
    for spec in (Adapter(rank=4), Adapter(rank=2, targets="q_proj")):
        with pytest.raises(UserError, match="lora_A.weight should have shape") as refusal:
            attach(llama_base, spec, seed=0).load(tmp_path)
        assert str(tmp_path) in str(refusal.value)


def test_initial_changes_nothing_but_the_seed(llama_base: Base) -> None:
    """B = 0, so the logits stay; A depends on the seed alone; the active adapter stays in place."""
    plain = logits(llama_base.model)
    slot = attach(llama_base, KINDS[0], seed=0)
    active = random_vector(slot)
    slot.write(active)
    first, again, other = slot.initial(3), slot.initial(3), slot.initial(4)
    assert slot.read().tobytes() == active.tobytes()
    assert first.tobytes() == again.tobytes() and not np.array_equal(first, other)
    for name, tensor in slot.layout.tensors(first).items():
        assert np.any(tensor) == ("lora_A" in name), name
    slot.write(first)
    torch.testing.assert_close(logits(llama_base.model), plain, rtol=0, atol=0)


def test_initial_leaves_the_global_generators_alone(llama_base: Base) -> None:
    """Making a slot and initial adapters draws from no generator of the caller's."""
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    attach(llama_base, KINDS[0], seed=0).initial(1)
    torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)


def test_ffa_sends_only_b_and_shares_a(llama_base: Base, tiny_llama: Path) -> None:
    """The vector holds B alone, starting at zero; A is equal for one seed and frozen."""
    spec = Adapter(kind="ffa", rank=3)

    def a_factors(slot: AdapterSlot) -> dict[str, torch.Tensor]:
        return {name: p.detach().clone() for name, p in slot.model.named_parameters()
                if "lora_A" in name}

    slot = attach(llama_base, spec, seed=5)
    assert slot.layout.names and all("lora_B" in name for name in slot.layout.names)
    assert not slot.initial(9).any()
    before = a_factors(slot)
    slot.write(random_vector(slot))
    detach(llama_base)
    again, other = a_factors(attach(llama_base, spec, 5)), a_factors(attach(llama_base, spec, 6))
    for name, tensor in before.items():
        torch.testing.assert_close(again[name], tensor, rtol=0, atol=0)
        assert not torch.equal(other[name], tensor)
    assert not any(p.requires_grad for n, p in llama_base.model.named_parameters() if "lora_A" in n)


def test_top_layers_touches_only_the_last(llama_base: Base) -> None:
    """With layers=1 of 2, all tensors are in layer 1, and layer 0's output stays bit for bit."""
    def first_layer() -> torch.Tensor:
        with torch.no_grad():
            return llama_base.model(input_ids=IDS, output_hidden_states=True).hidden_states[1]

    plain, plain_logits = first_layer(), logits(llama_base.model)
    slot = attach(llama_base, Adapter(kind="top_layers", layers=1), seed=0)
    slot.write(random_vector(slot))
    assert all(".layers.1." in name for name in slot.layout.names)
    torch.testing.assert_close(first_layer(), plain, rtol=0, atol=0)
    assert not torch.equal(logits(llama_base.model), plain_logits)


@pytest.mark.parametrize("spec", KINDS, ids=ids_of_kind)
def test_detach_restores_the_base(llama_base: Base, spec: Adapter) -> None:
    """After an adapter was used, the model has its own modules, weights and logits bit for bit."""
    weights = {name: p.clone() for name, p in llama_base.model.state_dict().items()}
    modules = [(name, type(module)) for name, module in llama_base.model.named_modules()]
    plain = logits(llama_base.model)
    slot = attach(llama_base, spec, seed=0)
    slot.write(random_vector(slot))
    assert not torch.equal(logits(llama_base.model), plain)
    detach(llama_base)
    assert llama_base.attached is None
    assert [(name, type(module)) for name, module in llama_base.model.named_modules()] == modules
    restored = llama_base.model.state_dict()
    assert set(restored) == set(weights)
    assert all(torch.equal(restored[name], tensor) for name, tensor in weights.items())
    torch.testing.assert_close(logits(llama_base.model), plain, rtol=0, atol=0)
    detach(llama_base)  # twice is no error


def test_attach_reuses_a_slot_of_the_same_kind(llama_base: Base) -> None:
    """Equal settings return the slot that is there; others replace it, without layers on layers."""
    slot = attach(llama_base, KINDS[0], seed=0)
    assert attach(llama_base, Adapter(rank=3), seed=0) is slot
    other = attach(llama_base, KINDS[3], seed=0)
    assert other is not slot and llama_base.attached is other
    ranks = {p.shape[0] for n, p in llama_base.model.named_parameters() if "lora_A" in n}
    assert ranks == {2}


@pytest.mark.parametrize(("spec", "named"), [
    (Adapter(targets="q_proj,query"), ["adapter.targets", "query", "q_proj, up_proj, v_proj"]),
    (Adapter(targets="lm_head"), ["adapter.targets", "lm_head"]),
    (Adapter(kind="top_layers", layers=3), ["adapter.layers=3", "has 2"]),
])
def test_bad_settings(llama_base: Base, spec: Adapter, named: list[str]) -> None:
    """The message names the key, the wrong value and what the model has; the base stays clean."""
    with pytest.raises(ConfigError) as refusal:
        attach(llama_base, spec, seed=0)
    for text in named:
        assert text in str(refusal.value)
    assert llama_base.attached is None


def test_dropout_only_while_training(llama_base: Base) -> None:
    """Dropout acts inside `training()` and nowhere else, also after a step that failed."""
    slot = attach(llama_base, Adapter(dropout=0.5), seed=0)
    slot.write(random_vector(slot))
    calm = logits(llama_base.model)
    with slot.training():
        assert not torch.equal(logits(llama_base.model), calm)
    torch.testing.assert_close(logits(llama_base.model), calm, rtol=0, atol=0)
    with pytest.raises(RuntimeError, match="a step failed"), slot.training():
        raise RuntimeError("a step failed")
    torch.testing.assert_close(logits(llama_base.model), calm, rtol=0, atol=0)


def test_only_the_adapter_is_trainable(llama_base: Base) -> None:
    """Gradients reach exactly the slot's parameters."""
    slot = attach(llama_base, KINDS[0], seed=0)
    slot.model(input_ids=IDS).logits.sum().backward()
    with_gradient = {id(p) for p in slot.model.parameters() if p.grad is not None}
    assert with_gradient == {id(p) for p in slot.parameters}
