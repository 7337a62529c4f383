"""Box-based non-maximum suppression, for methods that detect persons themselves."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def box_nms(
    boxes_xyxy: ArrayLike, scores: ArrayLike, threshold: float, pixel: float = 0.0
) -> NDArray[np.int64]:
    """Keep the best of every set of boxes that overlap.

    Of two equal scores the earlier box comes first.

    Args:
        boxes_xyxy: ``(n, 4)``, left, top, right, bottom.
        scores: ``(n,)``.
        threshold: boxes whose intersection over union with a kept one is above it are dropped.
        pixel: added to all widths and heights. 1 counts pixels from the first to the last, as early detectors
            did and some still do.

    Returns:
        Indices of the kept boxes, best first.
    """
    boxes = np.asarray(boxes_xyxy, dtype=np.float64).reshape(-1, 4)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2] + pixel, axis=1)
    rest = np.argsort(-np.asarray(scores, dtype=np.float64), kind="stable")
    kept = []
    while rest.size:
        best, rest = rest[0], rest[1:]
        kept.append(best)
        first = np.maximum(boxes[best, :2], boxes[rest, :2])
        last = np.minimum(boxes[best, 2:], boxes[rest, 2:])
        shared = np.prod(np.maximum(0.0, last - first + pixel), axis=1)
        union = areas[best] + areas[rest] - shared
        # Two boxes of no area overlap in nothing.
        overlap = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
        rest = rest[overlap <= threshold]
    return np.array(kept, dtype=np.int64)
