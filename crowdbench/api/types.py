"""The data types exchanged between datasets, methods and scoring.

All are frozen and check their shapes on entry. Image coordinates are float pixels of the original image,
x right, y down, with (0, 0) at the center of the top left pixel. Boxes are (x, y, width, height).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from numbers import Real
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from crowdbench.api.segmentation import Segmentation
from crowdbench.errors import ImageError, ShapeError

Paradigm = Literal["top-down", "bottom-up", "one-stage"]
FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]
IntArray = NDArray[np.int64]


def _frozen_array(value: object, shape: tuple[int | None, ...], what: str) -> FloatArray:
    array = _numbers(value, what)
    fits = array.ndim == len(shape) and all(
        want is None or want == have for want, have in zip(shape, array.shape, strict=True)
    )
    if not fits:
        wanted = "(" + ", ".join("K" if n is None else str(n) for n in shape) + ")"
        raise ShapeError(f"{what} must have shape {wanted}, got {array.shape}.")
    array.flags.writeable = False
    return array


def _numbers(value: object, what: str) -> FloatArray:
    """A new array of what is given; strings, complex numbers, objects and ragged lists are no numbers."""
    rows = value if isinstance(value, list | tuple) else [value]
    if any(np.ma.is_masked(row) for row in rows):
        raise ShapeError(f"{what} must all be given, but some are masked. Fill them, for example with zeros.")
    try:
        array = np.asarray(value)
        if array.dtype == np.float16 or (array.dtype.kind in "iu" and array.dtype.itemsize == 1):
            raise ShapeError(
                f"{what} are of the type {array.dtype}, which cannot hold positions in an image: float16 "
                "rounds them, 8 bits end at 255. Compute positions in float32."
            )
        if array.dtype.kind in "fiu":
            return array.astype(np.float64)
        if not array.size:
            return np.zeros(array.shape)
        found = f"values of the type {array.dtype}"
    except ShapeError:
        raise
    except Exception as error:  # of NumPy, or of whatever is asked to be an array
        found = f"a {type(value).__name__} that NumPy cannot make an array of ({error})"
    raise ShapeError(f"{what} must be an array of real numbers, got {found}.")


@dataclass(frozen=True)
class KeypointSet:
    """The keypoints that a dataset labels.

    Attributes:
        name: the set's name; methods use it to tell layouts apart.
        keypoints: K names, in the order of every ``(K, 3)`` array.
        flip_pairs: pairs of indices that change places when an image is mirrored.
        skeleton: pairs of indices joined by a bone, counted from 0.
        sigmas: K per-keypoint constants of OKS, without the factor 2 (COCO's ``kpt_oks_sigmas``).
        upper_body: indices of the keypoints above the hips, for half-body augmentation.
    """

    name: str
    keypoints: tuple[str, ...]
    flip_pairs: tuple[tuple[int, int], ...]
    skeleton: tuple[tuple[int, int], ...]
    sigmas: tuple[float, ...]
    upper_body: tuple[int, ...]

    def __post_init__(self) -> None:
        count = len(self.keypoints)
        if len(self.sigmas) != count:
            raise ShapeError(f"{self.name}: {count} keypoints need {count} sigmas, got {len(self.sigmas)}.")
        used = [*self.upper_body, *(i for pair in (*self.flip_pairs, *self.skeleton) for i in pair)]
        if any(not 0 <= index < count for index in used):
            raise ShapeError(f"{self.name}: an index lies outside 0..{count - 1}; indices count from 0.")
        flipped = [i for pair in self.flip_pairs for i in pair]
        if len(set(flipped)) != len(flipped):
            raise ShapeError(f"{self.name}: a keypoint stands in two flip pairs.")

    @property
    def count(self) -> int:
        """K, the number of keypoints."""
        return len(self.keypoints)

    def only(self, names: Sequence[str]) -> "KeypointSet":
        """Some of the keypoints, in the set's own order, with the pairs and bones that have both ends left.

        Raises:
            ShapeError: a name is not of this set.
        """
        unknown = [name for name in names if name not in self.keypoints]
        if unknown:
            raise ShapeError(f"{self.name} has no keypoint {', '.join(unknown)}.")
        kept = [index for index, name in enumerate(self.keypoints) if name in names]
        place = {index: position for position, index in enumerate(kept)}

        def moved(pairs: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
            return tuple((place[a], place[b]) for a, b in pairs if a in place and b in place)

        return KeypointSet(
            name=f"{self.name}, {len(kept)} of them",
            keypoints=tuple(self.keypoints[index] for index in kept),
            flip_pairs=moved(self.flip_pairs),
            skeleton=moved(self.skeleton),
            sigmas=tuple(self.sigmas[index] for index in kept),
            upper_body=tuple(place[index] for index in self.upper_body if index in place),
        )

    @cached_property
    def flip_order(self) -> tuple[int, ...]:
        """The permutation that mirrors the set: entry i is the keypoint that takes place i."""
        order = list(range(self.count))
        for left, right in self.flip_pairs:
            order[left], order[right] = right, left
        return tuple(order)


@dataclass(frozen=True, eq=False)
class Instance:
    """One person of one image, annotated or detected.

    Attributes:
        box_xywh: ``(4,)`` float64, x, y, width, height in image pixels.
        keypoints: ``(K, 3)`` float64, x, y in image pixels and visibility v in {0: not labelled,
            1: labelled, hidden, 2: visible}; all zero for a detection.
        area: in square pixels, as the dataset's scoring protocol counts it.
        score: the detector's confidence; 1.0 for ground truth.
        iscrowd: a crowd region, not one person.
        id: the annotation's id; for a detection its position in the detector's file.
        annotated_box_area: width times height of the box before clipping to the image, in square pixels;
            None where `box_xywh` was not clipped.
    """

    box_xywh: FloatArray
    keypoints: FloatArray
    area: float
    score: float = 1.0
    iscrowd: bool = False
    id: int = 0
    annotated_box_area: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "box_xywh", _frozen_array(self.box_xywh, (4,), "box_xywh"))
        object.__setattr__(self, "keypoints", _frozen_array(self.keypoints, (None, 3), "keypoints"))

    @property
    def box_area(self) -> float:
        """Width times height of the box as annotated, whether or not it was cut, in square pixels."""
        if self.annotated_box_area is not None:
            return self.annotated_box_area
        return float(self.box_xywh[2] * self.box_xywh[3])


@dataclass(frozen=True, eq=False)
class Sample:
    """One image and the persons to predict.

    Attributes:
        image_id: as in the annotation file; unique within one split only.
        path: the image file.
        width, height: in pixels, after correction where the annotation file is known to be wrong.
        instances: the persons, in file order.
        ignored: regions of annotated persons whose poses are unknown (crowds, and persons without a labelled
            keypoint), neither persons to learn nor background. Empty unless the boxes are ground truth and
            the annotation file has segmentations.
        crowd_index: CrowdPose's crowdIndex (its paper, section 3.1), or None where the dataset has none.
        box_source: the source of the instances' boxes: "gt", "detector" or "none".
    """

    image_id: int
    path: Path
    width: int
    height: int
    instances: tuple[Instance, ...] = ()
    crowd_index: float | None = None
    box_source: Literal["gt", "detector", "none"] = "gt"
    ignored: tuple[Segmentation, ...] = ()

    @property
    def boxes_xywh(self) -> FloatArray:
        """``(n, 4)`` float64, the boxes of the instances."""
        return np.array([i.box_xywh for i in self.instances], dtype=np.float64).reshape(-1, 4)

    def read(self) -> NDArray[np.uint8]:
        """Decode the image.

        EXIF orientation is ignored, as the annotations of all supported datasets assume.

        Returns:
            ``(H, W, 3)`` uint8, RGB.

        Raises:
            ImageError: the file is missing, is not an image, or its size is not the annotated one.
        """
        from crowdbench.system.images import read_rgb

        image = read_rgb(self.path)
        if image.shape[:2] != (self.height, self.width):
            raise ImageError(
                f"{self.path}: the image is {image.shape[1]}x{image.shape[0]} (width x height), but the "
                f"annotations of image {self.image_id} say {self.width}x{self.height}.\n"
                "Boxes and masks would be cut wrongly. `crowdbench data check` lists all such images."
            )
        return image


@dataclass(frozen=True, eq=False)
class Pose:
    """One predicted person, in the coordinates of the original image.

    Attributes:
        keypoints: ``(K, 3)`` float64, x, y in image pixels and a confidence; all finite.
        score: ranks the poses of a dataset against each other.
        box_xywh: ``(4,)`` float64, the box the pose was found in; None for methods without boxes.
    """

    keypoints: FloatArray
    score: float
    box_xywh: FloatArray | None = field(default=None)

    def __post_init__(self) -> None:
        keypoints = _frozen_array(self.keypoints, (None, 3), "keypoints of a pose")
        if not isinstance(self.score, Real) or isinstance(self.score, bool):
            raise ShapeError(
                f"the score of a pose must be a number, got {type(self.score).__name__}. "
                "Write float(score) where it is the one number of an array or tensor."
            )
        try:
            score = float(self.score)
        except OverflowError:
            score = math.inf
        if not (np.isfinite(keypoints).all() and math.isfinite(score)):
            raise ShapeError("a pose must be finite: NaN or infinity in its keypoints or its score.")
        object.__setattr__(self, "keypoints", keypoints)
        object.__setattr__(self, "score", score)
        if self.box_xywh is not None:
            box = _frozen_array(self.box_xywh, (4,), "box of a pose")
            if not np.isfinite(box).all():
                raise ShapeError("a pose must be finite: NaN or infinity in its box.")
            object.__setattr__(self, "box_xywh", box)


Precision = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True, eq=False, kw_only=True)
class LoadedImage(Sample):
    """A sample whose image is in memory.

    Attributes:
        pixels: ``(H, W, 3)`` uint8, RGB.
    """

    pixels: NDArray[np.uint8]

    def read(self) -> NDArray[np.uint8]:
        """A copy of the pixels: a method may write on it."""
        return self.pixels.copy()
