"""How a process computes: threads, precision and memory, set in one place."""

import ctypes
import logging
import os
import random
import sys
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import numpy as np
import psutil
import torch
import transformers

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # mallopt parameters of glibc


def prepare_process(threads: int | None = None) -> None:
    """Set the number of torch threads and keep glibc from returning large blocks.

    Activations are freed and allocated at every step; without this each of them is unmapped and
    faulted in again, which costs more than the arithmetic of a small model.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    if sys.platform == "linux" and not torch.cuda.is_available():
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(_M_MMAP_MAX, 0)
            libc.mallopt(_M_TRIM_THRESHOLD, -1)


def all_cores() -> int:
    """Return how many cores this process may use."""
    return len(psutil.Process().cpu_affinity()) if sys.platform == "linux" else os.cpu_count() or 1


def quiet_libraries() -> None:
    """Keep libraries from printing progress bars and advice into the console."""
    for name, value in (("TOKENIZERS_PARALLELISM", "false"), ("HF_HUB_DISABLE_TELEMETRY", "1"),
                        ("TQDM_DISABLE", "1"), ("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")):
        os.environ.setdefault(name, value)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers|peft|trl")


def precision(setting: str, device: torch.device) -> AbstractContextManager[object]:
    """Return the autocast context for a setting: auto, off or bfloat16."""
    wanted = setting == "bfloat16" or (setting == "auto" and has_bfloat16(device))
    return torch.autocast(device.type, torch.bfloat16) if wanted else nullcontext()


def has_bfloat16(device: torch.device) -> bool:
    """Say whether the device multiplies in bfloat16 natively."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed every global generator inside the block and put the old states back after it.

    Of several GPUs only the present one's state is kept: asking the others would occupy them.
    """
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()
    cuda = torch.cuda.get_rng_state() if torch.cuda.is_available() else None
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])
        random.setstate(states[2])
        if cuda is not None:
            torch.cuda.set_rng_state(cuda)
