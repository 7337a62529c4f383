"""Pair members of two lists that are in the same image, without a loop over images."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Pairs:
    """All pairs of two lists whose members are in one image, in the order of the first list.

    Attributes:
        left, right: ``(pairs,)``, positions in the first and in the second list.
        starts: where the pairs of each member of the first list begin, as `numpy.ufunc.reduceat` takes it.
    """

    left: Places
    right: Places
    starts: Places


def pairs_within(first: Places, second: Places) -> Pairs:
    """Pair the members of two lists that are in the same image; `first` and `second` hold their images."""
    order = np.argsort(second, kind="stable")
    arranged = second[order]
    begin = np.searchsorted(arranged, first, side="left")
    counts = np.searchsorted(arranged, first, side="right") - begin
    starts = np.cumsum(counts) - counts
    left = np.repeat(np.arange(len(first)), counts)
    right = order[np.arange(counts.sum()) - starts[left] + begin[left]]
    return Pairs(left, right, starts)
