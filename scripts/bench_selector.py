"""Show what the selector's two-row head and its shared prompts save, as ratios in one run.

    python scripts/bench_selector.py
    python scripts/bench_selector.py --vocabulary 128000 --prompt 400

A randomly initialised Llama judges pairs in both orders and takes the gradient of the two-letter
loss, by three ways in turn: full logits over the vocabulary, two rows of the head, two rows with
the prompt read once for both orders. Printed are medians over the rounds, and how far the losses
lie apart.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from fedrlhf.models.load import default_device
from fedrlhf.models.runtime import prepare_process
from fedrlhf.selectors import head
from fedrlhf.selectors.encode import Judgement

LETTERS = (5, 7)


def make_model(options: argparse.Namespace) -> LlamaForCausalLM:
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=options.vocabulary, hidden_size=options.hidden, num_hidden_layers=options.layers,
        num_attention_heads=8, num_key_value_heads=8, intermediate_size=3 * options.hidden,
        max_position_embeddings=4096, tie_word_embeddings=True)).to(default_device()).eval()
    model.requires_grad_(False)
    for layer in model.model.layers:  # stands for an adapter: gradients flow to the first layer
        layer.self_attn.q_proj.weight.requires_grad_(True)
    return model


def make_judgements(options: argparse.Namespace) -> list[Judgement]:
    rng = np.random.default_rng(0)

    def text(length: int) -> tuple[int, ...]:
        return tuple(rng.integers(8, options.vocabulary, length).tolist())

    judgements = []
    for _ in range(options.pairs):
        prompt, first, second = (text(n) for n in (options.prompt, options.completion,
                                                   options.completion))
        judgements += [Judgement(prompt, first + second), Judgement(prompt, second + first)]
    return judgements


def full_logits(model: LlamaForCausalLM, judgements: list[Judgement]) -> torch.Tensor:
    ids = torch.tensor([j.prefix + j.suffix for j in judgements], device=model.device)
    logits = model(input_ids=ids).logits[:, -1]
    return logits[:, LETTERS[0]] - logits[:, LETTERS[1]]


def two_rows(model: LlamaForCausalLM, judgements: list[Judgement]) -> torch.Tensor:
    logits = head.letter_logits(model, head._whole(model, judgements), LETTERS)  # noqa: SLF001
    return logits[:, 0] - logits[:, 1]


def shared_prompt(model: LlamaForCausalLM, judgements: list[Judgement]) -> torch.Tensor:
    prefixes = list(dict.fromkeys(j.prefix for j in judgements))
    hidden = head._shared(model, judgements, prefixes)  # noqa: SLF001
    logits = head.letter_logits(model, hidden, LETTERS)
    return logits[:, 0] - logits[:, 1]


def measure(way: Callable[..., torch.Tensor], model: LlamaForCausalLM,
            judgements: list[Judgement]) -> tuple[float, float]:
    """Return seconds of one forward and backward pass, and the loss."""
    signs = torch.tensor([1.0, -1.0] * (len(judgements) // 2), device=model.device)
    started = time.perf_counter()
    loss = torch.nn.functional.softplus(-signs * way(model, judgements)).mean()
    loss.backward()
    model.zero_grad(set_to_none=True)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started, loss.item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in (("vocabulary", 32000), ("hidden", 512), ("layers", 4), ("pairs", 4),
                        ("prompt", 200), ("completion", 40), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    prepare_process(threads=1)
    model, judgements = make_model(options), make_judgements(options)
    ways = (full_logits, two_rows, shared_prompt)
    seconds: dict[str, list[float]] = {way.__name__: [] for way in ways}
    losses = {}
    for _ in range(options.rounds + 1):
        for way in ways:
            taken, losses[way.__name__] = measure(way, model, judgements)
            seconds[way.__name__].append(taken)
    base = statistics.median(seconds["full_logits"][1:])
    for name, taken in seconds.items():
        median = statistics.median(taken[1:])
        print(f"{name:<14} {1000 * median:8.0f} ms  {base / median:5.2f} times as fast  "
              f"loss differs by {abs(losses[name] - losses['full_logits']):.1e}")


if __name__ == "__main__":
    main()
