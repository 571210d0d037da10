"""Settings of the objectives that could not work: each is refused by key and value."""

import pytest

from fedrlhf.config import build, load
from fedrlhf.errors import ConfigError

REFUSED = [
    ("dpo objective.optimizer_state=drop", "optimizer_state", "'drop'"),
    ("rloo objective.completions=1", "completions", "1"),
    ("rloo objective.clip=0", "clip", "0"),
    ("rloo objective.beta=-0.1", "beta", "-0.1"),
    ("rloo objective.beta=nan", "beta", "nan"),
    ("rloo objective.iterations=0", "iterations", "0"),
    ("rloo objective.max_length=96", "max_length", "96"),
    ("rloo objective.kl_target=0", "kl_target", "0"),
    ("rloo objective.kl_target=5 objective.beta=0", "beta", "0"),
    ("grpo objective.completions=1", "completions", "1"),
    ("grpo objective.clip=nan", "clip", "nan"),
    ("grpo objective.scale=person", "scale", "'person'"),
    ("grpo objective.loss=bnpo", "loss", "'bnpo'"),
    ("ppo objective.value_clip=0", "value_clip", "0"),
    ("ppo objective.value_rate=0", "value_rate", "0"),
    ("ppo objective.gamma=1.1", "gamma", "1.1"),
    ("ppo objective.gae_lambda=-1", "gae_lambda", "-1"),
    ("remax objective.gamma=0", "gamma", "0"),
    ("remax objective.iterations=2", "iterations", "2"),
    ("online_dpo objective.completions=1", "completions", "1"),
    ("online_dpo objective.beta=0", "beta", "0"),
    ("a_lol objective.variant=word", "variant", "'word'"),
    ("a_lol objective.clip=1.5", "clip", "1.5"),
]


@pytest.mark.parametrize(("override", "key", "value"), REFUSED, ids=[row[0] for row in REFUSED])
def test_refused_values(override: str, key: str, value: str) -> None:
    """The message names the key and the value."""
    with pytest.raises(ConfigError) as refusal:
        build(load(f"objective={override}").objective, "objective")
    assert f"objective.{key}" in str(refusal.value) and value in str(refusal.value)
