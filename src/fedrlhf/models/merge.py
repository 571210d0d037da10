"""Merge an adapter into its base model."""

from dataclasses import replace
from pathlib import Path

from peft import PeftModel

from fedrlhf.config.schema import Model
from fedrlhf.models.load import load_base
from fedrlhf.models.runtime import quiet_libraries


def write_merged(spec: Model, adapter: Path, folder: Path) -> None:
    """Write the base model with an adapter added to its weights, and the tokenizer.

    A base that was quantised for training is merged in the unquantised weights of its dtype: the
    result then differs from the quantised policy by what quantisation changed.

    Raises:
        ConfigError: The base model cannot be loaded.
    """
    quiet_libraries()
    base = load_base(replace(spec, quantization="none"))
    policy = PeftModel.from_pretrained(base.model, str(adapter))
    policy.merge_and_unload(safe_merge=True).save_pretrained(str(folder))  # type: ignore[operator]
    base.tokenizer.save_pretrained(str(folder))
