"""QLoRA: adapters on a 4-bit base, against the weights that its 4 bits stand for and the full ones.

Distances are relative: |x - y| / |y|, over all values of an adapter.
"""

import logging
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from bitsandbytes.functional import dequantize_4bit
from bitsandbytes.nn import Linear4bit
from jobs import job, run
from safetensors.numpy import load_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

import fedrlhf
from fedrlhf.config import load, schema
from fedrlhf.models.adapters import attach
from fedrlhf.models.generate import complete
from fedrlhf.models.load import load_base, load_tokenizer, release_bases
from fedrlhf.models.runtime import quiet_libraries, seeded
from fedrlhf.objectives.base import LocalTask
from fedrlhf.objectives.choice import Choice
from fedrlhf.selectors.selector import open_selector
from fedrlhf.tracking.metrics import read_metrics
from fedrlhf.types import PreferencePair

CLIENT = [PreferencePair(f"What is recall, question {i}?", f"A share, {i}.",
                         "I do not know what that is.", "c", "s") for i in range(8)]


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a random Llama with weights of the usual size (0.02), so that it is not chaotic."""
    folder = tmp_path_factory.mktemp("llama")
    tokenizer = load_tokenizer(schema.Model())
    with seeded(0):
        LlamaForCausalLM(LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512,
            bos_token_id=None, eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def rounded_llama(llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save the random Llama with the full-precision weights that its NF4 form stands for."""
    folder = tmp_path_factory.mktemp("rounded")
    quantized = load_base(schema.Model(path=str(llama), quantization="nf4")).model
    model = AutoModelForCausalLM.from_pretrained(llama, dtype=torch.float32)
    weights = dict(model.named_parameters())
    count = 0
    for name, module in quantized.named_modules():
        if isinstance(module, Linear4bit):
            weights[f"{name}.weight"].data = dequantize_4bit(module.weight.data,
                                                             module.weight.quant_state).float()
            count += 1
    assert count == 2 * 7  # all linear layers of both blocks, and not the head
    model.save_pretrained(folder)
    load_tokenizer(schema.Model(path=str(llama))).save_pretrained(folder)
    return folder


def movement(folder: Path, quantization: str, steps: int = 1, learning_rate: float = 0.1,
             judge_first: bool = False) -> np.ndarray:
    """Return how far plain SGD moves one adapter; after one step: -rate times its gradient."""
    config = load([f"selector.model.path={folder}", f"selector.model.quantization={quantization}",
                   "selector.adapter.targets=all-linear", "selector.adapter.rank=4"])
    release_bases()
    slot = open_selector(config).slot
    begin = slot.initial(1)
    begin = begin + 0.02 * np.random.default_rng(0).standard_normal(len(begin)).astype(np.float32)
    objective = Choice(optimizer="sgd", learning_rate=learning_rate, betas=[0.9, 0.95],
                       weight_decay=0.0, max_grad_norm=1e9, local_steps=steps, local_epochs=1,
                       batch_size=8)
    if judge_first:
        objective.losses(config, CLIENT, [begin])
    return objective.train(config, CLIENT, LocalTask(begin, seed=0)).adapter - begin


def distance(found: np.ndarray, reference: np.ndarray) -> float:
    return float(np.linalg.norm(found - reference) / np.linalg.norm(reference))


def test_the_gradient_is_that_of_the_weights_that_four_bits_stand_for(
        llama: Path, rounded_llama: Path, fresh_bases: object) -> None:
    """Same weights, same arithmetic in float32: the gradients differ by rounding alone.

    The adapter is read back as begin - 0.1 g, which rounds g by about 1e-7 |w| / (0.1 |g|); 1e-3
    leaves room for that and is a hundredth of the error that 4 bits make.
    """
    assert distance(movement(llama, "nf4"), movement(rounded_llama, "none")) < 1e-3


def test_a_judgement_before_training_changes_nothing(llama: Path, fresh_bases: object) -> None:
    """Reading without gradients must not turn 4-bit layers into ones that pass none on."""
    plain = movement(llama, "nf4")
    np.testing.assert_array_equal(movement(llama, "nf4", judge_first=True), plain)


def test_the_gradient_is_near_the_full_precision_one(llama: Path, fresh_bases: object) -> None:
    """NF4's values are 16 quantiles of a normal distribution: it rounds a weight by e = 0.09 of its
    size (root mean square). A gradient passes n matrices in a row, whose errors are independent:
    about e sqrt(n), with n between 4 (one block: values, output, up, down) and 8 (two blocks): 0.18
    to 0.25. Twice that is allowed, and the cosine that belongs to it, 1 - d^2 / 2 = 0.9.
    """
    found, full = movement(llama, "nf4"), movement(llama, "none")
    assert 0.02 < distance(found, full) < 0.45
    assert found @ full / (np.linalg.norm(found) * np.linalg.norm(full)) > 0.9


def test_ten_steps_stay_near_the_full_precision_ones(llama: Path, fresh_bases: object) -> None:
    """A short way (a tenth of the rate) is nearly straight: ten steps add up ten gradients that are
    0.25 apart, and the loss's curvature pulls both ways towards minima that are no further apart
    than that. The bound is the gradients' own.
    """
    found, full = (movement(llama, kind, 10, learning_rate=0.01) for kind in ("nf4", "none"))
    assert np.linalg.norm(full) > 5 * np.linalg.norm(movement(llama, "none", 1, 0.01))
    assert 0.02 < distance(found, full) < 0.45


@pytest.mark.parametrize("stage", ["sft", "align"])
@pytest.mark.parametrize("quantization", ["nf4", "int8"])
def test_the_tutor_trains_on_a_quantized_base(quantization: str, stage: str, llama: Path,
                                              tmp_path: Path) -> None:
    """TRL trains the adapter in float32, saves it, and the loaded one writes.

    A step of 1e-5 (RMSprop's first step is 10 times the rate) on weights near 0.1 is 1e-4 of them,
    far below bfloat16's 4e-3: it would be lost there.
    """
    tutor = schema.Tutor(schema.Model(path=str(llama), quantization=quantization),
                         schema.Adapter(rank=2))
    start = tmp_path / "start"
    run(job("sft", start, tutor, steps=1))
    (_, first), = run(job(stage, tmp_path, tutor, steps=1, optimizer="rmsprop", learning_rate=1e-6,
                          start=start / "policy"))
    if stage == "align":
        # int8 multiplies columns with outliers apart, and which they are differs between batches.
        rounding = 1e-6 if quantization == "nf4" else 0.05
        assert first["loss"] == pytest.approx(math.log(2), abs=rounding)
        assert first["rewards/margins"] == pytest.approx(0, abs=rounding)
    before, after = (load_file(place / "policy" / "adapter_model.safetensors")
                     for place in (start, tmp_path))
    moved = np.concatenate([np.abs(after[name] - before[name]).ravel() for name in before])
    assert all(value.dtype == np.float32 for value in after.values())
    assert (moved > 0).mean() > 0.9 and moved.max() < 2e-5
    base = load_base(tutor.model)
    slot = attach(base, tutor.adapter, 0)
    slot.write(slot.load(tmp_path / "policy"))
    assert complete(base, ["Why?"], schema.Sampling(max_new_tokens=4), 1, 0, "off")


def test_int8_is_silent(llama: Path, caplog: pytest.LogCaptureFixture) -> None:
    """bitsandbytes announces a cast in each layer call; nobody can act on that."""
    quiet_libraries()
    base = load_base(schema.Model(path=str(llama), quantization="int8"))
    with caplog.at_level(logging.NOTSET), torch.no_grad():
        base.model(input_ids=torch.arange(3, 9)[None])
    assert not [r for r in caplog.records if r.name.startswith("bitsandbytes")]


def test_the_compute_dtype_is_the_models(llama: Path) -> None:
    """dtype=bfloat16 multiplies in bfloat16, float32 in float32."""
    for dtype in ("float32", "bfloat16"):
        base = load_base(schema.Model(path=str(llama), quantization="nf4", dtype=dtype))
        layer = base.model.get_decoder().layers[0].mlp.up_proj
        assert isinstance(layer, Linear4bit)
        assert layer.compute_dtype == getattr(torch, dtype)


@pytest.mark.slow
def test_a_run_on_four_bits(llama: Path, tmp_path: Path, fresh_bases: object) -> None:
    """Partition, two federated rounds, labels and DPO; two different models, both in 4 bits.

    Two rounds of two clients with two steps each are four steps of a selector: its way stays as
    near that of the unquantised run as ten steps do (0.45, above).
    """
    ways = {}
    for kind in ("nf4", "none"):
        folder = tmp_path / kind
        fedrlhf.run(["experiment=smoke", "strategy=fedbis", "select.rounds=2", f"run.dir={folder}",
                     "run.stages=[partition,select,label,align]", "runtime.engine=local",
                     f"selector.model.path={llama}", f"selector.model.quantization={kind}",
                     f"tutor.model.quantization={kind}", "objective.optimizer=sgd",
                     "objective.learning_rate=0.01", "label.sampling.max_new_tokens=8",
                     "label.instructions=3", "label.completions=2", "align.max_steps=2"])
        trained = load_file(folder / "select" / "selector_0" / "adapter_model.safetensors")
        ways[kind] = np.concatenate([trained[name].ravel() for name in sorted(trained)
                                     if "lora_B" in name])  # B begins at 0
        first = {r["name"]: r["value"] for r in read_metrics(folder / "metrics.jsonl")
                 if (r["stage"], r["step"]) == ("align", 1)}
        assert first["loss"] == pytest.approx(math.log(2), abs=1e-6)
        policy = load_file(folder / "align" / "policy" / "adapter_model.safetensors")
        assert any(np.abs(value).max() > 0 for name, value in policy.items() if "lora_B" in name)
    assert 0 < distance(ways["nf4"], ways["none"]) < 0.45
