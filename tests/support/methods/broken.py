"""An exact method, which finds the dots of drawn persons, and the ways in which methods are wrong."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from crowdbench.api.method import Method, NetworkMethod
from crowdbench.api.recipe import Recipe
from crowdbench.api.types import KeypointSet, Pose, Sample
from crowdbench.testing.drawn_people import colours, pair_of

# A dot's pixels have its colour up to this distance; what is at half of it counts half.
COLOUR_REACH = 90.0
MARGIN = 4
# Persons are lighter than any background.
LIGHT = 190


def similarity(pixels: np.ndarray, keypoints: KeypointSet) -> np.ndarray:
    """``(G, h, w)`` in [0, 1]: how much each pixel has the colour of each pair of keypoints."""
    groups = pair_of(keypoints)
    palette = np.array([colours(keypoints)[groups.index(g)] for g in range(max(groups) + 1)], float)
    apart = pixels[None].astype(np.float32) - palette[:, None, None].astype(np.float32)
    return np.clip(1 - np.sqrt(np.einsum("ghwc,ghwc->ghw", apart, apart)) / COLOUR_REACH, 0, 1)


def dots(weights: np.ndarray) -> list[np.ndarray]:
    """The middles of the two largest spots of a map, x, y, from right to left."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((weights > 0).astype(np.uint8))
    largest = sorted(range(1, count), key=lambda i: -stats[i, cv2.CC_STAT_AREA])[:2]
    found = []
    for label in largest:
        y, x = np.nonzero(labels == label)
        found.append(np.average([x, y], axis=1, weights=weights[y, x]))
    return sorted(found, key=lambda xy: -xy[0])


def cut(image: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pixels of a box and a margin, and where they begin, x, y."""
    first = np.floor(box[:2]).astype(int) - MARGIN
    last = np.ceil(box[:2] + box[2:]).astype(int) + MARGIN
    size = np.array(image.shape[1::-1])
    first, last = np.clip(first, 0, size), np.clip(last, 0, size)
    return image[first[1] : last[1], first[0] : last[0]], first


def pose_from(maps: np.ndarray, origin: np.ndarray, box: np.ndarray, keypoints: KeypointSet) -> np.ndarray:
    """``(K, 3)``: every dot; where one is missing the box's middle, with a confidence of 0."""
    found = np.zeros((keypoints.count, 3))
    found[:, :2] = box[:2] + (box[2:] - 1) / 2
    groups, order = pair_of(keypoints), keypoints.flip_order
    for index, name in enumerate(keypoints.keypoints):
        spots = dots(maps[groups[index]]) if maps[groups[index]].size else []
        if spots:
            # Persons face the viewer: their left is on the right.
            paired = order[index] != index
            spot = spots[0] if not paired or name.startswith("left") else spots[-1]
            found[index] = *(spot + origin), 1.0
    return found


class Dots(Method):
    """The exact method, without a network."""

    paradigm = "top-down"

    def estimate(self, image, boxes):
        return [self.finished(self.pose(image, box), box) for box in boxes]

    def pose(self, image, box):
        pixels, origin = cut(image, box)
        return pose_from(similarity(pixels, self.keypoints), origin, box, self.keypoints)

    def finished(self, keypoints, box):
        return Pose(keypoints, float(keypoints[:, 2].mean()), box)


class DotsEverywhere(Dots):
    """The same without boxes: persons are what is light and hangs together."""

    paradigm = "bottom-up"

    def estimate(self, image, boxes):
        light = (image.max(axis=2) > LIGHT).astype(np.uint8)
        light = cv2.dilate(light, np.ones((5, 5), np.uint8))
        count, _, stats, _ = cv2.connectedComponentsWithStats(light)
        found = [stats[i, :4].astype(float) for i in range(1, count) if stats[i, cv2.CC_STAT_HEIGHT] > 30]
        return super().estimate(image, np.array(found).reshape(-1, 4))


class OnePerson(DotsEverywhere):
    """Finds the person who is nearest to the middle of the image, as methods for one person do."""

    def estimate(self, image, boxes):
        found = super().estimate(image, boxes)
        middle = np.array(image.shape[1::-1]) / 2
        away = [np.linalg.norm(np.median(pose.keypoints[:, :2], axis=0) - middle) for pose in found]
        return [found[int(np.argmin(away))]] if found else []


class DotsNetwork(nn.Module):
    """Colours are known; what has to be learnt is to be confident."""

    def __init__(self, keypoints: KeypointSet) -> None:
        super().__init__()
        groups = pair_of(keypoints)
        palette = [colours(keypoints)[groups.index(g)] for g in range(max(groups) + 1)]
        self.register_buffer("palette", torch.tensor(np.array(palette), dtype=torch.float32))
        self.confidence = nn.Parameter(torch.randn(keypoints.count))

    def forward(self, pixels: Tensor) -> Tensor:
        """``(h, w, 3)`` to ``(G, h, w)``."""
        apart = pixels[None].to(self.palette.dtype) - self.palette[:, None, None]
        return (1 - apart.square().sum(-1).sqrt() / COLOUR_REACH).clamp(0, 1)


@dataclass
class Crops:
    pixels: list
    origins: list
    boxes: np.ndarray


class DotsByNetwork(NetworkMethod):
    """The exact method, with a network."""

    paradigm = "top-down"

    def build_network(self) -> nn.Module:
        return DotsNetwork(self.keypoints)

    def prepare(self, sample: Sample, rng: np.random.Generator | None = None):
        image = sample.read()
        if rng is not None:
            image = np.clip(image + rng.normal(0, 3, image.shape), 0, 255).astype(np.uint8)
        cuts = [cut(image, box) for box in sample.boxes_xywh]
        return Crops([pixels.copy() for pixels, _ in cuts], [o for _, o in cuts], sample.boxes_xywh)

    def collate(self, examples: Sequence[Crops]):
        return list(examples)

    def predict(self, network: nn.Module, batch):
        return [
            [self.pose(network, *crop) for crop in zip(e.pixels, e.origins, e.boxes, strict=True)]
            for e in batch
        ]

    def pose(self, network, pixels, origin, box):
        maps = network(torch.from_numpy(pixels).to(network.confidence.device)).float().cpu().numpy()
        keypoints = pose_from(maps, origin, box, self.keypoints)
        keypoints[:, 2] *= network.confidence.detach().float().sigmoid().cpu().numpy()
        return self.finished(keypoints, box)

    def finished(self, keypoints, box):
        return Pose(keypoints, float(keypoints[:, 2].mean()), box)

    @classmethod
    def published_recipe(cls, dataset, keypoints):
        return Recipe(learning_rate=1e-2)

    def loss(self, network, batch):
        return {"confidence": (network.confidence.sigmoid() - 1).square().mean()}

    def count_targets(self, batch):
        return sum(len(example.boxes) for example in batch)


# What follows is each wrong in one way.


class CropSpace(Dots):
    """Forgets to go back from the crop to the image."""

    def pose(self, image, box):
        found = super().pose(image, box)
        found[:, :2] -= box[:2]
        return found


class HeatmapSpace(Dots):
    """Forgets that a heatmap is a quarter of the image."""

    def pose(self, image, box):
        found = super().pose(image, box)
        found[:, :2] /= 4
        return found


class BatchDependent(DotsByNetwork):
    """Judges persons by how bright they are among those of the batch."""

    def predict(self, network, batch):
        brightness = [[float(p.sum()) + 1 for p in e.pixels] for e in batch]
        mean = np.mean([b for row in brightness for b in row] or [1.0])
        return [
            [
                Pose(pose.keypoints, pose.score * b / mean, pose.box_xywh)
                for pose, b in zip(*both, strict=True)
            ]
            for both in zip(super().predict(network, batch), brightness, strict=True)
        ]


class Stateful(DotsByNetwork):
    """Takes its exposure from the first person that it ever sees."""

    exposure: float | None = None

    def pose(self, network, pixels, origin, box):
        if self.exposure is None:
            self.exposure = float(pixels.mean())
        found = super().pose(network, pixels, origin, box)
        return Pose(found.keypoints, found.score * self.exposure / 100, box)


class NotANumber(Dots):
    """Divides by the contrast."""

    def estimate(self, image, boxes):
        contrast = float(image.std())
        spread = np.nan if contrast == 0 else contrast
        return [
            Pose(p.keypoints, p.score * spread / spread, p.box_xywh) for p in super().estimate(image, boxes)
        ]


class AlwaysNaN(Dots):
    """Not even an ordinary image is answered in numbers."""

    def pose(self, image, box):
        return np.full((self.keypoints.count, 3), np.nan)


class Mirrored(Dots):
    """Finds persons in the mirrored image, and does not exchange left and right afterwards."""

    def pose(self, image, box):
        return super().pose(image, box)[list(self.keypoints.flip_order)]


class BoxesIgnored(DotsEverywhere):
    """Takes the boxes' number only."""

    paradigm = "top-down"

    def estimate(self, image, boxes):
        found = super().estimate(image, boxes)
        return sorted(found, key=lambda pose: pose.keypoints[0, 0])[: len(boxes)]

    def finished(self, keypoints, box):
        return Pose(keypoints, float(keypoints[:, 2].mean()))


class HalfPixelOff(Dots):
    """Takes pixels to have their centres at one half."""

    def pose(self, image, box):
        found = super().pose(image, box)
        found[:, :2] += 0.5
        return found


class NobodyThere(DotsByNetwork):
    """Joins what it has cut out, of which there may be nothing."""

    def collate(self, examples):
        for example in examples:
            np.stack(example.origins)
        return list(examples)


class Random(Dots):
    """Draws a little noise from the global generator."""

    def pose(self, image, box):
        found = super().pose(image, box)
        found[:, :2] += np.random.normal(0, 1e-3, (len(found), 2))  # noqa: NPY002
        return found


class Unpicklable(DotsByNetwork):
    """Holds a function that has no name."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.scale = lambda value: value


class ImageChanged(Dots):
    """Works in place."""

    def estimate(self, image, boxes):
        found = super().estimate(image, boxes)
        image[:] = 255 - image
        return found


class WeightsElsewhere(DotsByNetwork):
    """Keeps a part of what it has learnt out of the state dict."""

    def build_network(self) -> nn.Module:
        network = super().build_network()
        network.gain = float(torch.rand(()))
        return network

    def pose(self, network, pixels, origin, box):
        found = super().pose(network, pixels, origin, box)
        return Pose(found.keypoints, found.score * network.gain, box)


class LearnsNothing(DotsByNetwork):
    """Its loss does not depend on the weights."""

    def loss(self, network, batch):
        return {"confidence": 1 + 0 * network.confidence.sum()}


class OwnDice(DotsByNetwork):
    """Augments with the global generator."""

    def prepare(self, sample, rng=None):
        crops = super().prepare(sample, rng)
        if rng is not None:
            crops.pixels = crops.pixels[:: int(np.random.choice([-1, 1]))]  # noqa: NPY002
        return crops


class NoSmallImages(Dots):
    """Smooths with a window that a small image does not fill."""

    def estimate(self, image, boxes):
        np.lib.stride_tricks.sliding_window_view(image, (3, 3), axis=(0, 1))
        return super().estimate(image, boxes)


class AreaExpected(Dots):
    """Divides by the box's sides."""

    def pose(self, image, box):
        if not (box[2:] > 0).all():
            raise ZeroDivisionError("float division by zero")
        return super().pose(image, box)


class OwnReader(Dots):
    """Opens files by itself, and takes 16 bits for 8."""

    def estimate_sample(self, sample):
        image = cv2.imread(str(sample.path), cv2.IMREAD_UNCHANGED)
        image = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
        return self.estimate(np.minimum(image[..., 2::-1], 255).astype(np.uint8), sample.boxes_xywh)


class BoxesUsed(DotsEverywhere):
    """Says that it needs no boxes, and looks at them."""

    def estimate_sample(self, sample):
        found = self.estimate(sample.read(), sample.boxes_xywh)
        return found[: len(sample.instances)]


class TooMany(Dots):
    """Answers every box twice."""

    def estimate(self, image, boxes):
        return super().estimate(image, np.repeat(boxes, 2, axis=0))
