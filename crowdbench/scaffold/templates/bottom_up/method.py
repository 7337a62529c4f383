"""The method: the network predicts persons' centers in the whole image, and keypoints from each center.

The idea is CenterNet's (Zhou et al., 2019): a heatmap whose peaks are persons, and at each peak the offsets
to that person's keypoints.

Letters: B images, n people of an image, K keypoints, h and w in cells; see `frames`.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, max_pool2d

from crowdbench import KeypointSet, NetworkMethod, Pose, Sample
from crowdbench.api.recipe import Recipe
from crowdbench.errors import SettingsError
from crowdbench.vision.geometry import transform_points, warp_crops
from crowdbench.vision.oks_nms import oks_nms

from .examples import OFFSET_UNIT, Images, Lesson, normalised, stacked, stacked_lessons, targets
from .frames import cells_to_image, image_to_cells, image_to_input
from .network import STRIDE, Network
from .settings import ImageSettings, TrainingRecipe


class MyMethod(NetworkMethod):
    """Centres and offsets of a small U-Net. Replace what is not yours, one function at a time."""

    paradigm = "bottom-up"
    Settings = ImageSettings
    settings: ImageSettings
    recipe = TrainingRecipe()

    def build_network(self) -> nn.Module:
        """A new network, with random weights."""
        return Network(self.keypoints.count)

    # To predict: prepare → collate → predict.

    def prepare(self, sample: Sample, rng: np.random.Generator | None = None) -> Images | Lesson:
        """Scale an image to the input; with a generator, to train on. Runs in loader workers."""
        if rng is not None:
            return self._lesson(sample, rng)
        size = self.settings.input_size
        to_input = image_to_input(sample.width, sample.height, size)[None]
        return Images(warp_crops(sample.read(), to_input, size), to_input)

    def collate(self, examples: Sequence[Images | Lesson]) -> Images | Lesson:
        """Stack the examples of several images."""
        lessons = [example for example in examples if isinstance(example, Lesson)]
        return (
            stacked_lessons(lessons) if lessons else stacked([e for e in examples if isinstance(e, Images)])
        )

    def predict(self, network: nn.Module, batch: Images) -> list[list[Pose]]:
        """The poses of each image, in its own coordinates."""
        centers, offsets = self._found(network, batch)
        # A cell is a person's centre if it is more probable than those around it.
        peaks = centers * (centers == max_pool2d(centers[:, None], 3, stride=1, padding=1)[:, 0])
        scores, cells = peaks.flatten(1).topk(min(self.settings.max_people, peaks[0].numel()))  # (B, n)
        there = cells[:, None, None].expand(-1, *offsets.shape[1:3], -1)  # (B, K, 2, n)
        steps = offsets.flatten(3).gather(3, there).permute(0, 3, 1, 2)  # (B, n, K, 2)
        start = torch.stack([cells % peaks.shape[2], cells // peaks.shape[2]], dim=-1)  # (B, n, 2): x, y
        located = (start[:, :, None] + OFFSET_UNIT * steps).double().cpu().numpy()
        images = zip(located, scores.double().cpu().numpy(), batch.to_input, strict=True)
        return [self._poses(*image) for image in images]

    def _found(self, network: nn.Module, batch: Images) -> tuple[Tensor, Tensor]:
        """Probabilities of centres ``(B, h, w)`` and offsets ``(B, K, 2, h, w)``, float32."""
        images = normalised(batch.pixels, next(network.parameters()))
        logits, offsets = network(images)
        centers, offsets = logits.float().sigmoid(), offsets.float()
        if self.settings.flip_test:
            logits, mirrored = network(images.flip(-1))
            centers = (centers + logits.float().sigmoid().flip(-1)) / 2
            # Mirroring exchanges left and right keypoints, and negates horizontal offsets.
            mirrored = mirrored.float().flip(-1)[:, list(self.keypoints.flip_order)]
            offsets = (offsets + mirrored * mirrored.new_tensor([-1, 1]).view(2, 1, 1)) / 2
        return centers, offsets

    def _poses(
        self, positions: NDArray[np.float64], scores: NDArray[np.float64], to_input: NDArray[np.float64]
    ) -> list[Pose]:
        """The poses of one image.

        Args:
            positions: ``(n, K, 2)``, x, y in cells.
            scores: ``(n,)``.
            to_input: ``(2, 3)``.
        """
        likely = scores >= self.settings.min_score
        positions, scores = positions[likely], scores[likely]
        located = transform_points(positions, cells_to_image(to_input)[None])
        areas = np.prod(np.ptp(located, axis=1), axis=1)
        kept = oks_nms(located, scores, areas, self.keypoints.sigmas, self.settings.nms_threshold)
        # The network does not say how sure it is of a keypoint; of a person it does.
        return [Pose(np.insert(located[i], 2, scores[i], axis=1), scores[i]) for i in kept]

    # To train: prepare, with a generator → collate → loss.

    @classmethod
    def published_recipe(cls, dataset: str, keypoints: KeypointSet) -> TrainingRecipe:
        """The recipe that your paper uses on a dataset."""
        return TrainingRecipe()

    def configure_training(self, recipe: Recipe) -> None:
        """Receive the recipe, including the user's changes."""
        if not isinstance(recipe, TrainingRecipe):
            raise SettingsError(f"{self.name} is trained by a TrainingRecipe, got {type(recipe).__name__}.")
        self.recipe = recipe

    def _lesson(self, sample: Sample, rng: np.random.Generator) -> Lesson:
        """An image and its people, seen a little differently each time.

        All random numbers come from `rng`, so that training is reproducible and can be resumed exactly.
        """
        people = [person for person in sample.instances if (person.keypoints[:, 2] > 0).any()]
        keypoints = np.array([person.keypoints for person in people]).reshape(-1, self.keypoints.count, 3)
        size, image = self.settings.input_size, sample.read()
        enlargement = self.recipe.scaling ** rng.uniform(-1, 1)
        to_input = image_to_input(sample.width, sample.height, size, enlargement)[None]
        if rng.random() < 0.5:
            # Pixel centres are at integers: the last column, width - 1, becomes column 0.
            image = np.ascontiguousarray(image[:, ::-1])
            keypoints = keypoints[:, list(self.keypoints.flip_order)]
            keypoints[..., 0] = sample.width - 1 - keypoints[..., 0]
        positions = transform_points(keypoints[..., :2], image_to_cells(to_input[0])[None])
        cells = (size[0] // STRIDE, size[1] // STRIDE)
        wanted = targets(positions, keypoints[..., 2] > 0, cells, self.recipe.center_sigma)
        images = Images(warp_crops(image, to_input, size), to_input)
        return Lesson(images, *(target[None] for target in wanted))

    def loss(self, network: nn.Module, batch: Lesson) -> dict[str, Tensor]:
        """The loss of the centers, and of the offsets near persons."""
        parameter = next(network.parameters())
        logits, offsets = network(normalised(batch.images.pixels, parameter))
        centers, wanted, weights = (
            torch.from_numpy(array).to(parameter.device)
            for array in (batch.centers, batch.offsets, batch.weights)
        )
        surprise = binary_cross_entropy_with_logits(logits.float(), centers, reduction="none")
        distances = (offsets.float() - wanted).abs().sum(dim=2) * weights  # (B, K, h, w)
        return {
            # Of a hundred cells: there are thousands, nearly all of them easy.
            "center": surprise.sum() / 100 / len(centers),
            "offset": self.recipe.offset_weight * distances.sum() / weights.sum().clamp(min=1),
        }

    def count_targets(self, batch: Lesson) -> int:
        """The images of a batch."""
        return len(batch.centers)
