"""Whether probabilities mean what they say."""

from collections.abc import Sequence

import numpy as np


def calibration_error(predicted: Sequence[float], happened: Sequence[bool],
                      bins: int = 10) -> float:
    """Return the expected calibration error (Naeini et al., 2015).

    Predictions are put into bins of equal width; |share that happened - mean prediction| of each
    bin is averaged by the number of predictions in it. 0: calibrated.

    Args:
        predicted: Probabilities, shape (event,).
        happened: What they predict, shape (event,).
        bins: How many.
    """
    chances, truths = np.asarray(predicted, float), np.asarray(happened, float)
    places = np.minimum((chances * bins).astype(int), bins - 1)
    gaps = np.zeros(bins)
    np.add.at(gaps, places, truths - chances)
    return float(np.abs(gaps).sum() / len(chances))
