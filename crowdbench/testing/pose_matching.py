"""Compare the poses of a transformed image with the transformed poses of the original image.

With random weights, a keypoint is the argmax of a heatmap, and a small change of the image can move it
anywhere. Therefore agreeing keypoints are counted, and a systematic difference is estimated from these only.
Its standard error is over persons and over keypoint types, because neither the keypoints of one person nor
the wrists of all persons are independent.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from crowdbench.api.types import FloatArray, Pose

_DRAWS = 100  # bootstrap resamples for standard errors
_SLOPE_PAIRS = 4000


@dataclass(frozen=True, eq=False)
class Followed:
    """n keypoints of a transformed image that are matched with keypoints of the original.

    Attributes:
        residuals: ``(n, 2)``, found minus expected, in pixels of the transformed image.
        wanted: ``(n, 2)``, expected positions, in pixels of the transformed image.
        moves: ``(n, 2)``, found minus found in the original, in pixels; 0 if the keypoint did not move.
        offsets: ``(n, 2)``, expected position minus the center of the person (or of the image), in pixels.
        persons: ``(n,)``, the index of the person.
        kinds: ``(n,)``, the index of the keypoint within the person.
        reach: up to this many pixels per axis, two positions count as the same.
        scope: the number of keypoints in the original, including those of persons not found again.
    """

    residuals: FloatArray
    wanted: FloatArray
    moves: FloatArray
    offsets: FloatArray
    persons: NDArray[np.int64]
    kinds: NDArray[np.int64]
    reach: float
    scope: int

    @property
    def agreeing(self) -> NDArray[np.bool_]:
        """``(n,)``: whether a keypoint is within `reach` of its expected position."""
        return np.asarray((np.abs(self.residuals) <= self.reach).all(axis=1))

    @property
    def share(self) -> float:
        """The share of keypoints at their expected position."""
        return float(self.agreeing.sum()) / max(1, self.scope)

    @property
    def unmoved(self) -> float:
        """The share of keypoints at their position in the original."""
        return float((np.abs(self.moves) <= self.reach).all(axis=1).sum()) / max(1, self.scope)

    def elsewhere(self) -> tuple[FloatArray, float]:
        """The most common residual, ``(2,)`` in pixels, and the share of keypoints that have it."""
        apart = np.abs(self.residuals[:, None] - self.residuals[None])
        near: NDArray[np.bool_] = np.asarray((apart <= self.reach).all(axis=2))
        densest = near.sum(axis=1).argmax()
        together = self.residuals[near[densest]]
        return np.median(together, axis=0), len(together) / max(1, self.scope)

    def systematic(self) -> tuple[FloatArray, FloatArray]:
        """The systematic difference of all agreeing keypoints and its standard error, ``(2,)`` pixels each.

        The part proportional to the distance from the center is removed, because methods may legitimately
        define the size of a crop differently.
        """
        chosen = self.agreeing
        residuals, offsets, persons = self.residuals[chosen], self.offsets[chosen], self.persons[chosen]
        found = np.array([_centre_of(residuals[:, a], offsets[:, a]) for a in (0, 1)])
        errors = [_spread(residuals, offsets, groups) for groups in (persons, self.kinds[chosen])]
        return found, np.hypot(*errors)


def _spread(residuals: FloatArray, offsets: FloatArray, groups: NDArray[np.int64]) -> FloatArray:
    """The standard error of `_centre_of`, ``(2,)``, by a bootstrap over groups."""
    names = np.unique(groups)
    if len(names) < 3:
        return np.full(2, np.inf)
    rng = np.random.default_rng(0)
    rows = {name: np.flatnonzero(groups == name) for name in names}
    drawn = []
    for _ in range(_DRAWS):
        again = np.concatenate([rows[name] for name in rng.choice(names, len(names))])
        drawn.append([_centre_of(residuals[again, a], offsets[again, a]) for a in (0, 1)])
    return np.asarray(np.std(drawn, axis=0))


def _centre_of(residuals: FloatArray, offsets: FloatArray) -> float:
    """The residual at offset 0, by the Theil-Sen estimator (median of slopes)."""
    first, second = np.triu_indices(len(residuals), 1)
    if len(first) > _SLOPE_PAIRS:
        kept = np.linspace(0, len(first) - 1, _SLOPE_PAIRS).astype(int)
        first, second = first[kept], second[kept]
    apart = offsets[second] - offsets[first]
    far = np.abs(apart) > 1.0
    slopes = (residuals[second] - residuals[first])[far] / apart[far]
    slope = float(np.median(slopes)) if len(slopes) else 0.0
    return float(np.median(residuals - slope * offsets))


def follow(
    before: Sequence[FloatArray | None],
    after: Sequence[FloatArray | None],
    expected: Callable[[FloatArray], FloatArray],
    centres: FloatArray,
    reach: float,
) -> Followed:
    """Compare two lists of poses person by person.

    Args:
        before, after: ``(K, 2)`` each, x, y in the original and the transformed image; None if not found.
        expected: maps keypoints ``(..., K, 2)`` of the original to the transformed image.
        centres: ``(n, 2)``, the centers of the persons in the transformed image.
        reach: in pixels of the transformed image.
    """
    residuals, places, moves, offsets, persons, kinds = [], [], [], [], [], []
    scope = 0
    for person, (old, new) in enumerate(zip(before, after, strict=True)):
        scope += 0 if old is None else len(old)
        if old is None or new is None:
            continue
        wanted = expected(old)
        residuals.append(new - wanted)
        places.append(wanted)
        moves.append(new - old)
        offsets.append(wanted - centres[person])
        persons.append(np.full(len(old), person))
        kinds.append(np.arange(len(old)))
    if not residuals:
        nothing, none = np.zeros((0, 2)), np.zeros(0, dtype=np.int64)
        return Followed(nothing, nothing, nothing, nothing, none, none, reach, scope)
    return Followed(
        np.concatenate(residuals),
        np.concatenate(places),
        np.concatenate(moves),
        np.concatenate(offsets),
        np.concatenate(persons),
        np.concatenate(kinds),
        reach,
        scope,
    )


def follow_free(
    before: FloatArray,
    after: FloatArray,
    expected: Callable[[FloatArray], FloatArray],
    centre: FloatArray,
    reach: float,
) -> Followed:
    """Compare poses without known identities: each pose is compared with the most similar one.

    Args:
        before: ``(n, K, 2)``, poses of the original that are also inside the transformed image.
        after: ``(m, K, 2)``, all poses of the transformed image.
        expected: maps keypoints of the original to the transformed image.
        centre: ``(2,)``, the center of the transformed image.
        reach: in pixels of the transformed image.
    """
    centres = np.tile(centre, (len(before), 1))
    if not len(after):
        return follow(list(before), [None] * len(before), expected, centres, reach)
    wanted = expected(before)
    matched = follow(list(before), list(after[nearest(wanted, after)]), expected, centres, reach)
    stayed = after[nearest(before, after)] - before
    return replace(matched, moves=stayed.reshape(-1, 2))


def nearest(wanted: FloatArray, found: FloatArray) -> NDArray[np.int64]:
    """For each of n poses, the index of the closest of m poses by median keypoint distance.

    Args:
        wanted: ``(n, K, 2)``.
        found: ``(m, K, 2)``, m at least 1.
    """
    distances = np.linalg.norm(wanted[:, None] - found[None], axis=3)
    indices: NDArray[np.int64] = np.median(distances, axis=2).argmin(axis=1)
    return indices


def by_box(poses: Sequence[Pose], boxes: FloatArray) -> list[FloatArray | None] | None:
    """The keypoints ``(K, 2)`` of each box's pose, None where a box has no pose.

    Returns None instead of a list if a pose has no box or there are no boxes for it.
    """
    found: list[FloatArray | None] = [None] * len(boxes)
    for pose in poses:
        if pose.box_xywh is None or not len(boxes):
            return None
        distances = np.abs(boxes - pose.box_xywh).max(axis=1)
        # A method may clip a box to the image, but does not move it to another person.
        found[int(distances.argmin())] = pose.keypoints[:, :2]
    return found
