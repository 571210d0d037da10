"""How many processes train the tutor, and what that needs; light enough to ask at a run's start."""

from pathlib import Path

import torch

from fedrlhf.config import schema
from fedrlhf.config.validate import pass_size
from fedrlhf.errors import ConfigError


def training_processes(runtime: schema.Runtime) -> int:
    """Return how many processes train: as configured, or one for each visible GPU."""
    return runtime.trainer_processes or max(1, torch.cuda.device_count())


def check_processes(config: schema.Config, stage: str) -> None:
    """Refuse what the processes of `sft` or `align` could not do.

    Raises:
        ConfigError: A batch cannot be shared out evenly, or a launch setting cannot work here.
    """
    runtime = config.runtime
    pass_size(config, stage, training_processes(runtime))
    path = runtime.accelerate_config
    if path and not Path(path).expanduser().is_file():
        raise ConfigError(f"runtime.accelerate_config={path} is no file; make one with "
                          "`accelerate config`")
    if (runtime.fsdp or path) and not torch.cuda.is_available():
        raise ConfigError("runtime.fsdp and runtime.accelerate_config are for GPUs, and torch sees "
                          f"none, got fsdp={runtime.fsdp}, accelerate_config={path}")
    if runtime.fsdp and config.tutor.model.quantization != "none":
        raise ConfigError("runtime.fsdp=true shards full weights: set "
                          "tutor.model.quantization=none, got "
                          f"{config.tutor.model.quantization!r}")
