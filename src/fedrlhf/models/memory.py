"""Estimates of memory and arithmetic from a model's sizes; formulas, not measurements.

Activations: what a decoder layer keeps for its backward pass where the weights are frozen and
attention is fused (no [T, T] matrix). Each value below is kept once for each token.

==========================  =====================================================
2 x hidden                  inputs of both norms (the residual stream)
2 x hidden                  normalised inputs of attention and of the feed-forward part
hidden + 2 x keys           queries, keys, values
hidden                      output of attention
4 x inner                   gate, up, activated gate, their product
==========================  =====================================================

With gradient checkpointing only the layer's input is kept, and one layer is computed again.
"""

from fedrlhf.models.skeleton import Skeleton

_OPTIMIZER_STATES = {"adamw": 2, "rmsprop": 1, "sgd": 0}  # float32 values for each trained value


def training_bytes(model: Skeleton, tokens: int, optimizer: str, checkpointing: bool) -> float:
    """Estimate the peak of a training step over so many padded tokens in one forward pass."""
    states = 2 + _OPTIMIZER_STATES[optimizer]  # the adapter, its gradient, the optimiser's state
    return model.weights + 4 * states * model.adapter + activation_bytes(
        model, tokens, checkpointing)


def activation_bytes(model: Skeleton, tokens: int, checkpointing: bool) -> float:
    """Estimate what the backward pass needs of so many tokens."""
    layer = model.width * (6 * model.hidden + 2 * model.keys + 4 * model.inner)
    kept = model.layers * (model.width * model.hidden if checkpointing else layer)
    return float(tokens * (kept + (layer if checkpointing else 0)))


def generation_bytes(model: Skeleton, sequences: int, tokens: int) -> float:
    """Estimate the peak of writing: keys and values of all tokens, logits of the last one."""
    cache = 2 * model.layers * model.keys * model.width * sequences * tokens
    return model.weights + 4 * model.adapter + cache + 4.0 * sequences * model.vocabulary


def training_flops(model: Skeleton, tokens: float, checkpointing: bool) -> float:
    """Estimate the arithmetic of training an adapter: forward 2, backward 2 a weight and token.

    The weights' own gradients (2 more) are not computed; checkpointing repeats the forward pass.
    """
    return (6.0 if checkpointing else 4.0) * model.parameters * tokens


def reading_flops(model: Skeleton, tokens: float) -> float:
    """Estimate the arithmetic of one forward pass: 2 a weight and token."""
    return 2.0 * model.parameters * tokens
