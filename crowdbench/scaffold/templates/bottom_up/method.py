"""The method: one look at the whole image finds people's centres, and from each centre its keypoints.

The idea is CenterNet's (Zhou et al., 2019): a heatmap whose peaks are people, and at each peak the offsets to
that person's keypoints. There are three frames, all with pixel centres at integers: the image; the network's
input, which is the image scaled to fit, in the middle; and cells, 4x4 pixels of the input each.

Letters: B images, n people of an image, K keypoints, H and W of the input, h and w in cells.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, max_pool2d

from crowdbench import KeypointSet, NetworkMethod, Pose, Sample
from crowdbench.errors import SettingsError
from crowdbench.geometry import transform_points, warp_crops
from crowdbench.heatmaps import gaussian_targets
from crowdbench.recipe import Recipe
from crowdbench.suppression import oks_nms

from .network import DEEPEST, STRIDE, Network

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]

# Offsets come in units of so many cells, so that the network's numbers are of the order of 1.
OFFSET_UNIT = 10.0


@dataclass(frozen=True)
class ImageSettings:
    """All that can change a prediction. Users change it with ``--set flip_test=false``; runs record it.

    Attributes:
        input_size: (height, width) of the network's input, in pixels.
        flip_test: average what the network finds with what it finds in the mirrored image.
        max_people: poses of an image, at most.
        min_score: centres that are less probable are nobody.
        nms_threshold: of two poses whose OKS is above it, the better one stays.
    """

    input_size: tuple[int, int] = (256, 320)
    flip_test: bool = True
    max_people: int = 30
    min_score: float = 0.05
    nms_threshold: float = 0.7

    def __post_init__(self) -> None:
        if any(side < DEEPEST or side % DEEPEST for side in self.input_size):
            raise ValueError(f"input_size must be multiples of {DEEPEST}, got {self.input_size}.")
        if self.max_people < 1:
            raise ValueError(f"max_people must be at least 1, got {self.max_people}.")


@dataclass(frozen=True)
class TrainingRecipe(Recipe):
    """All that can change the weights. Users change it with ``--recipe scaling=1``; trainings record it.

    Attributes:
        center_sigma: of the Gaussians that centres are trained towards, in cells.
        offset_weight: of the loss of offsets beside that of centres.
        scaling: images are enlarged, or reduced, by up to this factor.
    """

    epochs: int = 60
    images: int = 4
    learning_rate: float = 2e-3
    final_learning_rate: float = 2e-5
    center_sigma: float = 1.5
    offset_weight: float = 2.0
    scaling: float = 1.2


@dataclass(frozen=True, eq=False)
class Images:
    """One image or several, as the network sees them."""

    pixels: NDArray[np.uint8]  # (B, H, W, 3), RGB
    to_input: FloatArray  # (B, 2, 3), from pixels of the image to those of the input


@dataclass(frozen=True, eq=False)
class Lesson:
    """Images, and what the network should find in them."""

    images: Images
    centers: Float32Array  # (B, h, w), 0 to 1
    offsets: Float32Array  # (B, K, 2, h, w), x and y in `OFFSET_UNIT`
    weights: Float32Array  # (B, K, h, w), above 0 in cells that belong to a person whose keypoint is labelled


class MyMethod(NetworkMethod):
    """Centres and offsets of a small U-Net. Replace what is not yours, one function at a time."""

    paradigm = "bottom-up"
    Settings = ImageSettings
    settings: ImageSettings
    recipe = TrainingRecipe()

    @property
    def cells(self) -> tuple[int, int]:
        """(h, w)."""
        height, width = self.settings.input_size
        return height // STRIDE, width // STRIDE

    def network(self) -> nn.Module:
        """A new network, with random weights."""
        return Network(self.keypoints.count)

    # To predict: prepare → collate → predict.

    def prepare(self, sample: Sample, rng: np.random.Generator | None = None) -> Images | Lesson:
        """Scale an image to the input; with a generator, to train on. Runs in loader workers."""
        if rng is not None:
            return self._lesson(sample, rng)
        affines = fitted(sample.width, sample.height, self.settings.input_size)[None]
        return Images(warp_crops(sample.read(), affines, self.settings.input_size), affines)

    def collate(self, examples: Sequence[Images | Lesson]) -> Images | Lesson:
        """Stack the examples of several images."""
        lessons = [example for example in examples if isinstance(example, Lesson)]
        if lessons:
            return Lesson(
                stacked([lesson.images for lesson in lessons]),
                np.concatenate([lesson.centers for lesson in lessons]),
                np.concatenate([lesson.offsets for lesson in lessons]),
                np.concatenate([lesson.weights for lesson in lessons]),
            )
        return stacked([example for example in examples if isinstance(example, Images)])

    def predict(self, network: nn.Module, batch: Images) -> list[list[Pose]]:
        """The poses of each image, in its own coordinates."""
        centers, offsets = self._found(network, batch)
        # A cell is a person's centre if it is more probable than those around it.
        peaks = centers * (centers == max_pool2d(centers[:, None], 3, stride=1, padding=1)[:, 0])
        count = min(self.settings.max_people, peaks[0].numel())
        scores, cells = peaks.flatten(1).topk(count)  # (B, count) each
        index = cells[:, None, None].expand(-1, *offsets.shape[1:3], -1)
        steps = offsets.flatten(3).gather(3, index).permute(0, 3, 1, 2)  # (B, count, K, 2)
        rows, columns = cells // peaks.shape[2], cells % peaks.shape[2]
        positions = torch.stack([columns, rows], dim=-1)[:, :, None] + OFFSET_UNIT * steps
        located, probable = positions.double().cpu().numpy(), scores.cpu().numpy()
        return [self._poses(*found) for found in zip(located, probable, batch.to_input, strict=True)]

    def _found(self, network: nn.Module, batch: Images) -> tuple[Tensor, Tensor]:
        """Probabilities of centres ``(B, h, w)`` and offsets ``(B, K, 2, h, w)``, float32."""
        images = normalised(batch.pixels, next(network.parameters()))
        logits, offsets = network(images)
        centers, offsets = logits.float().sigmoid(), offsets.float()
        if self.settings.flip_test:
            logits, mirrored = network(images.flip(-1))
            centers = (centers + logits.float().sigmoid().flip(-1)) / 2
            # In a mirror left and right have changed places, and what was to the left is to the right.
            mirrored = mirrored.float().flip(-1)[:, list(self.keypoints.flip_order)]
            offsets = (offsets + mirrored * mirrored.new_tensor([-1, 1]).view(2, 1, 1)) / 2
        return centers, offsets

    def _poses(self, positions: FloatArray, scores: Float32Array, to_input: FloatArray) -> list[Pose]:
        """The poses of one image.

        Args:
            positions: ``(n, K, 2)``, x, y in cells.
            scores: ``(n,)``.
            to_input: ``(2, 3)``, of the image.
        """
        likely = scores >= self.settings.min_score
        keypoints = transform_points(positions[likely], to_image(to_input)[None])
        scores = scores[likely]
        areas = np.prod(np.ptp(keypoints, axis=1), axis=1)
        kept = oks_nms(keypoints, scores, areas, self.keypoints.sigmas, self.settings.nms_threshold)
        confidences = np.broadcast_to(scores[:, None, None], (*keypoints.shape[:2], 1))
        keypoints = np.concatenate([keypoints, confidences], axis=2)
        return [Pose(keypoints[i], float(scores[i])) for i in kept]

    # To train: prepare, with a generator → collate → loss.

    @classmethod
    def published_recipe(cls, dataset: str, keypoints: KeypointSet) -> TrainingRecipe:
        """What your paper trains with on a dataset."""
        return TrainingRecipe()

    def train_with(self, recipe: Recipe) -> None:
        """Be told the recipe, with what users have changed in it."""
        if not isinstance(recipe, TrainingRecipe):
            raise SettingsError(f"{self.name} is trained by a TrainingRecipe, got {type(recipe).__name__}.")
        self.recipe = recipe

    def _lesson(self, sample: Sample, rng: np.random.Generator) -> Lesson:
        """An image and its people, seen a little differently each time.

        Random numbers come from `rng` alone: then trainings can be repeated, and continued, to the bit.
        """
        people = [person for person in sample.instances if (person.keypoints[:, 2] > 0).any()]
        keypoints = np.array([person.keypoints for person in people]).reshape(-1, self.keypoints.count, 3)
        image = sample.read()
        enlargement = self.recipe.scaling ** rng.uniform(-1, 1)
        affine = fitted(sample.width, sample.height, self.settings.input_size, enlargement)
        if rng.random() < 0.5:
            # Pixel centres are at integers: the last column, width - 1, becomes column 0.
            image = np.ascontiguousarray(image[:, ::-1])
            keypoints = keypoints[:, list(self.keypoints.flip_order)]
            keypoints[..., 0] = sample.width - 1 - keypoints[..., 0]
        pixels = warp_crops(image, affine[None], self.settings.input_size)
        in_input = transform_points(keypoints[..., :2], np.repeat(affine[None], len(keypoints), axis=0))
        targets = self._targets((in_input - CELL_CENTER) / STRIDE, keypoints[..., 2] > 0)
        return Lesson(Images(pixels, affine[None]), *(target[None] for target in targets))

    def _targets(
        self, positions: FloatArray, labelled: NDArray[np.bool_]
    ) -> tuple[Float32Array, Float32Array, Float32Array]:
        """What the network should find.

        Args:
            positions: ``(n, K, 2)`` of the keypoints, x, y in cells.
            labelled: ``(n, K)``.

        Returns:
            Centres ``(h, w)``, offsets ``(K, 2, h, w)`` and their weights ``(K, h, w)``.
        """
        height, width = self.cells
        counted = labelled[..., None]
        middles = np.sum(positions, axis=1, where=counted) / np.maximum(counted.sum(axis=1), 1)  # (n, 2)
        maps, _ = gaussian_targets(
            middles[:, None], np.ones((len(middles), 1)), self.cells, self.recipe.center_sigma
        )
        maps = maps[:, 0]  # (n, h, w)
        if len(maps) == 0:
            empty = np.zeros((self.keypoints.count, height, width), np.float32)
            return empty[0], np.stack([empty, empty], axis=1), empty
        # A cell belongs to the person whose centre is nearest, as far as the Gaussian reaches.
        owner, centers = maps.argmax(axis=0), maps.max(axis=0)
        grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)))  # (2, h, w)
        offsets = (positions[owner].transpose(2, 3, 0, 1) - grid) / OFFSET_UNIT
        weights = labelled[owner].transpose(2, 0, 1) * np.where(centers > 0.1, centers, 0)
        return centers, offsets.astype(np.float32), weights.astype(np.float32)

    def loss(self, network: nn.Module, batch: Lesson) -> dict[str, Tensor]:
        """How wrong the centres are, and the offsets where somebody is."""
        parameter = next(network.parameters())
        logits, offsets = network(normalised(batch.images.pixels, parameter))
        centers, wanted, weights = (
            torch.from_numpy(array).to(parameter.device)
            for array in (batch.centers, batch.offsets, batch.weights)
        )
        errors = binary_cross_entropy_with_logits(logits.float(), centers, reduction="none")
        distances = (offsets.float() - wanted).abs().sum(dim=2) * weights
        return {
            "center": errors.sum(dim=(1, 2)).mean() / 100,
            "offset": self.recipe.offset_weight * distances.sum() / weights.sum().clamp(min=1),
        }

    def counted(self, batch: Lesson) -> int:
        """The images that the losses are means over."""
        return len(batch.centers)


# The middle of the first cell, in pixels of the input: pixels 0, 1, 2 and 3 are in it.
CELL_CENTER = (STRIDE - 1) / 2


def fitted(width: int, height: int, size: tuple[int, int], enlargement: float = 1.0) -> FloatArray:
    """The map from an image to the network's input: as large as it fits, in the middle.

    Args:
        width, height: of the image, in pixels.
        size: (height, width) of the input.
        enlargement: on top of that.

    Returns:
        ``(2, 3)``: ``[x', y'] = A @ [x, y, 1]``.
    """
    scale = enlargement * min(size[1] / width, size[0] / height)
    # Middle to middle. Of pixels 0 .. width - 1 it is (width - 1) / 2.
    return np.array(
        [
            [scale, 0, (size[1] - 1 - scale * (width - 1)) / 2],
            [0, scale, (size[0] - 1 - scale * (height - 1)) / 2],
        ]
    )


def to_image(to_input: FloatArray) -> FloatArray:
    """``(2, 3)``: the way back, from cells to the image."""
    scale = to_input[0, 0]
    return np.column_stack([np.eye(2) * STRIDE / scale, (CELL_CENTER - to_input[:, 2]) / scale])


def stacked(groups: Sequence[Images]) -> Images:
    """Several images in one batch."""
    return Images(
        np.concatenate([group.pixels for group in groups]),
        np.concatenate([group.to_input for group in groups]),
    )


def normalised(pixels: NDArray[np.uint8], like: Tensor) -> Tensor:
    """``(B, H, W, 3)``, 0 to 255 → ``(B, 3, H, W)``, -1 to 1, on the device of `like`."""
    images = torch.from_numpy(pixels).to(like.device).permute(0, 3, 1, 2)
    return images.to(like.dtype) / 127.5 - 1
