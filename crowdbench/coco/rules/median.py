"""What numpy has too, without `numpy.ma`: its import takes longer than a small file takes to score."""

import numpy as np
from numpy.typing import NDArray


def median(values: NDArray[np.float64]) -> float:
    """As `numpy.median`, of at least one number; NaN if one of them is."""
    ordered = np.sort(values, axis=None)
    half = len(ordered) // 2
    if np.isnan(ordered[-1]):
        return float("nan")
    return float(ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2)
