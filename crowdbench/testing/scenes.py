"""Drawn scenes with known persons, and exact maps of scene and boxes together.

Image coordinates have (0, 0) at the center of the top left pixel; a box [x, y, w, h] covers the columns x to
x + w - 1. Both follow a map of the image exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crowdbench.api.types import FloatArray, KeypointSet
from crowdbench.testing.drawn_people import body, paint

# Gray levels of what is behind the persons; darker than anything of theirs.
_BACKGROUND = (30, 150)


@dataclass(frozen=True, eq=False)
class Scene:
    """An image and its persons.

    Attributes:
        image: ``(H, W, 3)`` uint8, RGB.
        boxes: ``(n, 4)`` float64, x, y, w, h in pixels.
        points: ``(n, K, 2)`` float64, x, y of the drawn keypoints in pixels.
    """

    image: NDArray[np.uint8]
    boxes: FloatArray
    points: FloatArray

    @property
    def width(self) -> int:
        """In pixels."""
        return int(self.image.shape[1])

    @property
    def height(self) -> int:
        """In pixels."""
        return int(self.image.shape[0])

    def window(self, x: int, y: int, width: int, height: int) -> Self:
        """A part of the scene, with all persons: a point p of the scene is at p - (x, y) in it."""
        return replace(
            self,
            image=np.ascontiguousarray(self.image[y : y + height, x : x + width]),
            boxes=self.boxes - [x, y, 0, 0],
            points=self.points - [x, y],
        )

    def enlarged(self, factor: int) -> Self:
        """The scene at a whole multiple of its size: a point p is at factor * p + (factor - 1) / 2 in it.

        It is interpolated, because a method that samples every second one of repeated pixels could not tell
        which of two equal ones it has met.
        """
        import cv2

        size = (self.width * factor, self.height * factor)
        enlarged = cv2.resize(self.image, size, interpolation=cv2.INTER_LINEAR)
        return replace(
            self,
            image=np.asarray(enlarged, dtype=np.uint8),
            boxes=self.boxes * factor,
            points=self.points * factor + (factor - 1) / 2,
        )

    def averaged(self, factor: int) -> Self:
        """The scene at a whole fraction of its size, each pixel the mean of those that it stands for."""
        import cv2

        size = (self.width // factor, self.height // factor)
        small = cv2.resize(self.image, size, interpolation=cv2.INTER_AREA)
        return replace(
            self,
            image=np.asarray(small, dtype=np.uint8),
            boxes=self.boxes / factor,
            points=(self.points - (factor - 1) / 2) / factor,
        )

    def mirrored(self, keypoints: KeypointSet) -> Self:
        """The scene's mirror image: x becomes width - 1 - x, and left keypoints become right ones."""
        boxes = self.boxes.copy()
        boxes[:, 0] = self.width - boxes[:, 0] - boxes[:, 2]
        points = self.points[:, list(keypoints.flip_order)].copy()
        points[..., 0] = self.width - 1 - points[..., 0]
        return replace(self, image=np.ascontiguousarray(self.image[:, ::-1]), boxes=boxes, points=points)

    def only(self, persons: Sequence[int]) -> Self:
        """The same image, asking for some of its persons: those of the given rows that it has."""
        rows = [row for row in persons if row < len(self.boxes)]
        return replace(self, boxes=self.boxes[rows], points=self.points[rows])

    def with_boxes(self, boxes: ArrayLike) -> Self:
        """The same image with other boxes, which need not contain a person."""
        given = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
        return replace(self, boxes=given, points=np.zeros((len(given), self.points.shape[1], 2)))


def background(width: int, height: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """``(H, W, 3)`` uint8: smooth colors and a fine grain, different everywhere."""
    import cv2

    total = np.zeros((height, width, 3), dtype=np.float32)
    for cell, weight in ((96, 0.55), (24, 0.3), (4, 0.15)):
        coarse = rng.random((height // cell + 2, width // cell + 2, 3), dtype=np.float32)
        total += weight * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    low, high = _BACKGROUND
    return (low + (high - low) * np.clip(total, 0, 1)).astype(np.uint8)


def draw_crowd(
    keypoints: KeypointSet,
    *,
    columns: int,
    rows: int,
    cell: tuple[int, int],
    margin: tuple[int, int],
    seed: int,
) -> Scene:
    """Persons on a grid, each somewhere in its cell and apart from the others.

    Args:
        keypoints: to draw.
        columns, rows: of the grid.
        cell: its (width, height), in pixels; persons are half to three quarters as high.
        margin: left and right of the grid, above and below it, in pixels.
        seed: of everything.
    """
    rng = np.random.default_rng(seed)
    width, height = columns * cell[0] + 2 * margin[0], rows * cell[1] + 2 * margin[1]
    image = background(width, height, rng)
    boxes, points = [], []
    for row in range(rows):
        for column in range(columns):
            h = round(cell[1] * rng.uniform(0.5, 0.72))
            w = min(round(h * rng.uniform(0.42, 0.55)), cell[0] - 4)
            x = margin[0] + column * cell[0] + int(rng.integers(2, cell[0] - w - 1))
            y = margin[1] + row * cell[1] + round(cell[1] * 0.14) + int(rng.integers(0, round(cell[1] * 0.1)))
            own = body(keypoints, rng) * [w - 1, h - 1] + [x, y]
            paint(image, own, keypoints, h)
            boxes.append([x, y, w, h])
            points.append(own)
    return Scene(image, np.array(boxes, dtype=np.float64), np.array(points))
