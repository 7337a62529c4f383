"""A median without `numpy.ma`, whose import takes longer than scoring a small file."""

import numpy as np
from numpy.typing import NDArray


def median(values: NDArray[np.float64]) -> float:
    """Like `numpy.median`, for at least one number; NaN if any is NaN."""
    ordered = np.sort(values, axis=None)
    half = len(ordered) // 2
    if np.isnan(ordered[-1]):
        return float("nan")
    return float(ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2)
