"""Whether probabilities mean what they say."""

import numpy as np
import pytest

from fedrlhf.evaluation.calibration import calibration_error


def test_bins_are_averaged_by_size() -> None:
    """Bin [0, 0.5): predictions 0.2, 0.4, one of two happens: |0.5 - 0.3|, weight 2/3.

    Bin [0.5, 1]: 1.0 happens: 0. The gaps within a bin cancel: (0.2 * 2 + 0) / 3.
    """
    assert calibration_error([0.2, 0.4, 1.0], [False, True, True], bins=2) == pytest.approx(0.4 / 3)


def test_true_chances_are_calibrated() -> None:
    """The error of 20,000 events drawn by their chance is noise, that of overconfidence is not."""
    rng = np.random.default_rng(0)
    chance = rng.uniform(size=20_000)
    happened = rng.uniform(size=20_000) < chance
    assert calibration_error(list(chance), list(happened)) < 0.02
    assert calibration_error(list(np.round(chance)), list(happened)) > 0.2
