"""Augmentation of top-down training: one random transform per image, shared by its persons.

The recipe is that of SimpleBaseline and HRNet (Xiao et al., ECCV 2018; Sun et al., CVPR 2019): mirror, turn
and resize, or cut to half a body. What is drawn and what follows from it are apart, so that a drawing can be
repeated, tested and compared with published numbers. Results are rounded to float32 where the published code
rounds them under numpy 1, with which the published networks were trained.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crowdbench.api.types import Float32Array, FloatArray, KeypointSet
from crowdbench.errors import ShapeError
from crowdbench.vision.geometry import centers_and_scales, crop_affines, transform_points
from crowdbench.vision.heatmaps import gaussian_targets


@dataclass(frozen=True)
class Augmentation:
    """How strongly to augment.

    Attributes:
        flip_probability: of mirroring the image.
        rotation_probability: of turning it; otherwise the angle is 0.
        rotation_std: of the angle, in degrees.
        rotation_limit: larger angles are cut to it, in degrees.
        scale_std: of the factor, around 1, by which crops grow.
        scale_limit: the factor is cut to 1 - limit .. 1 + limit.
        half_body_probability: of showing half bodies where a person has enough visible keypoints.
        half_body_keypoints: a person needs *more* visible keypoints than this.
        upper_half_probability: that a half body is the upper one. The published code asks for a normal
            variable, not a uniform one, to be below 0.5.
        half_body_enlargement: how much larger than its keypoints' extent a half body's crop is.
    """

    flip_probability: float = 0.5
    rotation_probability: float = 0.6
    rotation_std: float = 45.0
    rotation_limit: float = 90.0
    scale_std: float = 0.35
    scale_limit: float = 0.35
    half_body_probability: float = 0.3
    half_body_keypoints: int = 8
    upper_half_probability: float = 0.6914624612740131
    half_body_enlargement: float = 1.5

    def __post_init__(self) -> None:
        for name in ("flip", "rotation", "half_body", "upper_half"):
            probability = getattr(self, f"{name}_probability")
            if not 0 <= probability <= 1:
                raise ValueError(f"{name}_probability must lie in 0..1, got {probability}.")
        for name in ("rotation_std", "rotation_limit", "scale_std", "half_body_keypoints"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}.")
        if not 0 <= self.scale_limit < 1:
            raise ValueError(f"scale_limit must be at least 0 and below 1, got {self.scale_limit}.")
        if not self.half_body_enlargement > 0:
            raise ValueError(f"half_body_enlargement must be positive, got {self.half_body_enlargement}.")


@dataclass(frozen=True, eq=False)
class Draws:
    """What was drawn for one image with n persons.

    Attributes:
        flip: mirror the image.
        rotation: of the image about each crop's center, counterclockwise, in degrees.
        scale: factor by which the crops grow; a larger crop shows a smaller person.
        half_body: cut persons with enough visible keypoints to half a body.
        prefers_upper: ``(n,)`` bool, whose half is the upper one if both halves have enough keypoints.
    """

    flip: bool
    rotation: float
    scale: float
    half_body: bool
    prefers_upper: NDArray[np.bool_]


def draw(rng: np.random.Generator, persons: int, augmentation: Augmentation) -> Draws:
    """Draw one image's augmentation; always the same numbers, so that settings are independent."""
    flips, turns, halves = rng.random(3).tolist()
    turn, growth = rng.standard_normal(2).tolist()
    angle = np.clip(
        turn * augmentation.rotation_std, -augmentation.rotation_limit, augmentation.rotation_limit
    )
    factor = np.clip(growth * augmentation.scale_std, -augmentation.scale_limit, augmentation.scale_limit) + 1
    return Draws(
        flip=flips < augmentation.flip_probability,
        rotation=float(angle) if turns < augmentation.rotation_probability else 0.0,
        scale=float(factor),
        half_body=halves < augmentation.half_body_probability,
        prefers_upper=rng.random(persons) < augmentation.upper_half_probability,
    )


@dataclass(frozen=True, eq=False)
class Views:
    """How n persons of one image are seen, in pixels of the image, mirrored if that was drawn.

    Attributes:
        keypoints: ``(n, K, 3)`` float64, x, y and visibility, 0 or 1.
        centers: ``(n, 2)`` float32, of the crops.
        scales: ``(n, 2)`` float32, of the crops, in units of 200 pixels.
        rotation: of the image about each crop's center, counterclockwise, in degrees.
    """

    keypoints: FloatArray
    centers: Float32Array
    scales: Float32Array
    rotation: float

    def affines(self, size: tuple[int, int]) -> FloatArray:
        """``(n, 2, 3)``: the maps from the image to crops, or heatmaps, of a size (height, width)."""
        return crop_affines(self.centers, self.scales, size, rotation=self.rotation)

    def keypoints_in(self, size: tuple[int, int]) -> FloatArray:
        """``(n, K, 3)``: the keypoints in crops of a size (height, width); invisible ones are not mapped."""
        mapped = self.keypoints.copy()
        visible = self.keypoints[..., 2] > 0
        mapped[..., :2][visible] = transform_points(self.keypoints[..., :2], self.affines(size))[visible]
        return mapped

    def targets(self, size: tuple[int, int], sigma: float = 2.0) -> tuple[Float32Array, Float32Array]:
        """Heatmaps of a size (height, width) to train towards, and their weights.

        Returns:
            targets: ``(n, K, height, width)`` float32.
            weights: ``(n, K)`` float32: 1, or 0 where a keypoint is invisible or off the map.
        """
        positions = transform_points(self.keypoints[..., :2], self.affines(size))
        return gaussian_targets(positions, self.keypoints[..., 2], size, sigma)


def augment(
    keypoints: ArrayLike,
    centers: Float32Array,
    scales: Float32Array,
    draws: Draws,
    *,
    width: int,
    keypoint_set: KeypointSet,
    input_size: tuple[int, int],
    augmentation: Augmentation,
) -> Views:
    """Apply what was drawn to the persons of one image.

    Args:
        keypoints: ``(n, K, 3)``, x, y in image pixels, and visibility as in COCO; all above 0 is visible.
        centers: ``(n, 2)``, of the crops, in image pixels
            (`crowdbench.vision.geometry.centers_and_scales`).
        scales: ``(n, 2)``, of the crops, in units of 200 pixels.
        draws: for these n persons.
        width: of the image, in pixels.
        keypoint_set: says which keypoints change places in a mirror, and which are the upper half.
        input_size: (height, width) of the crops; only their ratio counts.
        augmentation: the numbers of half bodies are read from it.

    Raises:
        ShapeError: the inputs disagree on n or K.
    """
    persons = _binary_visibility(keypoints, keypoint_set)
    if not len(persons) == len(centers) == len(scales) == len(draws.prefers_upper):
        raise ShapeError(
            f"{len(persons)} persons' keypoints, {len(centers)} centres, {len(scales)} scales and draws for "
            f"{len(draws.prefers_upper)} persons: all must be of the same persons."
        )
    centers = np.array(centers, dtype=np.float32)  # a copy, for half bodies are written into it
    scales = (np.asarray(scales, dtype=np.float64) * draws.scale).astype(np.float32)
    if draws.flip:
        persons = mirrored_keypoints(persons, width, keypoint_set.flip_order)
        centers = mirrored_centers(centers, width)
    if draws.half_body:
        rows, half_centers, half_scales = half_bodies(
            persons, draws.prefers_upper, keypoint_set.upper_body, input_size, augmentation
        )
        centers[rows], scales[rows] = half_centers, half_scales
    return Views(persons, centers, scales, draws.rotation)


def _binary_visibility(keypoints: ArrayLike, keypoint_set: KeypointSet) -> FloatArray:
    persons = np.array(keypoints, dtype=np.float64)
    if persons.size == 0:
        return np.zeros((0, keypoint_set.count, 3))
    if persons.shape[1:] != (keypoint_set.count, 3):
        raise ShapeError(
            f"keypoints must be (n, {keypoint_set.count}, 3) for {keypoint_set.name}, got {persons.shape}."
        )
    persons[..., 2] = persons[..., 2] > 0
    return persons


def mirrored_image(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A mirrored copy, left for right, of an ``(H, W, 3)`` image.

    A copy, because a warp of a backward view copies it for every crop; and a mirrored warp of the image
    itself rounds its positions to other fractions of a pixel.
    """
    import cv2

    return np.asarray(cv2.flip(image, 1), dtype=np.uint8)


def mirrored_keypoints(keypoints: FloatArray, width: int, flip_order: Sequence[int]) -> FloatArray:
    """Keypoints in the mirrored image: left and right have changed places, invisible ones lie at (0, 0).

    Args:
        keypoints: ``(n, K, 3)``, x, y in pixels and visibility, 0 or 1.
        width: of the image, in pixels.
        flip_order: `KeypointSet.flip_order`.

    Returns:
        ``(n, K, 3)`` float64.
    """
    mirrored: FloatArray = np.array(keypoints[:, list(flip_order)], dtype=np.float64)
    mirrored[..., 0] = width - mirrored[..., 0] - 1
    mirrored[..., :2] *= mirrored[..., 2:]
    return mirrored


def mirrored_centers(centers: Float32Array, width: int) -> Float32Array:
    """``(n, 2)`` float32: crop centers in the mirrored image."""
    mirrored = centers.copy()
    mirrored[:, 0] = width - centers[:, 0].astype(np.float64) - 1
    return mirrored


def half_bodies(
    keypoints: FloatArray,
    prefers_upper: NDArray[np.bool_],
    upper_body: Sequence[int],
    input_size: tuple[int, int],
    augmentation: Augmentation,
) -> tuple[NDArray[np.int64], Float32Array, Float32Array]:
    """Crops around the upper or the lower halves of those persons who have enough visible keypoints.

    A half needs three visible keypoints. The other one is taken if the preferred one has fewer, and the upper
    one, with two, if both have.

    Args:
        keypoints: ``(n, K, 3)``, x, y in image pixels and visibility, 0 or 1.
        prefers_upper: ``(n,)`` bool.
        upper_body: `KeypointSet.upper_body`.
        input_size: (height, width) of the crops; only their ratio counts.
        augmentation: how many keypoints are enough, and how wide a margin is left.

    Returns:
        rows: ``(m,)``, the persons who are cut.
        centers: ``(m, 2)`` float32, the means of their halves' visible keypoints, in image pixels.
        scales: ``(m, 2)`` float32, in units of 200 pixels.
    """
    visible = keypoints[..., 2] > 0
    in_upper_half = np.isin(np.arange(keypoints.shape[1]), upper_body)
    upper, lower = visible & in_upper_half, visible & ~in_upper_half
    takes_upper = (prefers_upper & (upper.sum(axis=1) > 2)) | (lower.sum(axis=1) <= 2)
    chosen = np.where(takes_upper[:, None], upper, lower)
    enough = (visible.sum(axis=1) > augmentation.half_body_keypoints) & (chosen.sum(axis=1) >= 2)
    rows = np.flatnonzero(enough)
    points, counted = keypoints[rows, :, :2].astype(np.float32), chosen[rows][..., None]
    centers = points.sum(axis=1, where=counted) / counted.sum(axis=1).astype(np.float32)
    extents = points.max(axis=1, where=counted, initial=-np.inf) - points.min(
        axis=1, where=counted, initial=np.inf
    )
    boxes = np.concatenate([np.zeros_like(extents), extents.astype(np.float64) + 1], axis=1)
    _, scales = centers_and_scales(boxes, input_size, augmentation.half_body_enlargement)
    return rows, centers.astype(np.float32), scales
