"""What the policy's completions are worth to a client, by its own rewards."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from fedrlhf.config import schema
from fedrlhf.data.source import Truth
from fedrlhf.federation.messages import EXAMPLES
from fedrlhf.models.runtime import seeded
from fedrlhf.objectives.base import Objective
from fedrlhf.objectives.policy import Policy
from fedrlhf.objectives.rollouts import Rollouts, asks_of, write_rollouts
from fedrlhf.objectives.scores import Scorer
from fedrlhf.types import Preference

PARTS = {"reward": "rewards", "shared_reward": "shared", "personal_reward": "personal"}


def measured(objective: Objective, truth: Truth | None) -> bool:
    """Say whether a policy is trained and rewards are known: by training or planted truth."""
    if objective.trains != "policy":
        return False
    return objective.needs_reward or (truth is not None and truth.any_text)


def reward_numbers(policy: Policy, adapters: Mapping[str, np.ndarray],
                   preferences: Sequence[Preference], scorer: Scorer, settings: schema.Evaluate,
                   seed: int) -> dict[str, float]:
    """Measure rewards before (the reference) and with each adapter on held-out prompts.

    Args:
        policy: The policy on its base model.
        adapters: What was trained: ``after``, the shared policy, and maybe ``personal``, the
            client's own.
        preferences: Held-out preferences, of which only the prompts are used.
        scorer: The client's rewards.
        settings: How many prompts, how many completions of each, and their length.
        seed: Of the sampling, the same for all.

    Returns:
        ``num-examples`` prompts and, where there are any, ``reward_before``, ``reward_after`` and
        the same of ``shared_reward`` and ``personal_reward`` (means over completions), ``kl`` (of
        the policy to its reference, nats) and, where it is defined, ``spearman`` (see `spearman`);
        of the client's own policy ``reward_personal`` …, ``kl_personal``, ``spearman_personal``.
    """
    length = settings.sampling.max_new_tokens
    asks = asks_of(policy, preferences, settings.max_length - length)[:settings.client_prompts]
    if not asks:
        return {EXAMPLES: 0.0}
    policy.write_reference()
    with seeded(seed):
        before = write_rollouts(policy, asks, scorer, settings.samples, length)
    found = {EXAMPLES: float(len(asks)), **_means(before, "before")}
    for name, adapter in adapters.items():
        policy.slot.write(adapter)
        with seeded(seed):
            written = write_rollouts(policy, asks, scorer, settings.samples, length)
        mark = "" if name == "after" else f"_{name}"
        found |= _means(written, name) | {f"kl{mark}": float(written.kl.mean())}
        ranked = spearman(policy.log_ratios(before.written).cpu().numpy(), before)
        if ranked is not None:
            found[f"spearman{mark}"] = ranked
    return found


def _means(rollouts: Rollouts, when: str) -> dict[str, float]:
    return {f"{name}_{when}": float(getattr(rollouts, attribute).mean())
            for name, attribute in PARTS.items()}


def fault(found: Mapping[str, object], prompts: int) -> str | None:
    """Say what is wrong with numbers that a client sent, or None.

    Args:
        found: What the client answered; it may be anything.
        prompts: At most how many prompts it can have used.
    """
    examples = found.get(EXAMPLES)
    if not isinstance(examples, int | float) or not 0 <= examples <= prompts:
        return f"it counts {examples!r} prompts of at most {prompts}"
    needed = ["kl", *(f"{name}_{when}" for name in PARTS for when in ("before", "after"))]
    wrong = [name for name in (needed if examples else []) if name not in found]
    wrong += [name for name, value in found.items()
              if not isinstance(value, int | float) or not math.isfinite(value)]
    return f"{', '.join(wrong)} absent or no finite number" if wrong else None


def spearman(implicit: np.ndarray, rollouts: Rollouts) -> float | None:
    """Return how well the policy's implicit rewards rank completions as the person does.

    Spearman's correlation, over the reference's completions, of log pi - log pi_ref with the
    personal reward. Of both the mean over the completions of the same prompt is taken off first,
    because a log-ratio is known up to a term of the prompt alone. None where either is constant.
    """
    count = rollouts.group
    left, right = (values.reshape(-1, count) - values.reshape(-1, count).mean(1, keepdims=True)
                   for values in (implicit, rollouts.personal.cpu().numpy()))
    if np.ptp(left) == 0 or np.ptp(right) == 0:
        return None
    return float(stats.spearmanr(left.ravel(), right.ravel()).statistic)
