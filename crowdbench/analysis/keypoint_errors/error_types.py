"""Classify predicted keypoints by the true keypoints near them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowdbench.analysis.keypoint_errors.image_pairs import pairs_within
from crowdbench.api.types import FloatArray, KeypointSet

KINDS = ("good", "jitter", "inversion", "swap", "miss")
"""By code: entry c is the kind with code c."""
ERRORS = KINDS[1:]
LETTERS = "gjism"
"""A letter for each kind, in the order of `KINDS`; ``-`` is an unlabeled keypoint."""
UNLABELLED = -1

GOOD_FROM = 0.85
"""Similarity from which a keypoint is good; the paper leaves the kind at exactly 0.85 open."""
NEAR_FROM = 0.5
"""Similarity below which a keypoint is near nothing."""


@dataclass(frozen=True, eq=False)
class KeypointKinds:
    """The kinds of the keypoints of M matched predictions.

    Attributes:
        codes: ``(M, K)`` int8, positions in `KINDS`, or `UNLABELLED`.
        similarity: ``(M, K)`` float64, of each keypoint to the nearest true keypoint of any person
            in the image; -1 where the person's own keypoint is not labelled.
    """

    codes: NDArray[np.int8]
    similarity: FloatArray

    def letters(self) -> list[str]:
        """A string of K letters for each prediction."""
        table = np.frombuffer((LETTERS + "-").encode(), dtype=np.uint8)  # code -1 is the last
        rows = np.ascontiguousarray(table[self.codes])
        return [bytes(row).decode() for row in rows]


def keypoint_similarity(
    poses: FloatArray, truth: FloatArray, areas: FloatArray, sigmas: FloatArray
) -> FloatArray:
    """Similarity of predicted to true keypoints, row by row: ``exp(-d^2 / (2 area (2 sigma)^2))``.

    Args:
        poses: ``(n, K, 2)`` or ``(n, K, 3)``, x, y in pixels.
        truth: ``(n, K, 3)``, x, y and visibility.
        areas: ``(n,)``, of the true persons.
        sigmas: ``(K,)``, of the true keypoints, without the factor 2.

    Returns:
        ``(n, K)`` float64; -1 where the true keypoint is not labelled.
    """
    with np.errstate(over="ignore"):  # absurd coordinates are infinitely far away
        squared = (poses[..., 0] - truth[..., 0]) ** 2
        squared += (poses[..., 1] - truth[..., 1]) ** 2
        squared /= 2 * (2 * sigmas) ** 2
        squared /= (areas + np.spacing(1))[:, None]
    similarity: FloatArray = np.exp(-squared)
    similarity[truth[..., 2] <= 0] = -1
    return similarity


def kinds_of(
    poses: FloatArray,
    matched: NDArray[np.int64],
    truth: FloatArray,
    areas: FloatArray,
    images: NDArray[np.int64],
    keypoints: KeypointSet,
) -> KeypointKinds:
    """Classify the keypoints of matched predictions.

    A keypoint is compared with its own place, with its mirror's on the same person, and with both on every
    other person of the image, those included that scoring ignores. The best similarity m decides: a good one
    or a jitter if its own place has it, an inversion or a swap if another's has; a miss if m < 0.5. Of equal
    similarities the own place comes first, then a swap with the same keypoint, then an inversion.

    Args:
        poses: ``(M, K, 3)``, the matched predictions.
        matched: ``(M,)``, position of the person that each is matched with.
        truth: ``(N, K, 3)``, all annotated persons: x, y and visibility.
        areas: ``(N,)``, in square pixels, as the protocol counts them.
        images: ``(N,)``, the image of each person.
        keypoints: names the mirrors and the sigmas.
    """
    sigmas, mirror = np.array(keypoints.sigmas), np.array(keypoints.flip_order)
    if not len(poses):
        nothing = np.empty((0, keypoints.count))
        return KeypointKinds(nothing.astype(np.int8), nothing)
    pairs = pairs_within(images[matched], images)
    near = poses[pairs.left]
    same = keypoint_similarity(near, truth[pairs.right], areas[pairs.right], sigmas)
    mirrored = keypoint_similarity(near, truth[pairs.right][:, mirror], areas[pairs.right], sigmas[mirror])
    is_own = pairs.right == matched[pairs.left]
    own, inverted = same[is_own], mirrored[is_own]
    same[is_own] = mirrored[is_own] = -1
    # Every prediction has at least the pair with its own person, so that no segment is empty.
    swapped, swapped_mirror = (np.maximum.reduceat(values, pairs.starts) for values in (same, mirrored))
    groups = np.stack([own, swapped, inverted, swapped_mirror])  # of equal ones argmax takes the first
    group, best = groups.argmax(axis=0), groups.max(axis=0)
    codes = np.array([KINDS.index(name) for name in ("good", "swap", "inversion", "swap")], dtype=np.int8)[
        group
    ]
    codes[(group == 0) & (best < GOOD_FROM)] = KINDS.index("jitter")
    codes[best < NEAR_FROM] = KINDS.index("miss")
    labelled = truth[matched][..., 2] > 0
    codes[~labelled] = UNLABELLED
    best[~labelled] = -1
    return KeypointKinds(codes, best)
