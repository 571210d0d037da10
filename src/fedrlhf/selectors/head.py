"""The two numbers that a selector reads.

Shapes: S sequences, P distinct prefixes, T tokens, D hidden size.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from fedrlhf.models.likelihood import rescaled
from fedrlhf.selectors.encode import Judgement

_WORTHWHILE = 0.15  # share of tokens that sharing must save to pay for its second forward pass


def letter_log_odds(model: PreTrainedModel, judgements: Sequence[Judgement],
                    letters: tuple[int, int]) -> Tensor:
    """Return logit(first letter) - logit(second letter) for each judgement, shape (S,), float32.

    Only the last position's hidden state meets only the two label rows of the output head, so the
    [S, T, vocabulary] logits are never built: same numbers, a fraction of time and memory. The
    log-odds are those of P(the completion shown first is better).
    """
    logits_S2 = letter_logits(model, last_hidden(model, judgements), letters)
    return logits_S2[:, 0] - logits_S2[:, 1]


def letter_logits(model: PreTrainedModel, hidden_SD: Tensor, letters: tuple[int, int]) -> Tensor:
    """Return the two label logits, shape (S, 2), as the model's full head would compute them."""
    head = model.get_output_embeddings()
    rows = torch.tensor(letters, device=head.weight.device)
    with torch.autocast(hidden_SD.device.type, enabled=False):
        logits = hidden_SD.float() @ head.weight[rows].float().T
        if getattr(head, "bias", None) is not None:
            logits = logits + head.bias[rows].float()
    return rescaled(model, logits)


def last_hidden(model: PreTrainedModel, judgements: Sequence[Judgement]) -> Tensor:
    """Return the hidden state at each judgement's last token, shape (S, D).

    Prefixes that several judgements share are read once: their keys and values are repeated for
    the suffixes, and gradients flow back through them. Layers that forget their activations keep no
    keys and values either, so they read whole sequences.
    """
    if model.is_activation_checkpointing and torch.is_grad_enabled():
        return _whole(model, judgements)
    prefixes = list(dict.fromkeys(judgement.prefix for judgement in judgements))
    total = sum(judgement.tokens for judgement in judgements)
    saved = sum(len(j.prefix) for j in judgements) - sum(map(len, prefixes))
    # Prefixes and suffixes are padded apart, so the longest of each count together.
    longest = max(len(j.prefix) for j in judgements) + max(len(j.suffix) for j in judgements)
    if saved < _WORTHWHILE * total or longest > _window(model):
        return _whole(model, judgements)
    return _shared(model, judgements, prefixes)


def _window(model: PreTrainedModel) -> float:
    """Return how far the model looks back; a sliding cache would lose tokens of a prefix.

    0 where a layer is not attention over all keys: its state would take in a prefix's padding.
    """
    config = model.config.get_text_config()
    # Without layer types (Mistral, Phi-3), a window holds for every layer.
    kinds = set(getattr(config, "layer_types", None) or ("sliding_attention",))
    if kinds - {"full_attention", "sliding_attention"}:
        return 0
    window = getattr(config, "sliding_window", None) if "sliding_attention" in kinds else None
    return window or float("inf")


def _whole(model: PreTrainedModel, judgements: Sequence[Judgement]) -> Tensor:
    # Padding stands on the right and attention is causal: no mask is needed.
    ids, lengths = _padded([j.prefix + j.suffix for j in judgements], model.device)
    hidden = model.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state
    return _at_last(hidden, lengths)


def _shared(model: PreTrainedModel, judgements: Sequence[Judgement],
            prefixes: list[tuple[int, ...]]) -> Tensor:
    device = model.device
    position_of = {prefix: index for index, prefix in enumerate(prefixes)}
    owner_S = torch.tensor([position_of[j.prefix] for j in judgements], device=device)
    prefix_PT, prefix_lengths_P = _padded(prefixes, device)
    cache = DynamicCache(config=model.config)
    decoder = model.get_decoder()
    decoder(input_ids=prefix_PT, past_key_values=cache, use_cache=True)
    cache.batch_select_indices(owner_S)
    suffix_ST, suffix_lengths_S = _padded([j.suffix for j in judgements], device)
    starts_S = prefix_lengths_P[owner_S]
    steps_T = torch.arange(suffix_ST.shape[1], device=device)
    seen_prefix = torch.arange(prefix_PT.shape[1], device=device) < starts_S[:, None]
    seen_suffix = steps_T < suffix_lengths_S[:, None]
    hidden = decoder(
        input_ids=suffix_ST, past_key_values=cache, use_cache=True,
        attention_mask=torch.cat([seen_prefix, seen_suffix], 1).long(),
        position_ids=starts_S[:, None] + steps_T).last_hidden_state
    return _at_last(hidden, suffix_lengths_S)


def _padded(rows: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    lengths = torch.tensor([len(row) for row in rows])
    ids = torch.zeros(len(rows), int(lengths.max()), dtype=torch.long)
    for index, row in enumerate(rows):
        ids[index, :len(row)] = torch.tensor(row)
    return ids.to(device), lengths.to(device)


def _at_last(hidden_STD: Tensor, lengths_S: Tensor) -> Tensor:
    return hidden_STD[torch.arange(len(lengths_S), device=hidden_STD.device), lengths_S - 1]
