"""Seeds and precision of a process."""

import random

import numpy as np
import pytest
import torch

from fedrlhf.models.runtime import has_bfloat16, precision, prepare_process, seeded


def draws() -> tuple[float, float, float]:
    """Take a number from each global generator."""
    return torch.rand(1).item(), float(np.random.random()), random.random()


@pytest.mark.parametrize("seed", [0, 1, 2**32 + 5, 2**63 - 1])
def test_seeded_repeats_inside_and_restores_outside(seed: int) -> None:
    """Two blocks of one seed draw alike; what is drawn after them is as if they had not been."""
    torch.manual_seed(1)
    np.random.seed(1)
    random.seed(1)
    expected = [draws(), draws()]
    torch.manual_seed(1)
    np.random.seed(1)
    random.seed(1)
    found = [draws()]
    with seeded(seed):
        one = draws()
    with seeded(seed):
        assert draws() == one
    with seeded(seed ^ 1):
        assert draws() != one
    assert [*found, draws()] == expected


def test_seeded_restores_after_an_error() -> None:
    """A client that fails in the middle leaves no seed of its own behind."""
    torch.manual_seed(2)
    expected = torch.rand(1)
    torch.manual_seed(2)
    with pytest.raises(RuntimeError), seeded(0):
        torch.rand(1)
        raise RuntimeError
    assert torch.equal(torch.rand(1), expected)


def test_precision() -> None:
    """`bfloat16` multiplies in bfloat16, `off` does not, `auto` does where the processor can."""
    cpu = torch.device("cpu")
    one = torch.ones(2, 2)
    for setting, dtype in (("bfloat16", torch.bfloat16), ("off", torch.float32),
                           ("auto", torch.bfloat16 if has_bfloat16(cpu) else torch.float32)):
        with precision(setting, cpu):
            assert (one @ one).dtype == dtype
    assert (one @ one).dtype == torch.float32


def test_prepare_process_sets_threads() -> None:
    """None leaves the number alone."""
    before = torch.get_num_threads()
    prepare_process(threads=1)
    assert torch.get_num_threads() == 1
    prepare_process()
    assert torch.get_num_threads() == 1
    torch.set_num_threads(before)
