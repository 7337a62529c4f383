"""AP of many weighted selections of images at once, from one matching.

Counting an image twice counts its predictions and persons twice. AP therefore follows from cumulative weights
over the ranked predictions, and no selection needs matching again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from crowdbench.api.types import FloatArray

RECALLS = np.linspace(0.0, 1.0, 101)
"""Where precision is read (COCO's ``recThrs``)."""

# Numbers per array: 1 MB of float64, which fits a CPU cache.
_AT_ONCE = 1 << 17


@dataclass(frozen=True, eq=False)
class Ranking:
    """D ranked predictions on M images, at T thresholds.

    Attributes:
        images: ``(D,)``, the image of each prediction, best score first.
        true: ``(T, D)``, whether it is a true positive.
        ignored: ``(T, D)``, whether it is ignored.
        persons: ``(M,)``, how many persons count on each image.
    """

    images: NDArray[np.intp]
    true: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    persons: NDArray[np.int64]

    @cached_property
    def steps(self) -> "list[Steps]":
        """What each threshold adds to the list."""
        return [Steps.of(true, ignored) for true, ignored in zip(self.true, self.ignored, strict=True)]


@dataclass(frozen=True, eq=False)
class Steps:
    """Where recall rises at one threshold. Precision peaks there: false positives only lower it.

    Attributes:
        true: ``(n,)``, the true positives.
        ignored: ``(m,)``, the ignored predictions.
        ignored_before: ``(n,)``, how many of those precede each true positive.
    """

    true: NDArray[np.intp]
    ignored: NDArray[np.intp]
    ignored_before: NDArray[np.intp]

    @classmethod
    def of(cls, true: NDArray[np.bool_], ignored: NDArray[np.bool_]) -> "Steps":
        """Of ``(D,)`` flags."""
        hits, passed = np.flatnonzero(true), np.flatnonzero(ignored)
        return cls(hits, passed, np.searchsorted(passed, hits))


def average_precisions(ranking: Ranking, weights: NDArray[np.integer]) -> FloatArray:
    """Compute AP of each of R selections of images, over all thresholds and recalls.

    Args:
        ranking: of one results file.
        weights: ``(R, M)``, how often each selection contains each image.

    Returns:
        ``(R,)`` float64; -1 where a selection has no counted person.
    """
    found = np.empty(len(weights))
    rows = max(1, _AT_ONCE // max(1, len(ranking.images)))
    buffers = _Buffers(min(rows, len(weights)), len(ranking.images) + 1)
    for begin in range(0, len(weights), rows):
        part = slice(begin, begin + rows)
        # Summed one by one, so that AP does not depend, to the last bit, on the other selections.
        found[part] = sum(read.mean(axis=1) for read in _curves(ranking, weights[part], buffers)) / len(
            ranking.true
        )
        found[part][weights[part] @ ranking.persons == 0] = -1
    return found


def curve(ranking: Ranking, threshold: int) -> FloatArray:
    """``(101,)``: precision at `RECALLS`, every image once; -1 where there is no person to find.

    Args:
        ranking: of one results file.
        threshold: the position of the OKS threshold.
    """
    everything = np.ones((1, len(ranking.persons)), dtype=np.int64)
    if not ranking.persons.any():
        return np.full(len(RECALLS), -1.0)
    one = Ranking(
        ranking.images,
        ranking.true[threshold : threshold + 1],
        ranking.ignored[threshold : threshold + 1],
        ranking.persons,
    )
    read: FloatArray = next(_curves(one, everything, _Buffers(1, len(one.images) + 1)))[0]
    return read


class _Buffers:
    """Reused arrays; allocating new ones can cost more than the sums."""

    def __init__(self, rows: int, columns: int) -> None:
        self._flat: dict[str, FloatArray] = {}
        self._size = rows * columns

    def array(self, name: str, rows: int, columns: int) -> FloatArray:
        """``(rows, columns)``, uninitialized."""
        if name not in self._flat:
            self._flat[name] = np.empty(self._size)
        return self._flat[name][: rows * columns].reshape(rows, columns)

    def columns(self, name: str, of: FloatArray, chosen: NDArray[np.intp]) -> FloatArray:
        """Some columns of a two-dimensional array, copied."""
        into = self.array(name, len(of), len(chosen))
        # In this mode numpy writes straight into the array; all positions are valid.
        return np.take(of, chosen, axis=1, out=into, mode="clip")


def _curves(ranking: Ranking, weights: NDArray[np.integer], buffers: _Buffers) -> Iterator[FloatArray]:
    """For each threshold precision at `RECALLS`, ``(R, 101)``."""
    choices = len(weights)
    of_predictions = buffers.columns("of predictions", weights.astype(np.float64), ranking.images)
    seen = buffers.array("seen", choices, len(ranking.images))
    np.cumsum(of_predictions, axis=1, out=seen)
    needed = _persons_needed(weights @ ranking.persons)
    for steps in ranking.steps:
        right = buffers.columns("right", of_predictions, steps.true)
        np.cumsum(right, axis=1, out=right)
        counted = buffers.columns("counted", seen, steps.true)
        if len(steps.ignored):
            passed = buffers.array("passed", choices, len(steps.ignored) + 1)
            passed[:, 0] = 0
            np.cumsum(of_predictions[:, steps.ignored], axis=1, out=passed[:, 1:])
            counted -= buffers.columns("passed before", passed, steps.ignored_before)
        # COCO's tool adds the same against division by 0. The last column stands for recalls not reached.
        counted += np.spacing(1)
        precision = buffers.array("precision", choices, len(steps.true) + 1)
        precision[:, -1] = 0
        np.divide(right, counted, out=precision[:, :-1])
        reached = np.empty((choices, len(RECALLS)), dtype=np.intp)
        for row, (at, wanted) in enumerate(zip(right, needed, strict=True)):
            reached[row] = np.searchsorted(at, wanted)
        yield _highest_from(precision, reached)


def _persons_needed(persons: NDArray[np.integer]) -> NDArray[np.int64]:
    """``(R, 101)``: the fewest persons found at which recall, as a float64, reaches each of `RECALLS`."""
    total = persons[:, None].astype(np.float64)
    needed = np.floor(RECALLS * total)
    with np.errstate(invalid="ignore"):
        needed += needed / total < RECALLS
    return needed.astype(np.int64)


def _highest_from(precision: FloatArray, begins: NDArray[np.intp]) -> FloatArray:
    """``(R, 101)``: of each row the highest number at or after each of ascending positions."""
    rows, columns = precision.shape
    flat = (begins + columns * np.arange(rows)[:, None]).ravel()
    # Position 0 is the first of every row, so that no stretch reaches into the next row. Where two
    # positions are equal the stretch is the one number there, which the next stretch holds too.
    stretches = np.maximum.reduceat(precision.ravel(), flat).reshape(rows, -1)
    found: FloatArray = np.maximum.accumulate(stretches[:, ::-1], axis=1)[:, ::-1]
    return found
