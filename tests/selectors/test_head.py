"""Two rows of the head at the last position against full logits: values and gradients.

Tiny random models of families that differ in what matters here: grouped keys (Llama), normalised
queries (Qwen3), biased ones (Qwen2), scaled embeddings (Gemma), a sliding window with and without
layer types, soft-capped logits and two rotations (Gemma 2 and 3, Mistral), scaled logits (Cohere,
Granite), a head with a bias (Phi), layers without keys (LFM2).
"""

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    CohereConfig,
    Gemma2Config,
    Gemma3TextConfig,
    GemmaConfig,
    GraniteConfig,
    Lfm2Config,
    LlamaConfig,
    MistralConfig,
    PhiConfig,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
)

from fedrlhf.models.runtime import quiet_libraries, seeded
from fedrlhf.selectors.encode import Judgement
from fedrlhf.selectors.head import _shared, _whole, last_hidden, letter_log_odds, letter_logits

LETTERS = (5, 9)
WINDOW = 16
SMALL = {"vocab_size": 61, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
         "num_attention_heads": 4, "max_position_embeddings": 128, "pad_token_id": 0,
         "bos_token_id": 1, "eos_token_id": 2, "initializer_range": 0.2}
GROUPED = {**SMALL, "num_key_value_heads": 2, "head_dim": 8}
FAMILIES: dict[str, PreTrainedConfig] = {
    "llama": LlamaConfig(**GROUPED),
    "qwen2": Qwen2Config(**{key: value for key, value in GROUPED.items() if key != "head_dim"}),
    "qwen3": Qwen3Config(**GROUPED),
    "gemma": GemmaConfig(**GROUPED),
    "gemma2": Gemma2Config(**GROUPED, sliding_window=WINDOW, query_pre_attn_scalar=8,
                           final_logit_softcapping=3.0, attn_logit_softcapping=5.0,
                           attn_implementation="eager"),
    "gemma3": Gemma3TextConfig(**GROUPED, sliding_window=WINDOW, query_pre_attn_scalar=8,
                               layer_types=["sliding_attention", "full_attention"]),
    "mistral": MistralConfig(**GROUPED, sliding_window=WINDOW),
    "cohere": CohereConfig(**GROUPED, logit_scale=0.5),
    "granite": GraniteConfig(**GROUPED, logits_scaling=4.0),
    "phi": PhiConfig(**SMALL),
    "lfm2": Lfm2Config(**{**GROUPED, "num_hidden_layers": 3, "block_auto_adjust_ff_dim": False},
                       layer_types=["conv", "full_attention", "conv"]),
}
LOOK_BACK = ("gemma2", "gemma3", "mistral")
SHARED = tuple(name for name in FAMILIES if name != "lfm2")


def make(family: str) -> PreTrainedModel:
    """Return a random model in double precision whose biases are random too."""
    quiet_libraries()
    with seeded(0):
        model = AutoModelForCausalLM.from_config(FAMILIES[family]).double().eval()
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                torch.nn.init.normal_(parameter)
    return model


def judgements(*lengths: tuple[int, int]) -> list[Judgement]:
    """Make sequences of (prefix, suffix) lengths; equal prefix lengths share their prefix."""
    generator = torch.Generator().manual_seed(1)

    def tokens(count: int) -> tuple[int, ...]:
        return tuple(torch.randint(3, 61, (count,), generator=generator).tolist())

    prefixes = {length: tokens(length) for length, _ in lengths}
    return [Judgement(prefixes[length], tokens(suffix)) for length, suffix in lengths]


# Two prefixes with two and three suffixes of different lengths; at most 12 tokens: in any window.
SHORT = judgements((6, 5), (6, 3), (3, 4), (3, 6), (3, 2))
# At most 16 tokens each, but the longest prefix and the longest suffix together are 24.
CROSSED = judgements((12, 4), (4, 12), (12, 3), (4, 11))
# Beyond a window of 16.
LONG = judgements((30, 10), (20, 8), (30, 7), (20, 12))


def full_logits(model: PreTrainedModel, batch: list[Judgement]) -> torch.Tensor:
    """Read each sequence on its own, with the model's whole head; shape (S, 2)."""
    return torch.stack([model(input_ids=torch.tensor([j.prefix + j.suffix]), use_cache=False)
                        .logits[0, -1, list(LETTERS)] for j in batch])


def loss_and_gradients(model: PreTrainedModel, logits: torch.Tensor,
                       ) -> tuple[float, dict[str, torch.Tensor]]:
    """Return a cross-entropy over the two letters and its gradient in every weight."""
    model.zero_grad(set_to_none=True)
    labels = torch.arange(len(logits)) % 2
    loss = torch.nn.functional.cross_entropy(logits.double(), labels)
    loss.backward()
    return loss.item(), {name: p.grad.clone() for name, p in model.named_parameters()
                         if p.grad is not None}


def check(model: PreTrainedModel, hidden: torch.Tensor, batch: list[Judgement]) -> None:
    """Compare two rows of the head with the full head: loss and every weight's gradient."""
    found, gradients = loss_and_gradients(model, letter_logits(model, hidden, LETTERS))
    expected, reference = loss_and_gradients(model, full_logits(model, batch))
    assert found == pytest.approx(expected, abs=1e-6)
    assert set(gradients) == set(reference)
    for name, gradient in reference.items():
        # The two label rows are multiplied in float32 on purpose: 1e-5 of the largest entry.
        torch.testing.assert_close(gradients[name], gradient, rtol=1e-4,
                                   atol=1e-5 * max(1.0, gradient.abs().max().item()))


@pytest.mark.parametrize("batch", [SHORT, CROSSED, LONG], ids=["short", "crossed", "long"])
@pytest.mark.parametrize("family", FAMILIES)
def test_whole_sequences(family: str, batch: list[Judgement]) -> None:
    """Right padding without a mask, also beyond a sliding window."""
    model = make(family)
    check(model, _whole(model, batch), batch)


@pytest.mark.parametrize("family", SHARED)
def test_shared_prefixes(family: str) -> None:
    """A prefix is read once; gradients flow back through its keys and values."""
    model = make(family)
    check(model, _shared(model, SHORT, list(dict.fromkeys(j.prefix for j in SHORT))), SHORT)


@pytest.mark.parametrize("batch", [SHORT, CROSSED, LONG], ids=["short", "crossed", "long"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_path_that_is_chosen_is_right(family: str, batch: list[Judgement]) -> None:
    """Whatever path the model and the lengths lead to, the numbers are those of full logits."""
    model = make(family)
    check(model, last_hidden(model, batch), batch)


@pytest.mark.parametrize("family", LOOK_BACK)
def test_sharing_beyond_the_window_would_be_wrong(family: str) -> None:
    """The reason for the window's check: a sliding cache loses a prefix's first tokens."""
    model = make(family)
    wrong = letter_logits(model, _shared(model, LONG, list(dict.fromkeys(j.prefix for j in LONG))),
                          LETTERS)
    assert (wrong - full_logits(model, LONG)).abs().max() > 1e-3


def test_log_odds_are_the_difference_of_the_logits() -> None:
    """log P(first) - log P(second) under the softmax over all tokens is the logits' difference."""
    model = make("llama")
    reference = full_logits(model, SHORT)
    found = letter_log_odds(model, SHORT, LETTERS)
    assert found.dtype == torch.float32 and found.shape == (len(SHORT),)
    torch.testing.assert_close(found.double(), reference[:, 0] - reference[:, 1],
                               rtol=1e-5, atol=1e-5)
    swapped = letter_log_odds(model, SHORT, LETTERS[::-1])
    torch.testing.assert_close(swapped, -found, rtol=0, atol=0)


def test_the_rows_order_decides_nothing() -> None:
    """Reversing a batch reverses its results, whichever prefixes are shared."""
    model = make("llama")
    found = letter_log_odds(model, SHORT, LETTERS)
    torch.testing.assert_close(letter_log_odds(model, SHORT[::-1], LETTERS).flip(0), found,
                               rtol=1e-6, atol=1e-6)
