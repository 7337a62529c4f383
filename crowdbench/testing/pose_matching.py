"""Match poses of a transformed image with those of the original, and measure the deviation.

With random weights a network's answer is the place of its largest number, and small changes of the image can
move that to anywhere. So nothing here looks at all keypoints alike: those that agree are counted, and only
among them a systematic difference is looked for. Its standard error is over persons and over kinds of
keypoints: neither the keypoints of one person nor the wrists of all are independent of each other.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from crowdbench.api.types import FloatArray, Pose

_DRAWS = 100  # of persons, for standard errors
_SLOPE_PAIRS = 4000


@dataclass(frozen=True, eq=False)
class Followed:
    """Keypoints in a changed image, n of them, that are the answer to keypoints of the original.

    Attributes:
        residuals: ``(n, 2)``, found minus expected, in pixels of the changed image.
        wanted: ``(n, 2)``, where they are expected, in pixels of the changed image.
        moves: ``(n, 2)``, found minus what was found in the original, in pixels: 0 if nothing moved.
        offsets: ``(n, 2)``, where the expected place is from the person's (or the image's) center, in pixels.
        persons: ``(n,)``, whose keypoints they are.
        kinds: ``(n,)``, which keypoints of a person they are.
        reach: up to this many pixels an answer counts as the same.
        scope: how many keypoints could have been followed, those of persons not found again included.
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
        """``(n,)``: which are where they are expected."""
        return np.asarray((np.abs(self.residuals) <= self.reach).all(axis=1))

    @property
    def share(self) -> float:
        """Of the keypoints, how many are where they are expected."""
        return float(self.agreeing.sum()) / max(1, self.scope)

    @property
    def unmoved(self) -> float:
        """Of the keypoints, how many are where they were in the original."""
        return float((np.abs(self.moves) <= self.reach).all(axis=1).sum()) / max(1, self.scope)

    def elsewhere(self) -> tuple[FloatArray, float]:
        """The difference that most keypoints share, ``(2,)`` in pixels, and how many share it."""
        apart = np.abs(self.residuals[:, None] - self.residuals[None])
        near: NDArray[np.bool_] = np.asarray((apart <= self.reach).all(axis=2))
        densest = near.sum(axis=1).argmax()
        together = self.residuals[near[densest]]
        return np.median(together, axis=0), len(together) / max(1, self.scope)

    def systematic(self) -> tuple[FloatArray, FloatArray]:
        """The difference that all agreeing keypoints share, and its standard error, ``(2,)`` pixels each.

        What grows with the distance from the center is taken out: methods differ, within their rights, in
        what they call the size of a crop.
        """
        chosen = self.agreeing
        residuals, offsets, persons = self.residuals[chosen], self.offsets[chosen], self.persons[chosen]
        found = np.array([_centre_of(residuals[:, a], offsets[:, a]) for a in (0, 1)])
        errors = [_spread(residuals, offsets, groups) for groups in (persons, self.kinds[chosen])]
        return found, np.hypot(*errors)


def _spread(residuals: FloatArray, offsets: FloatArray, groups: NDArray[np.int64]) -> FloatArray:
    """``(2,)``: the standard error of the center, groups being drawn anew (a bootstrap)."""
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
    """The residual at offset 0, by the median of slopes (Theil and Sen)."""
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
    """Compare person by person.

    Args:
        before, after: ``(K, 2)`` each, x, y in the original and the changed image; None for no pose.
        expected: the map from the original to the changed image, ``(..., K, 2)`` to the same.
        centres: ``(n, 2)``, of the persons in the changed image.
        reach: in pixels of the changed image.
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
    """Like `follow`, without known correspondence: each pose is compared with the most similar one.

    Args:
        before: ``(n, K, 2)``, poses of the original that the changed image shows too.
        after: ``(m, K, 2)``, all poses of the changed image.
        expected: the map from the original to the changed image.
        centre: ``(2,)``, of the changed image.
        reach: in pixels of the changed image.
    """
    centres = np.tile(centre, (len(before), 1))
    if not len(after):
        return follow(list(before), [None] * len(before), expected, centres, reach)
    wanted = expected(before)
    matched = follow(list(before), list(after[nearest(wanted, after)]), expected, centres, reach)
    stayed = after[nearest(before, after)] - before
    return replace(matched, moves=stayed.reshape(-1, 2))


def nearest(wanted: FloatArray, found: FloatArray) -> NDArray[np.int64]:
    """For each of n poses the index of the most similar of m, by the median distance of keypoints.

    Args:
        wanted: ``(n, K, 2)``.
        found: ``(m, K, 2)``, m at least 1.
    """
    distances = np.linalg.norm(wanted[:, None] - found[None], axis=3)
    indices: NDArray[np.int64] = np.median(distances, axis=2).argmin(axis=1)
    return indices


def by_box(poses: Sequence[Pose], boxes: FloatArray) -> list[FloatArray | None] | None:
    """``(K, 2)`` of each box's pose, None where a box has none; None if the poses do not say their boxes."""
    found: list[FloatArray | None] = [None] * len(boxes)
    for pose in poses:
        if pose.box_xywh is None or not len(boxes):
            return None
        distances = np.abs(boxes - pose.box_xywh).max(axis=1)
        # A method may cut a box to the image; it will not move it to another person.
        found[int(distances.argmin())] = pose.keypoints[:, :2]
    return found
