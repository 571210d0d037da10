"""Log-probabilities of completions under a causal LM.

Shapes: S sequences, N completion tokens (M in all sequences), T tokens,
D hidden size, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from fedrlhf.models.chat import model_prompt
from fedrlhf.models.generate import policy_prompt
from fedrlhf.models.load import Base
from fedrlhf.types import Prompt, Turn

_ROWS = 512  # completion tokens whose [N, V] logits exist at the same time


@dataclass(frozen=True)
class Written:
    """A prompt and a completion as the policy reads and writes them, in tokens."""

    prompt: tuple[int, ...]
    completion: tuple[int, ...]
    cut: int = 0

    @property
    def tokens(self) -> int:
        """Length of the whole sequence."""
        return len(self.prompt) + len(self.completion)


def encode_written(base: Base, prompt: Prompt, completion: str, max_tokens: int) -> Written | None:
    """Encode a prompt and a completion that ends as the model would end it.

    A sequence that is too long loses the beginning of its prompt, but not the mark of a text's
    beginning, without which some models (Gemma) write nonsense. None where the completion and one
    token of the prompt do not fit.
    """
    answer = base.tokenizer(_ending(base, prompt, policy_prompt(base, prompt), completion),
                            add_special_tokens=False).input_ids
    asked = encode_prompt(base, prompt, max_tokens - len(answer))
    return None if asked is None else Written(asked[0], tuple(answer), asked[1])


def encode_prompt(base: Base, prompt: Prompt,
                  max_tokens: int) -> tuple[tuple[int, ...], int] | None:
    """Encode a prompt after which the policy writes.

    Returns:
        The tokens, at most `max_tokens` of them, and how many were cut from the beginning (not the
        mark of a text's beginning); None where no token of the text itself would be left.
    """
    tokenizer = base.tokenizer
    special = tokenizer.chat_template is None
    asked = tokenizer(policy_prompt(base, prompt), add_special_tokens=special).input_ids
    if special and asked and asked[-1] == tokenizer.eos_token_id:
        asked = asked[:-1]
    start = asked[:1] if asked and asked[0] == tokenizer.bos_token_id else []
    text = asked[len(start):]
    excess = max(0, len(asked) - max_tokens)
    if not asked or (excess and excess >= len(text)):
        return None
    return (*start, *text[excess:]), excess


def _ending(base: Base, prompt: Prompt, before: str, completion: str) -> str:
    """Return the completion's text and what closes it: the template's marks or end of text."""
    tokenizer = base.tokenizer
    formed = model_prompt(tokenizer, prompt)
    if not isinstance(formed, str):
        turns = [*formed, Turn(role="assistant", content=completion)]
        whole = str(tokenizer.apply_chat_template(turns, tokenize=False))  # type: ignore[arg-type]
        if whole.startswith(before):
            return whole[len(before):]
    return completion + str(tokenizer.eos_token)


def completion_log_probs(model: PreTrainedModel, written: Sequence[Written]) -> Tensor:
    """Return log p(completion | prompt) of each sequence in nats, shape (S,), float32."""
    return token_log_probs(model, written).sum(1)


def completion_mask(written: Sequence[Written], device: torch.device) -> Tensor:
    """Return which places of `token_log_probs` are tokens, ``Bool[S, N]``."""
    lengths = torch.tensor([len(one.completion) for one in written], device=device)
    return torch.arange(int(lengths.max()), device=device)[None] < lengths[:, None]


def token_log_probs(model: PreTrainedModel, written: Sequence[Written]) -> Tensor:
    """Return log p of each completion's tokens in nats, ``Float32[S, N]``, 0 after its end.

    Only hidden states that predict a completion's token meet the output head, some hundred rows
    at a time and again in the backward pass: the [S, T, V] logits are never built.
    """
    states_MD, tokens_M = completion_states(model, written)
    return spread(log_probs_of(model, states_MD, tokens_M), completion_mask(written, model.device))


def completion_states(model: PreTrainedModel,
                      written: Sequence[Written]) -> tuple[Tensor, Tensor]:
    """Return the last hidden states that predict the completions' tokens, and these tokens.

    Returns:
        ``Float[M, D]`` and ``Int[M]``, in the order of the true places of `completion_mask`.
    """
    device = model.device
    lengths = [one.tokens for one in written]
    ids_ST = torch.zeros(len(written), max(lengths), dtype=torch.long)
    for row, one in enumerate(written):
        ids_ST[row, :one.tokens] = torch.tensor(one.prompt + one.completion)
    # Padding stands on the right and attention is causal: no mask is needed.
    hidden_STD = model.get_decoder()(input_ids=ids_ST.to(device), use_cache=False).last_hidden_state
    rows, columns = completion_mask(written, device).nonzero(as_tuple=True)
    starts = torch.tensor([len(one.prompt) for one in written], device=device)
    places = starts[rows] + columns
    return hidden_STD[rows, places - 1], ids_ST.to(device)[rows, places]


def spread(values_M: Tensor, mask_SN: Tensor) -> Tensor:
    """Put a value for each token at its place, ``Float32[S, N]``, 0 after a completion's end."""
    return torch.zeros(mask_SN.shape, device=mask_SN.device).index_put(
        mask_SN.nonzero(as_tuple=True), values_M)


def log_probs_of(model: PreTrainedModel, states_MD: Tensor, tokens_M: Tensor) -> Tensor:
    """Return log p of each token in nats, ``Float32[M]``, from the states that predict them."""
    head = model.get_output_embeddings()

    def of_rows(hidden: Tensor, targets: Tensor) -> Tensor:
        logits = rescaled(model, head(hidden).float())
        return logits.gather(1, targets[:, None])[:, 0] - logits.logsumexp(1)

    pieces = [checkpoint(of_rows, hidden, targets, use_reentrant=False)
              if torch.is_grad_enabled() else of_rows(hidden, targets)
              for hidden, targets in zip(states_MD.split(_ROWS), tokens_M.split(_ROWS),
                                         strict=True)]
    return torch.cat(pieces)


def rescaled(model: PreTrainedModel, logits: Tensor) -> Tensor:
    """Apply what some families do to their logits (Cohere, Granite, Gemma)."""
    config = model.config.get_text_config()
    if (scale := getattr(config, "logit_scale", None)) is not None:
        logits = logits * scale
    if (divisor := getattr(config, "logits_scaling", None)) is not None:
        logits = logits / divisor
    if (cap := getattr(config, "final_logit_softcapping", None)) is not None:
        logits = torch.tanh(logits / cap) * cap
    return logits
