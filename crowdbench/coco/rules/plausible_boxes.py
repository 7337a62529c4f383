"""Plausibility of boxes: x, y, width, height in image pixels.

One set of rules for boxes of annotations, detectors, predictions and ``predict --boxes``. Each rule considers
many boxes, because single boxes of detectors and annotators do extend beyond an edge.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from crowdbench.api.types import FloatArray
from crowdbench.coco.rules.implausible import Implausible

# A box reaches beyond its image if it ends this share of the image's side outside: none of CrowdPose's,
# COCO's or OCHuman's boxes does, nor do those of the detectors whose results are published with them.
REACH = 0.05
# Shares of boxes above which an error is systematic.
MANY_BEYOND = 0.1
MANY_OUTSIDE = 0.05
MANY_WITHOUT_AREA = 0.1
# Two corners read as x, y, width, height reach beyond the image on most boxes right of or below its middle.
CORNERS_BEYOND = 0.25
NEARLY_ALL = 0.98
# Narrower boxes are rounding errors or normalized.
NARROWEST_PX = 0.01
# This many boxes cannot look like corners, or be normalized, by chance.
CERTAIN = 10


def implausible_boxes(
    boxes: FloatArray, widths: FloatArray, heights: FloatArray, noun: str = "boxes"
) -> list[Implausible]:
    """Return what is implausible about many boxes.

    Args:
        boxes: ``(n, 4)`` float64, all finite, x, y, width, height as they are given, in image pixels.
        widths, heights: ``(n,)``, of the image of each box, in pixels.
        noun: names the boxes in messages.

    Returns:
        At most one finding of each kind; boxes as corners or as shares of a side get that finding only.
    """
    count = len(boxes)
    if not count:
        return []
    certainty: Literal["error", "warning"] = "error" if count >= CERTAIN else "warning"
    sizes = np.stack([widths, heights], axis=1).astype(np.float64)
    if _are_normalized(boxes, sizes):
        what = (
            f"the {count} {noun} are of numbers between 0 and 1: they seem to be normalized by the image's "
            "size"
        )
        remedy = "Multiply x and width by the image's width, y and height by its height."
        return [Implausible("normalized", what, remedy, certainty)]
    first, ends = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    beyond = ((ends > (1 + REACH) * sizes) | (first < -REACH * sizes)).any(axis=1)
    no_area = (boxes[:, 2:] < NARROWEST_PX).any(axis=1)
    outside = ((first >= sizes) | (ends <= 0)).any(axis=1) & ~no_area
    reach = f"{int(beyond.sum())} of {count} {noun} reach beyond their images"
    if beyond.mean() > CORNERS_BEYOND and _fit_as_corners(boxes, sizes).mean() >= NEARLY_ALL:
        what = (
            f"{reach}, and all fit as two corners: they seem to be x1, y1, x2, y2, corners instead of width "
            "and height"
        )
        return [Implausible("corners", what, "Write [x1, y1, x2 - x1, y2 - y1].", certainty)]
    found = []
    if outside.mean() > MANY_OUTSIDE:
        what = f"{int(outside.sum())} of {count} {noun} lie outside their images"
        found.append(Implausible("outside", what, "Are they of other images, or of images of another size?"))
    if beyond.mean() > MANY_BEYOND and (beyond & ~outside).any():
        remedy = (
            "A box is x, y of its top left corner, width, height, in pixels of the image as annotated; are "
            "these corners, centers, or of images of another size?"
        )
        found.append(Implausible("beyond", reach, remedy))
    if no_area.mean() > MANY_WITHOUT_AREA:
        how = "no" if (boxes[no_area, 2:] <= 0).any(axis=1).all() else "next to no"
        what = f"{int(no_area.sum())} of {count} {noun} have {how} area"
        remedy = "No person can be found in a box that narrow: widths and heights are in pixels."
        found.append(Implausible("no area", what, remedy))
    return found


def _fit_as_corners(boxes: FloatArray, sizes: FloatArray) -> NDArray[np.bool_]:
    first, last = boxes[:, :2], boxes[:, 2:]
    fits: NDArray[np.bool_] = np.all(
        (last > first) & (last <= (1 + REACH) * sizes) & (first > -REACH * sizes), axis=1
    )
    return fits


def _are_normalized(boxes: FloatArray, sizes: FloatArray) -> bool:
    """Whether no number is larger than a side counted as 1; boxes of all zeros are something else."""
    if sizes.min() < 8 or not (boxes[:, 2:] > 0).any():
        return False
    return bool((np.abs(boxes).max(axis=1) <= 1.5).mean() >= NEARLY_ALL)
