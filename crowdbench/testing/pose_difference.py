"""Compare two sets of poses: equal, equal but for noise, or different."""

from collections.abc import Sequence

import numpy as np

from crowdbench.api.types import Pose
from crowdbench.testing.pose_matching import nearest
from crowdbench.testing.subject import keypoints_of

# Batches of another size are computed in another order, which changes last bits.
_SAME_PX = 0.1
_SAME_SCORE = 1e-3


def equal(one: Sequence[Pose], other: Sequence[Pose]) -> bool:
    """Bit for bit, in the same order."""
    return len(one) == len(other) and all(
        np.array_equal(a.keypoints, b.keypoints) and a.score == b.score
        for a, b in zip(one, other, strict=True)
    )


def changed(one: Sequence[Sequence[Pose]], other: Sequence[Sequence[Pose]], count: int) -> tuple[float, str]:
    """How far two answers to the same images differ by more than noise.

    Args:
        one, other: the poses of each image.
        count: K.

    Returns:
        The share of keypoints that differ, those of poses too many included; and the difference in words.
    """
    differing = total = 0
    farthest = 0.0
    for a, b in zip(one, other, strict=True):
        total += max(len(a), len(b)) * count
        differing += abs(len(a) - len(b)) * count
        few, many = sorted((a, b), key=len)
        if not few:
            continue
        wanted, found = keypoints_of(few, count)[..., :2], keypoints_of(many, count)[..., :2]
        partners = nearest(wanted, found)
        distances = np.linalg.norm(wanted - found[partners], axis=2)
        scores = np.array([pose.score for pose in few])
        away = np.abs(scores - [many[i].score for i in partners])
        rescored = away > _SAME_SCORE * np.maximum(1, np.abs(scores))
        differing += int(((distances > _SAME_PX) | rescored[:, None]).sum())
        farthest = max(farthest, float(distances.max()))
    share = differing / max(1, total)
    numbers = f"{[len(poses) for poses in one]} and {[len(poses) for poses in other]} poses"
    return share, (
        f"{share:.0%} of {total} keypoints are elsewhere or scored otherwise, up to {farthest:.3g} px away "
        f"({numbers})"
    )
