"""How prompts are dealt to train, validation and test."""

import numpy as np
import pytest

from fedrlhf.config.schema import Partition
from fedrlhf.data.splits import deal, quotas
from fedrlhf.types import SPLITS


@pytest.mark.parametrize(("number", "validation", "test", "expected"), [
    (1, 0.15, 0.2, (1, 0, 0)),  # one prompt trains
    (2, 0.15, 0.2, (1, 0, 1)),  # of two one is held out, for the test
    (2, 0.15, 0.0, (1, 1, 0)),
    (3, 0.15, 0.2, (1, 1, 1)),  # 0.45 and 0.6 become at least 1
    (3, 0.05, 0.9, (1, 1, 1)),  # 2.7 gives way to training
    (20, 0.15, 0.2, (13, 3, 4)),
    (100, 0.0, 0.0, (100, 0, 0)),
    (10, 0.5, 0.45, (1, 5, 4)),  # 5 and 4.5, which rounds to 4
])
def test_quotas(number: int, validation: float, test: float,
                expected: tuple[int, int, int]) -> None:
    """Prompts of train, validation, test by hand."""
    found = quotas(number, Partition(validation=validation, test=test))
    assert tuple(found[split] for split in SPLITS) == expected


def test_prompts_with_choices_are_dealt_first() -> None:
    """Of ten prompts one has a choice: it trains. Of three, train, test and validation get one."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        one = {f"p{n}": int(n == 7) for n in range(10)}
        assert deal(one, Partition(), rng)["p7"] == "train"
        three = {f"p{n}": int(n < 3) for n in range(10)}
        dealt = deal(three, Partition(), rng)
        assert sorted(dealt[f"p{n}"] for n in range(3)) == sorted(SPLITS)
