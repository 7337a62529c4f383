"""Drawn persons: where keypoints are on a body that faces the viewer, and how it is painted."""

import numpy as np
from numpy.typing import NDArray

from crowdbench.api.types import FloatArray, KeypointSet

# Height of each part on a body of height 1, and how far from its middle line, of a width of 1.
_PLACES = {
    "head": (0.07, 0.0),
    "top_head": (0.02, 0.0),
    "nose": (0.09, 0.0),
    "neck": (0.17, 0.0),
    "eye": (0.06, 0.07),
    "ear": (0.08, 0.16),
    "shoulder": (0.21, 0.25),
    "elbow": (0.36, 0.37),
    "wrist": (0.50, 0.42),
    "hip": (0.53, 0.16),
    "knee": (0.75, 0.19),
    "ankle": (0.96, 0.21),
}
_JITTER = 0.025
# Limbs are lighter than any background and have no color; keypoints have nothing but color.
LIMB_GREY = (205, 245)


def pair_of(keypoints: KeypointSet) -> list[int]:
    """For every keypoint the number of its group: itself and its mirror image, counted from 0."""
    groups: dict[int, int] = {}
    for index, other in enumerate(keypoints.flip_order):
        groups.setdefault(min(index, other), len(groups))
    return [groups[min(index, other)] for index, other in enumerate(keypoints.flip_order)]


def colours(keypoints: KeypointSet) -> NDArray[np.uint8]:
    """``(K, 3)`` uint8 RGB: one for both of a pair, so that only their places tell left from right."""
    import cv2

    groups = pair_of(keypoints)
    hues = np.arange(max(groups) + 1) * 180 / (max(groups) + 1)
    hsv = np.stack([hues, np.full(len(hues), 255), np.full(len(hues), 255)], axis=1)
    rgb = cv2.cvtColor(hsv[None].astype(np.uint8), cv2.COLOR_HSV2RGB)[0]
    return np.asarray(rgb[groups], dtype=np.uint8)


def body(keypoints: KeypointSet, rng: np.random.Generator) -> FloatArray:
    """``(K, 2)``: x, y of every keypoint in a box of width and height 1, left parts on the viewer's right."""
    order = keypoints.flip_order
    places = np.empty((keypoints.count, 2))
    for index, name in enumerate(keypoints.keypoints):
        side = 0 if order[index] == index else 1 if _is_left(keypoints, index) else -1
        stem = name.removeprefix("left_").removeprefix("right_")
        # Whatever the set calls its parts: down the body in their order, pairs on both sides.
        unknown = (0.05 + 0.9 * min(index, order[index]) / keypoints.count, 0.3)
        height, breadth = _PLACES.get(stem, unknown)
        places[index] = 0.5 + side * breadth, height
    return np.clip(places + rng.uniform(-_JITTER, _JITTER, places.shape), 0.02, 0.98)


def _is_left(keypoints: KeypointSet, index: int) -> bool:
    other = keypoints.flip_order[index]
    names = keypoints.keypoints[index], keypoints.keypoints[other]
    return "left" in names[0] or ("left" not in names[1] and index < other)


def paint(image: NDArray[np.uint8], points: FloatArray, keypoints: KeypointSet, height: float) -> None:
    """Draw a person into an image.

    Args:
        image: ``(H, W, 3)`` uint8, RGB; changed in place.
        points: ``(K, 2)`` float64, x, y in image pixels.
        keypoints: whose bones and colors.
        height: of the person, in pixels.
    """
    import cv2

    fixed = np.rint(points * 16).astype(int)  # 4 bits of fraction
    thick = max(2, round(height / 22))
    for number, (start, end) in enumerate(keypoints.skeleton):
        grey = int(np.interp(number, [0, max(1, len(keypoints.skeleton) - 1)], LIMB_GREY))
        cv2.line(image, fixed[start].tolist(), fixed[end].tolist(), (grey,) * 3, thick, cv2.LINE_AA, shift=4)
    for point, colour in zip(points, colours(keypoints), strict=True):
        _dot(image, point, colour, max(2.2, height / 45))


def _dot(image: NDArray[np.uint8], centre: FloatArray, colour: NDArray[np.uint8], radius: float) -> None:
    """A disc with an edge two pixels soft, so that its middle is known to a fraction of a pixel."""
    reach = int(radius) + 3
    x0, y0 = (np.floor(centre) - reach).astype(int)
    y, x = np.mgrid[y0 : y0 + 2 * reach + 1, x0 : x0 + 2 * reach + 1]
    inside = (x >= 0) & (x < image.shape[1]) & (y >= 0) & (y < image.shape[0])
    y, x = y[inside], x[inside]
    cover = np.clip((radius + 1 - np.hypot(x - centre[0], y - centre[1])) / 2, 0, 1)[:, None]
    image[y, x] = np.rint(image[y, x] * (1 - cover) + colour * cover).astype(np.uint8)
