"""ViTPose and ViTPose+ (Xu et al., 2022), as Hugging Face's transformers has them.

The network is transformers' own. Crops and decoding are computed here, to the same numbers as by its
``VitPoseImageProcessor``, but without SciPy and for images of any size: crops map the centers of their corner
pixels (UDP, Huang et al., CVPR 2020), and a heatmap's peak moves by a Taylor step of its logarithm (DARK,
Zhang et al., CVPR 2020).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from crowdbench import NetworkMethod
from crowdbench.api.types import Float32Array, FloatArray, KeypointSet, Pose, Sample
from crowdbench.errors import InputError
from crowdbench_backbones.networks.chunking import PORTION, in_chunks
from crowdbench_backbones.top_down.crops import CropBatch, Crops, Persons, join
from crowdbench_wrappers.keypoint_layout import other_layout
from crowdbench_wrappers.postprocessing import RankingSettings, ranked, require_size

# As the hub calls them, without "vitpose-" in front. "-simple": the decoder without deconvolutions; "plus-":
# with experts that were trained on several datasets.
# fmt: off
Variant = Literal[
    "small-simple", "base-simple", "large-simple", "huge-simple",
    "small", "base", "large", "huge",
    "plus-small", "plus-base", "plus-large", "plus-huge",
]
# fmt: on

UNIT_PX = np.float32(200)  # of scales, since MPII
BLUR_SIGMA = 0.8
FLOOR, CEILING = np.float32(0.001), np.float32(50)  # of heatmaps, before the logarithm
DATASETS = 6  # that ViTPose+ has experts for


@dataclass(frozen=True)
class Size:
    """The numbers of a Vision Transformer; `part` of its features are an expert's in ViTPose+."""

    width: int
    layers: int
    heads: int
    part: int


SIZES = {
    "small": Size(384, 12, 12, 96),
    "base": Size(768, 12, 12, 192),
    "large": Size(1024, 24, 16, 256),
    "huge": Size(1280, 32, 16, 320),
}


@dataclass(frozen=True)
class ViTPoseSettings(RankingSettings):
    """Settings of ViTPose.

    Attributes:
        variant: the network, as the hub names it.
        dataset_index: whose expert ViTPose+ asks: 0 COCO, 1 AiC, 2 MPII, 3 AP-10K, 4 APT-36K,
            5 COCO-WholeBody.
        input_size: (height, width) of the crops.
        box_enlargement: how much larger than its box a crop is.
        flip_test: average with the mirrored crop, as for the paper's figures.
        blur_kernel: of the smoothing before decoding, in heatmap pixels.
    """

    variant: Variant = "base-simple"
    dataset_index: int = 0
    input_size: tuple[int, int] = (256, 192)
    box_enlargement: float = 1.25
    flip_test: bool = True
    blur_kernel: int = 11

    def __post_init__(self) -> None:
        super().__post_init__()
        require_size(self.input_size, 16)
        if self.blur_kernel < 1 or self.blur_kernel % 2 == 0:
            raise ValueError(f"blur_kernel must be odd, got {self.blur_kernel}.")
        if not 0 < self.box_enlargement < np.inf:
            raise ValueError(f"box_enlargement must be positive and finite, got {self.box_enlargement}.")
        if not 0 <= self.dataset_index < (DATASETS if self.has_experts else 1):
            raise ValueError(
                f"dataset_index is from 0 to {DATASETS - 1} with the variants plus-…, 0 with all others; "
                f"got {self.dataset_index} with {self.variant}."
            )

    @property
    def has_experts(self) -> bool:
        """Whether it is ViTPose+."""
        return self.variant.startswith("plus-")


class ViTPose(NetworkMethod):
    """A ViTPose of transformers; its weights are the ``model.safetensors`` of the hub."""

    paradigm = "top-down"
    Settings: ClassVar[type[ViTPoseSettings]] = ViTPoseSettings
    tracked_packages = ("transformers",)
    settings: ViTPoseSettings

    def __init__(self, keypoints: KeypointSet, settings: ViTPoseSettings, name: str | None = None) -> None:
        super().__init__(keypoints, settings, name)
        self.portion = PORTION

    def build_network(self) -> nn.Module:
        """The network with random weights; raises InputError if transformers is not installed."""
        try:
            import transformers
        except ImportError as error:
            raise InputError(
                f'transformers is not installed ({error}).\npip install "crowdbench[vitpose]"'
            ) from error
        own = self.settings
        size = SIZES[own.variant.removeprefix("plus-").removesuffix("-simple")]
        backbone = transformers.VitPoseBackboneConfig(
            image_size=list(own.input_size),
            hidden_size=size.width,
            num_hidden_layers=size.layers,
            num_attention_heads=size.heads,
            num_experts=DATASETS if own.has_experts else 1,
            part_features=size.part,
            out_indices=[size.layers],
        )
        config = transformers.VitPoseConfig(
            backbone_config=backbone,
            num_labels=self.keypoints.count,
            use_simple_decoder=own.variant.endswith("-simple"),
        )
        network: nn.Module = transformers.VitPoseForPoseEstimation(config)
        return network

    def convert_state_dict(self, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The weights as they are; raises WeightsError if they are for another number of keypoints."""
        last = state.get("head.conv.weight")
        if last is not None and len(last) != self.keypoints.count:
            raise other_layout("head.conv.weight", len(last), self.keypoints)
        return state

    def set_batch_limit(self, size: int) -> None:
        """An image with more persons than this is computed in portions."""
        self.portion = size

    def prepare(self, sample: Sample, rng: np.random.Generator | None = None) -> Crops:
        """Cut out the persons of an image."""
        boxes = sample.boxes_xywh
        size = self.settings.input_size
        centers, scales = _centers_and_scales(boxes, size, self.settings.box_enlargement)
        scores = np.array([instance.score for instance in sample.instances], dtype=np.float64)
        return Crops(_crops(sample.read(), centers, scales, size), Persons(centers, scales, boxes, scores))

    def collate(self, examples: Sequence[Crops]) -> CropBatch:
        """Join the crops of several images."""
        return join(examples)

    def predict(self, network: nn.Module, batch: CropBatch) -> list[list[Pose]]:
        """Heatmaps of all persons, then poses, scores and suppression, image by image."""
        persons = batch.persons
        if not len(batch.pixels):
            return [[] for _ in batch.lengths]
        positions, confidences = _decoded(self._heatmaps(network, batch), self.settings.blur_kernel)
        height, width = self.settings.input_size
        sides = persons.scales * UNIT_PX
        steps = sides / np.array([width // 4 - 1, height // 4 - 1], dtype=np.float32)
        located = positions * steps[:, None] + (persons.centers - sides * np.float32(0.5))[:, None]
        keypoints = np.concatenate([located, confidences[:, :, None]], axis=2, dtype=np.float64)
        areas = sides.prod(axis=1).astype(np.float64)
        ends = np.cumsum(batch.lengths)
        return [
            ranked(
                keypoints[i:j],
                persons.boxes[i:j],
                persons.scores[i:j],
                areas[i:j],
                self.keypoints,
                self.settings,
            )
            for i, j in zip(ends - batch.lengths, ends, strict=True)
        ]

    def _heatmaps(self, network: nn.Module, batch: CropBatch) -> Float32Array:
        """``(S, K, h, w)``, a quarter of the crops' size, averaged with the mirrored crops' if asked for."""
        parameter = next(network.parameters())
        images = batch.to(parameter.device).images(parameter.dtype)
        heatmaps = self._run(network, images, None)
        if self.settings.flip_test:
            pairs = torch.tensor(self.keypoints.flip_pairs, dtype=torch.long, device=images.device)
            heatmaps = (heatmaps + self._run(network, images.flip(-1), pairs.reshape(-1, 2))) * 0.5
        array: Float32Array = heatmaps.cpu().numpy()
        return array

    def _run(self, network: nn.Module, images: Tensor, flip_pairs: Tensor | None) -> Tensor:
        """With `flip_pairs`, the heatmaps are mirrored back."""

        def run(portion: Tensor) -> Tensor:
            asked: dict[str, Any] = {"flip_pairs": flip_pairs}
            if self.settings.has_experts:
                asked["dataset_index"] = torch.full(
                    (len(portion),), self.settings.dataset_index, device=portion.device
                )
            heatmaps: Tensor = network(portion, **asked).heatmaps
            return heatmaps.float()

        return in_chunks(run, images, self.portion)


def _centers_and_scales(
    boxes: FloatArray, input_size: tuple[int, int], enlargement: float
) -> tuple[Float32Array, Float32Array]:
    """Centers and (width, height) in units of 200 pixels, both ``(n, 2)`` float32."""
    aspect = input_size[1] / input_size[0]
    x, y, width, height = boxes.T
    centers = np.stack([x + width * 0.5, y + height * 0.5], axis=1).astype(np.float32)
    sides = np.stack([np.maximum(width, aspect * height), np.maximum(width / aspect, height)], axis=1)
    scales = (sides / UNIT_PX).astype(np.float32) * np.float32(enlargement)
    return centers, scales


def _crops(
    image: NDArray[np.uint8], centers: Float32Array, scales: Float32Array, input_size: tuple[int, int]
) -> NDArray[np.uint8]:
    """``(n, H, W, 3)``: cut out bilinearly, rounded to whole gray levels, black outside the image."""
    height, width = input_size
    crops = np.zeros((len(centers), height, width, 3), dtype=np.uint8)
    for crop, (x, y), (wide, high) in zip(crops, centers, scales * UNIT_PX, strict=True):
        if not wide > 0:
            continue  # a box of no size shows nothing
        left, right, by_x, inside_x = _readings(x, wide, width, image.shape[1])
        upper, lower, by_y, inside_y = _readings(y, high, height, image.shape[0])
        if not (len(inside_x) and len(inside_y)):
            continue
        first_row, first_column = upper[0], left[0]
        seen = image[first_row : lower[-1] + 1, first_column : right[-1] + 1].astype(np.float32)
        rows = seen[:, left - first_column] * (1 - by_x)[:, None]
        rows += seen[:, right - first_column] * by_x[:, None]
        mixed = rows[upper - first_row] * (1 - by_y)[:, None, None]
        mixed += rows[lower - first_row] * by_y[:, None, None]
        mixed += np.float32(0.5)
        crop[inside_y[0] : inside_y[-1] + 1, inside_x[0] : inside_x[-1] + 1] = mixed
    return crops


def _readings(
    center: np.float32, side: np.float32, pixels: int, length: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], Float32Array, NDArray[np.int64]]:
    """Where the pixels of a crop read along one axis of an image.

    Returns:
        The two neighbours and the weight of the second, for those pixels that lie within the image, which is
        from the center of its first pixel to that of its last; and which pixels those are.
    """
    # float32 as the CPU's matrix has it; its inverse is float64.
    factor = np.float32((pixels - 1) / side)
    shift = np.float32(factor * (np.float32(-0.5) * (center * 2) + np.float32(0.5) * side))
    at = (np.arange(pixels) - np.float64(shift)) / np.float64(factor)
    inside = np.flatnonzero((at >= 0) & (at <= length - 1))
    first = np.floor(at[inside]).astype(np.int64)
    part = (at[inside] - first).astype(np.float32)
    return first, np.minimum(first + 1, length - 1), part, inside


def _decoded(heatmaps: Float32Array, kernel: int) -> tuple[Float32Array, Float32Array]:
    """``(n, K, 2)`` positions in heatmap pixels, (-1, -1) if nothing is positive; ``(n, K)`` confidences."""
    count, keypoints, height, width = heatmaps.shape
    flat = heatmaps.reshape(count * keypoints, height * width)
    peaks = flat.argmax(axis=1)
    confidences = flat.max(axis=1)
    y, x = np.divmod(peaks, width)
    smooth = _blur_matrix(height, kernel) @ flat.reshape(-1, height, width) @ _blur_matrix(width, kernel).T
    logs = np.log(np.clip(smooth.astype(np.float32), FLOOR, CEILING))
    positions = np.stack([x, y], axis=1).astype(np.float32)
    positions -= _taylor_steps(_surroundings(logs, x, y)).astype(np.float32)
    positions[confidences <= 0] = -1
    return positions.reshape(count, keypoints, 2), confidences.reshape(count, keypoints)


def _surroundings(maps: Float32Array, x: NDArray[np.int64], y: NDArray[np.int64]) -> Float32Array:
    """``(m, 3, 3)``: the pixels around one of each map, whose edges go on outside."""
    padded = np.pad(maps, ((0, 0), (1, 1), (1, 1)), mode="edge")
    near = np.arange(3)
    around: Float32Array = padded[
        np.arange(len(maps))[:, None, None], (y[:, None] + near)[:, :, None], (x[:, None] + near)[:, None]
    ]
    return around


def _taylor_steps(near: Float32Array) -> FloatArray:
    """``(m, 2)``: the inverse Hessian times the gradient in the middle of ``(m, 3, 3)``, x then y."""
    upper, middle, lower = near[:, 0], near[:, 1], near[:, 2]
    here = middle[:, 1]
    gradient = 0.5 * np.stack([middle[:, 2] - middle[:, 0], lower[:, 1] - upper[:, 1]], axis=1)
    dxx = middle[:, 2] - 2 * here + middle[:, 0]
    dyy = lower[:, 1] - 2 * here + upper[:, 1]
    # The mixed derivative along the falling diagonal only, as published.
    dxy = 0.5 * (
        lower[:, 2] - middle[:, 2] - lower[:, 1] + 2 * here - middle[:, 0] - upper[:, 1] + upper[:, 0]
    )
    hessian = np.stack([dxx, dxy, dxy, dyy], axis=1).reshape(-1, 2, 2).astype(np.float64)
    hessian += np.finfo(np.float32).eps * np.eye(2)
    solved = np.linalg.solve(hessian, gradient[:, :, None])
    return np.asarray(solved[:, :, 0], dtype=np.float64)


@lru_cache(maxsize=8)
def _blur_matrix(length: int, kernel: int) -> FloatArray:
    """``(length, length)``: smoothing along an axis that is mirrored at its ends."""
    radius = kernel // 2
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / BLUR_SIGMA) ** 2)
    weights = weights / weights.sum()
    reads = np.pad(np.arange(length), radius, mode="symmetric")
    matrix = np.zeros((length, length))
    for offset, weight in enumerate(weights):
        np.add.at(matrix, (np.arange(length), reads[offset : offset + length]), weight)
    return matrix
