"""Augmentation: one random square view of an image, with its annotations transformed alike.

What is drawn and what follows from it are apart, so that a drawing can be repeated, tested and compared with
published numbers. A view is seen at two sizes: the network's input, and its heatmaps of a quarter of that,
whose coordinate c stands for the input's pixel 4 c.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowdbench.api.types import FloatArray
from crowdbench.errors import ShapeError

STRIDE = 4


@dataclass(frozen=True)
class Augmentation:
    """How strongly to augment. The values are those of PINet's release, on all datasets.

    Attributes:
        smallest_side, largest_side: of the square that is seen, in shorter sides of the image.
        rotation_limit: of the image to either side, in degrees.
        translation: by how many 200ths of the square's side its center moves at most, to whole pixels.
        flip_probability: of mirroring what is seen.
        exact_mirror: put mirrored keypoints where the mirrored pixels are. The release puts them three input
            pixels further left, and its flip test makes up for it.
    """

    smallest_side: float = 0.75
    largest_side: float = 1.5
    rotation_limit: float = 30.0
    translation: float = 40.0
    flip_probability: float = 0.5
    exact_mirror: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.smallest_side <= self.largest_side < np.inf:
            raise ValueError(
                "smallest_side must be positive and at most largest_side, got "
                f"{self.smallest_side} and {self.largest_side}."
            )
        for name in ("rotation_limit", "translation"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}.")
        if not 0 <= self.flip_probability <= 1:
            raise ValueError(f"flip_probability must lie in 0..1, got {self.flip_probability}.")


@dataclass(frozen=True)
class Draws:
    """What was drawn for one image, whatever its size.

    Attributes:
        side: of the square that is seen, in shorter sides of the image.
        rotation: of what is seen, clockwise, in degrees.
        shift: of the square's center, right and down, each in [0, 1): from the lowest to the highest of the
            whole numbers of pixels that are allowed.
        flip: mirror what is seen.
    """

    side: float
    rotation: float
    shift: tuple[float, float]
    flip: bool


def draw(rng: np.random.Generator, augmentation: Augmentation) -> Draws:
    """Draw one image's augmentation; always five numbers, so that settings are independent."""
    side, turn, right, down, flips = rng.random(5).tolist()
    smallest, largest = augmentation.smallest_side, augmentation.largest_side
    return Draws(
        side=side * (largest - smallest) + smallest,
        rotation=(2 * turn - 1) * augmentation.rotation_limit,
        shift=(right, down),
        flip=flips < augmentation.flip_probability,
    )


@dataclass(frozen=True)
class View:
    """The square of an image that is seen, mirrored after it was cut out.

    Attributes:
        center: x, y in image pixels.
        side: in image pixels.
        rotation: of what is seen, clockwise, in degrees.
        mirrored: left is right.
        exact_mirror: see `Augmentation`.
    """

    center: tuple[float, float]
    side: float
    rotation: float
    mirrored: bool
    exact_mirror: bool = False

    def affine(self, size: int) -> FloatArray:
        """The map from the image to the view at a size, before it is mirrored.

        Args:
            size: of the view, in pixels.

        Returns:
            ``(2, 3)`` float64: ``[x', y'] = A @ [x, y, 1]``. The square's center is mapped to size / 2.
        """
        angle, zoom = np.deg2rad(self.rotation), size / self.side
        cosine, sine = zoom * np.cos(angle), zoom * np.sin(angle)
        x, y = self.center
        return np.array(
            [
                [cosine, sine, size / 2 - cosine * x - sine * y],
                [-sine, cosine, size / 2 + sine * x - cosine * y],
            ]
        )

    def image(self, image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
        """``(H, W, 3)`` uint8 as it is seen, ``(size, size, 3)``, black outside the image."""
        return self._warped(image, size)

    def mask(self, counted: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
        """``(H, W)`` as it is seen, ``(size, size)``; false outside the image."""
        return self._warped(counted.astype(np.uint8) * np.uint8(255), size) > 127

    def _warped(self, pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
        import cv2

        warped = cv2.warpAffine(pixels, self.affine(size), (size, size), flags=cv2.INTER_LINEAR)
        return np.asarray(cv2.flip(warped, 1) if self.mirrored else warped, dtype=np.uint8)

    def keypoints(self, keypoints: FloatArray, size: int, flip_order: Sequence[int]) -> FloatArray:
        """Keypoints as they are seen in heatmaps.

        Args:
            keypoints: ``(n, K, 3)``, x, y in image pixels and visibility.
            size: of the heatmaps, in pixels.
            flip_order: `KeypointSet.flip_order`.

        Returns:
            ``(n, K, 3)`` float64, x, y in heatmap pixels and visibility; some lie outside the heatmaps.

        Raises:
            ShapeError: the keypoints are not ``(n, K, 3)``.
        """
        if keypoints.shape[1:] != (len(flip_order), 3):
            raise ShapeError(f"keypoints must be (n, {len(flip_order)}, 3), got {keypoints.shape}.")
        affine = self.affine(size)
        seen = np.array(keypoints, dtype=np.float64)
        seen[..., :2] = keypoints[..., :2] @ affine[:, :2].T + affine[:, 2]
        return mirrored(seen, size, flip_order, exact=self.exact_mirror) if self.mirrored else seen

    def area(self, area: float, size: int) -> float:
        """An area in square pixels of the image, in square pixels of the view."""
        return area * (size / self.side) ** 2


def mirrored(keypoints: FloatArray, size: int, flip_order: Sequence[int], *, exact: bool) -> FloatArray:
    """Keypoints in heatmaps of a mirrored view; left and right have changed places.

    Args:
        keypoints: ``(n, K, 3)``, x, y in heatmap pixels and visibility.
        size: of the heatmaps, in pixels.
        flip_order: `KeypointSet.flip_order`.
        exact: the input's last pixel, 4 size - 1, becomes its first; otherwise, as released, the heatmap's.
    """
    last = size - 1 / STRIDE if exact else size - 1.0
    turned = keypoints[:, list(flip_order)]
    turned[..., 0] = last - turned[..., 0]
    return turned


def view(draws: Draws, width: int, height: int, augmentation: Augmentation) -> View:
    """What is seen of an image.

    Args:
        draws: for this image.
        width, height: of the image, in pixels.
        augmentation: how far the square's center may move is read from it.
    """
    side = min(width, height) * draws.side
    limit = int(augmentation.translation * (side / 200))
    # The highest is left out, as numpy's `randint` does.
    right, down = (-limit + int(2 * limit * part) for part in draws.shift)
    return View(
        center=(width / 2 + right, height / 2 + down),
        side=side,
        rotation=draws.rotation,
        mirrored=draws.flip,
        exact_mirror=augmentation.exact_mirror,
    )
