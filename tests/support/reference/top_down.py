"""Top-down prediction as I2R-Net's release does it, in the plainest way, to hold the product's fast path against.

One image at a time, one person at a time wherever persons do not see each other, everything else person by
person and keypoint by keypoint; no batches, nothing folded, attention as it is written. Of the product it uses
the network's modules only: annotations, crops, masks, decoding and suppression are written here again, with
OpenCV and NumPy.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

FloatArray = NDArray[np.float64]

# ImageNet's, of red, green, blue.
MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
STD = np.array([0.229, 0.224, 0.225], dtype=np.float32)
# The release's settings, the same on every dataset.
BLUR = 11
COUNTED_ABOVE = 0.2
DOUBLE_ABOVE = 0.9


@dataclass(frozen=True)
class Layout:
    """What the keypoints of a dataset are to the release."""

    pairs: tuple[tuple[int, int], ...]
    sigmas: tuple[float, ...]


COCO = Layout(
    pairs=tuple((left, left + 1) for left in range(1, 16, 2)),
    sigmas=(
        *(0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072),
        *(0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089),
    ),
)
CROWDPOSE = Layout(
    pairs=tuple((left, left + 1) for left in range(0, 11, 2)),
    sigmas=(0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089, 0.062, 0.079),
)
LAYOUTS = {"crowdpose": CROWDPOSE, "ochuman": COCO, "coco": COCO}


@dataclass(frozen=True, eq=False)
class Person:
    """A box, and what crops of it are cut with."""

    box: tuple[float, float, float, float]
    score: float
    together: bool  # with the others of the image

    def crop(self, size: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Centre in pixels, and width and height in units of 200 pixels, of a crop of a (height, width)."""
        x, y, w, h = self.box
        center = np.array([x + (w - 1) / 2, y + (h - 1) / 2], dtype=np.float32)
        aspect = size[1] / size[0]
        if w > aspect * h:
            h = w / aspect
        elif w < aspect * h:
            w = aspect * h
        return center, np.array([w / 200, h / 200], dtype=np.float32) * np.float32(1.25)


@dataclass(frozen=True, eq=False)
class Picture:
    """An image and its persons."""

    image_id: int
    pixels: NDArray[np.uint8]  # (H, W, 3), RGB
    persons: list[Person]


@dataclass(frozen=True, eq=False)
class PlainPose:
    """A person found.

    Attributes:
        keypoints: ``(K, 3)``, x, y in image pixels and a confidence.
        score: of the box times that of the keypoints.
        area: of the crop, in square pixels.
        maps: ``(K, h, w)``, the heatmaps that it was found in.
        cell: width of their pixels in image pixels.
    """

    keypoints: FloatArray
    score: float
    area: float
    maps: NDArray[np.float32]
    cell: float


def pictures(images: Path, annotations: Path, detections: Path | None, areas: bool) -> Iterator[Picture]:
    """The images of an annotation file, with the persons that the release predicts.

    Args:
        images: the folder.
        annotations: COCO format.
        detections: a detector's file, whose boxes are taken as they are; None takes the annotated boxes.
        areas: annotated persons without an area are left out.
    """
    content = json.loads(annotations.read_text())
    for image in content["images"]:
        bgr = cv2.imread(str(images / image["file_name"]), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        assert bgr is not None
        pixels = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)
        persons = []
        if detections is not None:
            for found in json.loads(detections.read_text()):
                if found["image_id"] == image["id"] and found["category_id"] == 1:
                    persons.append(Person(tuple(found["bbox"]), found["score"], together=False))
        else:
            for annotation in content["annotations"]:
                if annotation["image_id"] == image["id"] and _counts(annotation, areas):
                    box = _within(annotation["bbox"], pixels.shape[1], pixels.shape[0])
                    if box is not None:
                        persons.append(Person(box, 1.0, together=True))
        yield Picture(image["id"], pixels, persons)


def _counts(annotation: dict[str, Any], areas: bool) -> bool:
    return (
        not annotation["iscrowd"]
        and max(annotation["keypoints"]) != 0
        and (not areas or annotation["area"] > 0)
    )


def _within(box: list[float], width: int, height: int) -> tuple[float, float, float, float] | None:
    """A box cut to the image; None if nothing is left."""
    x, y, w, h = box
    x1, y1 = max(0, x), max(0, y)
    x2, y2 = min(width - 1, x1 + max(0, w - 1)), min(height - 1, y1 + max(0, h - 1))
    return (x1, y1, x2 - x1 + 1, y2 - y1 + 1) if x2 >= x1 and y2 >= y1 else None


def poses(
    picture: Picture, maps: NDArray[np.float32], size: tuple[int, int], layout: Layout
) -> list[PlainPose]:
    """The poses of an image, best first.

    Args:
        picture: the image.
        maps: ``(n, K, h, w)``, the heatmaps of its persons.
        size: (height, width) of the network's input.
        layout: of its keypoints.
    """
    found = []
    for person, person_maps in zip(picture.persons, maps, strict=True):
        center, scale = person.crop(size)
        keypoints = np.array([located(one, center, scale) for one in person_maps])
        counted = [value for value in keypoints[:, 2] if value > COUNTED_ABOVE]
        score = person.score * (sum(counted) / len(counted) if counted else 0.0)
        area = float(200 * scale[0]) * float(200 * scale[1])
        found.append(PlainPose(keypoints, score, area, person_maps, 200 * float(scale[0]) / maps.shape[3]))
    return without_doubles(found, layout)


def heatmaps(
    network: nn.Module, picture: Picture, size: tuple[int, int], layout: Layout
) -> NDArray[np.float32]:
    """``(n, K, h, w)``, averaged with those of the mirrored crops."""
    crops = torch.stack([torch.from_numpy(crop_of(picture.pixels, p, size)) for p in picture.persons])
    masks = torch.stack([torch.from_numpy(mask_of(picture.pixels, p, size)) for p in picture.persons])
    straight = _run(network, crops, masks, picture)
    mirrored = _run(network, crops.flip(3), masks.flip(3), picture).flip(3)
    swapped = mirrored.clone()
    for left, right in layout.pairs:
        swapped[:, left], swapped[:, right] = mirrored[:, right], mirrored[:, left]
    return ((straight + swapped) * 0.5).numpy()


def _run(network: nn.Module, crops: Tensor, masks: Tensor, picture: Picture) -> Tensor:
    """All persons of the image at once only where they see each other."""
    relates = hasattr(network, "use_position_mask")
    with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH):
        if relates and picture.persons[0].together:
            together: Tensor = network(crops, masks, [len(crops)])["inter"]
            return together
        alone = []
        for crop, mask in zip(crops, masks, strict=True):
            alone.append(network(crop[None], mask[None], [1])["inter"] if relates else network(crop[None]))
        return torch.cat(alone)


def crop_of(image: NDArray[np.uint8], person: Person, size: tuple[int, int]) -> NDArray[np.float32]:
    """``(3, H, W)``, normalised."""
    center, scale = person.crop(size)
    image_points, crop_points = _points(center, scale), _target_points(size)
    affine = cv2.getAffineTransform(image_points, crop_points)
    crop = cv2.warpAffine(image, affine, (size[1], size[0]), flags=cv2.INTER_LINEAR)
    normalised = (crop.astype(np.float32) / np.float32(255) - MEAN) / STD
    return np.ascontiguousarray(normalised.transpose(2, 0, 1), dtype=np.float32)


def _points(center: NDArray[np.float32], scale: NDArray[np.float32]) -> NDArray[np.float32]:
    """Three points of the image that fix a crop, rounded to float32 wherever the release rounds them."""
    half = np.float32(-0.5) * (np.float32(200) * scale[0] - np.float32(1))
    upper = (center + np.float64(half) * np.array([0.0, 1.0])).astype(np.float32)
    return _with_third(center, upper)


def _target_points(size: tuple[int, int]) -> NDArray[np.float32]:
    """Where they are in a crop of a (height, width)."""
    height, width = size
    middle = np.array([(width - 1) / 2, (height - 1) / 2], dtype=np.float32)
    upper = (middle + np.array([0.0, -(width - 1) / 2])).astype(np.float32)
    return _with_third(middle, upper)


def _with_third(middle: NDArray[np.float32], upper: NDArray[np.float32]) -> NDArray[np.float32]:
    arm = middle - upper
    return np.array([middle, upper, upper + np.array([-arm[1], arm[0]])], dtype=np.float32)


def mask_of(image: NDArray[np.uint8], person: Person, size: tuple[int, int]) -> NDArray[np.float32]:
    """``(1, H, W)`` in [0, 1]: the box drawn on the whole image, rotated by nothing, squeezed."""
    height, width = image.shape[:2]
    x, y, w, h = person.box
    canvas = np.zeros((height, width), dtype=np.uint8)
    cv2.rectangle(canvas, (int(x), int(y)), (int(x + w), int(y + h)), 255, thickness=-1)
    turn = cv2.getRotationMatrix2D((width // 2, height // 2), 0.0, 1.0)
    turn[0, 2] += width / 2 - width // 2
    turn[1, 2] += height / 2 - height // 2
    squeezed = cv2.resize(cv2.warpAffine(canvas, turn, (width, height)), (size[1], size[0]))
    return squeezed[None].astype(np.float32) / np.float32(255)


def located(
    heatmap: NDArray[np.float32], center: NDArray[np.float32], scale: NDArray[np.float32]
) -> FloatArray:
    """x, y in image pixels and the maximum of a keypoint's heatmap ``(h, w)``; DARK (Zhang et al., CVPR 2020)."""
    height, width = heatmap.shape
    y, x = divmod(int(heatmap.argmax()), width)
    highest = heatmap[y, x]
    if highest <= 0:
        x = y = 0
    position = np.array([x, y], dtype=np.float64)
    if 1 < x < width - 2 and 1 < y < height - 2:
        position += newton_step(logarithm(heatmap), x, y)
    affine = cv2.getAffineTransform(_target_points((height, width)), _points(center, scale))
    in_image = affine @ np.array([*position, 1.0])
    return np.array([*in_image.astype(np.float32), highest], dtype=np.float64)


def logarithm(heatmap: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of the smoothed map, as high as it was."""
    edge = BLUR // 2
    padded = np.zeros((heatmap.shape[0] + 2 * edge, heatmap.shape[1] + 2 * edge))
    padded[edge:-edge, edge:-edge] = heatmap
    smooth = cv2.GaussianBlur(padded, (BLUR, BLUR), 0)[edge:-edge, edge:-edge].astype(np.float32)
    smooth *= heatmap.max() / smooth.max()
    logs: NDArray[np.float32] = np.log(np.maximum(smooth, np.float32(1e-10)))
    return logs


def newton_step(logs: NDArray[np.float32], x: int, y: int) -> FloatArray:
    """From a pixel to the top of the parabola around it."""
    gradient, hessian = slopes(logs.astype(np.float64), x, y)
    if hessian[0, 0] * hessian[1, 1] - hessian[0, 1] ** 2 == 0:
        return np.zeros(2)
    step: FloatArray = -np.linalg.inv(hessian) @ gradient
    return step


def slopes(logs: FloatArray, x: int, y: int) -> tuple[FloatArray, FloatArray]:
    """Gradient and Hessian at a pixel, from its neighbours two pixels around."""
    dx = (logs[y, x + 1] - logs[y, x - 1]) / 2
    dy = (logs[y + 1, x] - logs[y - 1, x]) / 2
    dxx = (logs[y, x + 2] - 2 * logs[y, x] + logs[y, x - 2]) / 4
    dyy = (logs[y + 2, x] - 2 * logs[y, x] + logs[y - 2, x]) / 4
    dxy = (logs[y + 1, x + 1] - logs[y - 1, x + 1] - logs[y + 1, x - 1] + logs[y - 1, x - 1]) / 4
    return np.array([dx, dy]), np.array([[dxx, dxy], [dxy, dyy]])


def without_doubles(found: list[PlainPose], layout: Layout) -> list[PlainPose]:
    """Best first, without those that lie on a better one."""
    kept: list[PlainPose] = []
    for pose in sorted(found, key=lambda pose: -pose.score):
        if all(similarity(pose, better, layout) <= DOUBLE_ABOVE for better in kept):
            kept.append(pose)
    return kept


def similarity(pose: PlainPose, other: PlainPose, layout: Layout) -> float:
    """OKS with all keypoints, and the mean of both areas."""
    area = (pose.area + other.area) / 2 + np.spacing(1)
    total = 0.0
    for (x, y, _), (x2, y2, _), sigma in zip(pose.keypoints, other.keypoints, layout.sigmas, strict=True):
        total += np.exp(-((x - x2) ** 2 + (y - y2) ** 2) / ((2 * sigma) ** 2 * area * 2))
    return float(total / len(layout.sigmas))
