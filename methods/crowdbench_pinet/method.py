"""PINet as a method."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from crowdbench import NetworkMethod
from crowdbench.api.recipe import Recipe
from crowdbench.api.types import FloatArray, KeypointSet, Pose, Precision, Sample
from crowdbench.errors import SettingsError
from crowdbench.vision.geometry import transform_points
from crowdbench_backbones.networks.fuse import optimize
from crowdbench_backbones.networks.pretrained import load_trunk, load_whole
from crowdbench_backbones.tensor_batch import TensorBatch
from crowdbench_backbones.top_down.crops import normalised
from crowdbench_backbones.top_down.settings import require_sigma_per_keypoint
from crowdbench_pinet import recipe as recipes
from crowdbench_pinet.augmentation import draw, view
from crowdbench_pinet.body_parts import bones, part_keypoints
from crowdbench_pinet.candidates import averaged_flipped, find_peaks, mirrored, propose
from crowdbench_pinet.fusion import fuse, group_poses
from crowdbench_pinet.network import PINetNetwork, tiny_network
from crowdbench_pinet.preprocessing import input_affine, input_size, resize
from crowdbench_pinet.recipe import PINetRecipe
from crowdbench_pinet.rescoring import ScaleResult, rescore
from crowdbench_pinet.settings import PINET, TINY, PINetSettings
from crowdbench_pinet.training_examples import Supervised, SupervisedBatch, join, supervise, training_losses


@dataclass(frozen=True, eq=False)
class Inputs:
    """One image, resized for every scale.

    Attributes:
        pixels: ``(H, W, 3)`` uint8, RGB, by scale.
        size: (height, width) of the input at scale 1, which need not be tested.
        back: ``(2, 3)`` float64, from that input to the image.
    """

    pixels: dict[float, NDArray[np.uint8]]
    size: tuple[int, int]
    back: FloatArray


@dataclass(frozen=True, eq=False)
class Stack:
    """Inputs of equal scale and size.

    Attributes:
        scale: of them all.
        rows: which image of the batch each is of.
        pixels: ``(n, H, W, 3)`` uint8, RGB.
    """

    scale: float
    rows: list[int]
    pixels: Tensor


@dataclass(frozen=True, eq=False)
class InputBatch(TensorBatch):
    """Several images.

    Attributes:
        stacks: all their inputs.
        sizes, backs: of each image; see `Inputs`.
    """

    stacks: list[Stack]
    sizes: list[tuple[int, int]]
    backs: list[FloatArray]


class PINet(NetworkMethod):
    """PINet (Wang et al., NeurIPS 2021)."""

    paradigm = "bottom-up"
    Settings: ClassVar[type[Any]] = PINetSettings
    settings: PINetSettings
    published = PINET

    def __init__(self, keypoints: KeypointSet, settings: PINetSettings, name: str | None = None) -> None:
        require_sigma_per_keypoint(settings.nms_sigmas, keypoints)
        super().__init__(keypoints, settings, name)
        part_keypoints(keypoints)  # refuses layouts without body parts
        self.images_at_once = 1
        self.recipe = recipes.published("", keypoints)

    def build_network(self) -> nn.Module:
        """The network with the release's initialisation of all but the trunk, without ImageNet's weights."""
        own = self.settings
        return PINetNetwork(
            self.keypoints.count,
            bones(self.keypoints),
            own.refinement_layers,
            sampling=own.refinement_sampling,
        )

    @classmethod
    def published_recipe(cls, dataset: str, keypoints: KeypointSet) -> PINetRecipe:
        """The release's, from ImageNet's weights; CrowdPose's numbers for a dataset that it does not know."""
        return recipes.published(dataset, keypoints)

    def configure_training(self, recipe: Recipe) -> None:
        """Take augmentation, targets, proposals and loss weights from the recipe; raises SettingsError."""
        if not isinstance(recipe, PINetRecipe):
            raise SettingsError(f"{self.name} is trained with a PINetRecipe, got a {type(recipe).__name__}.")
        self.recipe = recipe

    def initialize_from(self, network: nn.Module, state: Mapping[str, Tensor], source: str) -> list[str]:
        """Weights of ImageNet's HRNet into the trunk, or all of this very network."""
        if any(name.startswith(("backbone.", "ppg.", "pr.")) for name in state):
            return load_whole(network, state, source)
        trunk = network.get_submodule("backbone")
        parts = [name for name, _ in trunk.named_children()]
        return [f"backbone.{name}" for name in load_trunk(trunk, state, source, parts)]

    def set_batch_limit(self, size: int) -> None:
        """So many images of equal size go through the network together, each with its mirror image."""
        self.images_at_once = size

    def optimize_for_inference(
        self, network: nn.Module, *, precision: Precision = "fp32", compiled: bool = False
    ) -> nn.Module:
        """Fold batch norms into convolutions, lay kernels out for images whose colors are together."""
        return optimize(network, precision=precision, compiled=compiled)

    def prepare(self, sample: Sample, rng: np.random.Generator | None = None) -> Any:
        """Resize an image for every scale; with a generator, cut out a square of it and say what is there."""
        if rng is not None:
            augmentation = self.recipe.augmentation
            seen = view(draw(rng, augmentation), sample.width, sample.height, augmentation)
            return supervise(sample, seen, self.keypoints, self.recipe)
        own, image = self.settings, sample.read()
        height, width = image.shape[:2]
        size = input_size(height, width, own.short_side, longest=own.longest_side)
        pixels = {}
        for scale in own.scales:
            scaled = input_size(height, width, own.short_side, longest=own.longest_side, scale=scale)
            affine = input_affine(height, width, scaled, exact=own.exact_middle)
            pixels[scale] = resize(image, affine, scaled)
        back = input_affine(height, width, size, exact=own.exact_middle, inverse=True)
        return Inputs(pixels, size, back)

    def collate(self, examples: Sequence[Any]) -> Any:
        """Join the inputs of several images, equal sizes together."""
        if isinstance(examples[0], Supervised):
            return join(examples, self.keypoints, self.recipe)
        alike: dict[tuple[float, tuple[int, ...]], list[int]] = {}
        for row, example in enumerate(examples):
            for scale, pixels in example.pixels.items():
                alike.setdefault((scale, pixels.shape), []).append(row)
        stacks = [
            Stack(scale, rows, torch.from_numpy(np.stack([examples[row].pixels[scale] for row in rows])))
            for (scale, _), rows in alike.items()
        ]
        return InputBatch(stacks, [e.size for e in examples], [e.back for e in examples])

    def loss(self, network: nn.Module, batch: SupervisedBatch) -> dict[str, Tensor]:
        """The losses of heatmaps, of offsets, and of offsets that are refined."""
        parameter = next(network.parameters())
        batch = batch.to(parameter.device)
        maps, poses = network(normalised(batch.pixels, parameter.dtype), batch.proposals)
        return training_losses(maps, poses, batch, self.recipe.targets, self.recipe.losses)

    def count_targets(self, batch: SupervisedBatch) -> int:
        """The images of a batch."""
        return len(batch)

    def predict(self, network: nn.Module, batch: InputBatch) -> list[list[Pose]]:
        """The network on all inputs, then the poses of each image: rescored, grouped, fused."""
        found: list[list[ScaleResult]] = [[] for _ in batch.sizes]
        for stack in batch.stacks:
            for rows, pixels in zip(
                _portions(stack.rows, self.images_at_once),
                torch.split(stack.pixels, self.images_at_once),
                strict=True,
            ):
                for row, result in zip(rows, self._at_scale(network, stack.scale, pixels), strict=True):
                    found[row].append(result)
        return [
            self.poses(results, size, back)
            for results, size, back in zip(found, batch.sizes, batch.backs, strict=True)
        ]

    def _at_scale(self, network: nn.Module, scale: float, pixels: Tensor) -> list[ScaleResult]:
        """Candidates and heatmaps of images of equal size, each by itself."""
        assert isinstance(network, PINetNetwork)
        own, parameter = self.settings, next(network.parameters())
        images = normalised(pixels.to(parameter.device, non_blocking=True), parameter.dtype)
        flip_order = self.keypoints.flip_order if own.flip_test else None
        maps = network.maps(torch.cat([images, mirrored(images)]) if own.flip_test else images)
        if flip_order is not None:
            heatmaps, parts = averaged_flipped(maps, flip_order)
        else:
            heatmaps, parts = maps.heatmaps.float(), maps.parts.float()
        peaks = find_peaks(parts, own.candidates_per_part, own.candidate_threshold)
        candidates = propose(network, maps, peaks, flip_order, own.refinement)
        return [
            ScaleResult(scale, heat, c.keypoints.numpy(), c.scores.numpy())
            for heat, c in zip(heatmaps.cpu().numpy(), candidates, strict=True)
        ]

    def poses(self, results: Sequence[ScaleResult], size: tuple[int, int], back: FloatArray) -> list[Pose]:
        """The poses of one image, best first.

        Args:
            results: of all scales.
            size: (height, width) of the input at scale 1.
            back: ``(2, 3)``, from that input to the image.
        """
        own = self.settings
        positions, confidences = rescore(results, size, own.scale_decrease)
        if not len(positions):
            return []
        # float32, as the release keeps its coordinates
        located = transform_points(positions, np.broadcast_to(back, (len(positions), 2, 3))).astype(
            np.float32
        )
        keypoints = np.concatenate([located, confidences[..., None]], axis=2, dtype=np.float64)
        scores = confidences.mean(axis=1, dtype=np.float64)
        groups = group_poses(keypoints, scores, own.nms_sigmas or self.keypoints.sigmas, own.nms_threshold)
        if own.pose_fusion:
            keypoints, scores = fuse(keypoints, groups)
        else:
            kept = [group[0] for group in groups]
            keypoints, scores = keypoints[kept], scores[kept]
        return [Pose(pose, score) for pose, score in zip(keypoints, scores.tolist(), strict=True)]


def _portions(rows: Sequence[int], size: int) -> list[Sequence[int]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


class PINetTiny(PINet):
    """PINet on an HRNet small enough to learn and to run on a CPU."""

    published = {"*": TINY}  # noqa: RUF012  (as PINet's)

    def build_network(self) -> nn.Module:
        """The network with random weights."""
        own = self.settings
        return tiny_network(
            self.keypoints.count, bones(self.keypoints), own.refinement_layers, own.refinement_sampling
        )

    @classmethod
    def published_recipe(cls, dataset: str, keypoints: KeypointSet) -> PINetRecipe:
        """Our own, the same on every dataset."""
        return recipes.TINY
