"""The policy that a run starts from: the tutor after `sft` where that was made, else its base."""

from pathlib import Path

import numpy as np

from fedrlhf.models.adapters import attach, detach
from fedrlhf.models.load import Base, shared_base
from fedrlhf.stages.context import Context

FOLDER = "sft/policy"


def start_folder(context: Context) -> Path | None:
    """Return the start policy's adapter as a folder; None where it is the base model itself."""
    folder = context.run.path / FOLDER
    return folder if folder.is_dir() else None


def start_policy(context: Context) -> np.ndarray | None:
    """Return the start policy's adapter as a vector of the slot of `tutor.adapter`, or None."""
    folder = start_folder(context)
    if folder is None:
        return None
    config = context.config
    slot = attach(shared_base(config.tutor.model), config.tutor.adapter, config.run.seed)
    return slot.load(folder)


def write_start_policy(context: Context, base: Base) -> None:
    """Make the start policy act on the tutor's base model."""
    vector = start_policy(context)
    if vector is None:
        detach(base)
    else:
        attach(base, context.config.tutor.adapter, context.config.run.seed).write(vector)
