"""The models that are used by name: each architecture through all that a run does with it.

Tiny random models in their own classes, saved and loaded like a folder from the hub, with the
embedded tokenizer. The head's forward pass has more families and lengths in
tests/selectors/test_head.py.
"""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from jobs import job, run
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3Config,
    Gemma3TextConfig,
    GemmaConfig,
    LlamaConfig,
    PreTrainedConfig,
    Qwen2Config,
    Qwen3Config,
)

from fedrlhf.config import load, schema
from fedrlhf.errors import ConfigError
from fedrlhf.models.adapters import attach
from fedrlhf.models.generate import complete
from fedrlhf.models.load import load_base, load_tokenizer, release_bases, shared_base
from fedrlhf.models.runtime import seeded
from fedrlhf.objectives.base import LocalTask
from fedrlhf.objectives.choice import Choice
from fedrlhf.selectors.selector import open_selector
from fedrlhf.types import CompletionPair, PreferencePair

SMALL = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256,
         "initializer_range": 0.2}
HEADS = {**SMALL, "head_dim": 8}
FAMILIES: dict[str, tuple[type[PreTrainedConfig], dict]] = {
    "llama": (LlamaConfig, SMALL),  # Llama 2 to 3.2; SmolLM2 is this with tied embeddings
    "smollm2": (LlamaConfig, {**SMALL, "tie_word_embeddings": True}),
    "qwen2": (Qwen2Config, SMALL),  # Qwen2 and Qwen2.5
    "qwen3": (Qwen3Config, HEADS),
    "gemma": (GemmaConfig, HEADS),
    "gemma2": (Gemma2Config, {**HEADS, "sliding_window": 16, "query_pre_attn_scalar": 8,
                              "attn_logit_softcapping": 5.0, "final_logit_softcapping": 3.0}),
    "gemma3": (Gemma3TextConfig, {**HEADS, "sliding_window": 16, "query_pre_attn_scalar": 8,
                                  "layer_types": ["sliding_attention", "full_attention"]}),
}
CLIENT = [PreferencePair("What is recall?", f"A share, {i}.", "I do not know that.", "c", "s")
          for i in range(4)]


@pytest.fixture(params=FAMILIES, scope="module")
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a random model of a family."""
    place = tmp_path_factory.mktemp(request.param)
    tokenizer = load_tokenizer(schema.Model())
    kind, settings = FAMILIES[request.param]
    with seeded(0):
        model = AutoModelForCausalLM.from_config(kind(
            vocab_size=len(tokenizer), bos_token_id=None, eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id, **settings))
    model.save_pretrained(place)
    tokenizer.save_pretrained(place)
    return place


def configured(folder: Path, *overrides: str) -> schema.Config:
    return load([f"selector.model.path={folder}", "selector.adapter.targets=all-linear",
                 *overrides])


def choice(**settings: object) -> Choice:
    return Choice(**{"optimizer": "sgd", "learning_rate": 0.1, "betas": [0.9, 0.95],
                     "weight_decay": 0.0, "max_grad_norm": 1e9, "local_steps": 1,
                     "local_epochs": 1, "batch_size": 4, **settings})


def test_both_orders_are_those_of_full_logits(folder: Path, fresh_bases: object) -> None:
    """log p(A) - log p(B) of the whole model, for a pair and for the pair turned round."""
    selector = open_selector(configured(folder))
    selector.slot.write(selector.slot.initial(1) + 0.01)
    pairs = [CompletionPair("What is recall?", "A share.", "I do not know what that is."),
             CompletionPair("Why?", "It helps, and it is a longer answer.", "No.")]
    found = selector.judge(pairs)
    for row, pair in enumerate(pairs):
        for order, judgement in enumerate(selector.encode(pair)):
            ids = torch.tensor([judgement.prefix + judgement.suffix])
            with torch.no_grad():
                logits = selector.base.model(input_ids=ids).logits[0, -1]
            expected = (logits[selector.letters[0]] - logits[selector.letters[1]]).item()
            assert found[row, order] == pytest.approx((1, -1)[order] * expected, abs=2e-5)


def test_a_step_with_and_without_checkpointing(folder: Path, fresh_bases: object) -> None:
    """One SGD step moves the adapter by -lr x gradient: the same whether activations are kept.

    Without checkpointing both orders share their prefix, with it whole sequences are read.
    """
    ends = []
    for on in (False, True):
        config = configured(folder, f"selector.model.gradient_checkpointing={on}")
        release_bases()
        slot = open_selector(config).slot
        begin = slot.initial(1)
        ends.append(choice().train(config, CLIENT, LocalTask(begin, seed=0)).adapter - begin)
    assert np.abs(ends[0]).max() > 0
    assert np.abs(ends[1] - ends[0]).max() < 1e-4 * np.abs(ends[0]).max()


def test_generation_and_dpo(folder: Path, tmp_path: Path) -> None:
    """It writes, the adapter that it gets by DPO changes what it writes, and DPO starts at ln 2."""
    tutor = schema.Tutor(schema.Model(path=str(folder)), schema.Adapter(rank=2))
    (_, first), = run(job("align", tmp_path, tutor, steps=1, learning_rate=0.1))
    assert first["loss"] == pytest.approx(math.log(2), abs=1e-6)
    base = load_base(tutor.model)
    sampling = schema.Sampling(max_new_tokens=8)
    plain = complete(base, ["Why?", "What is recall?"], sampling, 2, 0, "off")
    slot = attach(base, tutor.adapter, 0)
    slot.write(slot.load(tmp_path / "policy"))
    assert complete(base, ["Why?", "What is recall?"], sampling, 2, 0, "off") != plain


def test_checkpointing_keeps_nothing_of_a_layer(tiny_llama: Path, fresh_bases: object) -> None:
    """In a training step the layers run twice, in a judgement once; dropout modules stay off."""
    base = shared_base(schema.Model(path=str(tiny_llama), gradient_checkpointing=True))
    slot = attach(base, schema.Adapter(rank=2), 0)
    calls = []
    base.model.get_decoder().layers[0].mlp.register_forward_pre_hook(lambda *_: calls.append(1))
    ids = torch.arange(3, 9)[None]
    with slot.training():
        assert not base.model.training
        base.model.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state.sum().backward()
    assert len(calls) == 2
    base.model.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state.sum().backward()
    assert len(calls) == 3


def test_a_model_of_images_is_refused(tmp_path: Path) -> None:
    """Gemma 3 from 4B on has a vision tower: adapters would land in it."""
    Gemma3Config().save_pretrained(tmp_path)
    load_tokenizer(schema.Model()).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="reads images"):
        load_base(schema.Model(path=str(tmp_path)))
