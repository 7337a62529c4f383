"""Small methods for tests: they need no weights and no patience."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from crowdbench.api.method import Method, NetworkMethod
from crowdbench.api.types import KeypointSet, Pose, Sample


@dataclass(frozen=True)
class ToySettings:
    scale: float = 1.0
    flip_test: bool = False
    input_size: tuple[int, int] = (16, 16)


class BoxCentre(Method):
    """Puts every keypoint at the centre of its box."""

    paradigm = "top-down"

    def estimate(self, image: Any, boxes: Any) -> list[Pose]:
        centre = boxes[:, :2] + boxes[:, 2:] / 2
        return [
            Pose(np.c_[np.tile(xy, (self.keypoints.count, 1)), np.ones(self.keypoints.count)], 1.0)
            for xy in centre
        ]


class ToyNetwork(NetworkMethod):
    """A linear layer on the mean colour of each box decides where its keypoints are."""

    paradigm = "top-down"
    Settings = ToySettings

    def build_network(self) -> nn.Module:
        return nn.Linear(3, self.keypoints.count * 2)

    def prepare(self, sample: Sample, rng: Any = None) -> Any:
        image = sample.read()
        boxes = np.maximum(sample.boxes_xywh, 0)
        colours = [
            image[int(y) : int(y + h) + 1, int(x) : int(x + w) + 1].mean(axis=(0, 1)) / 255
            for x, y, w, h in boxes
        ]
        return boxes, np.array(colours, np.float32).reshape(-1, 3)

    def collate(self, examples: Sequence[Any]) -> Any:
        return [e[0] for e in examples], torch.from_numpy(np.concatenate([e[1] for e in examples]))

    def predict(self, network: nn.Module, batch: Any) -> list[list[Pose]]:
        if steps := os.environ.get("TOY_STEPS"):
            with Path(steps).open("a") as file:
                file.write(".")
        time.sleep(float(os.environ.get("TOY_SLEEP_S", "0")))
        boxes, colours = batch
        offsets = network(colours).sigmoid().float().numpy().reshape(len(colours), -1, 2)
        poses, at = [], 0
        for group in boxes:
            found = []
            for box in group:
                xy = box[:2] + self.settings.scale * offsets[at] * box[2:]
                found.append(Pose(np.c_[xy, np.ones(len(xy))], float(offsets[at].mean())))
                at += 1
            poses.append(found)
        return poses


class WrongCount(BoxCentre):
    """Breaks the contract: one keypoint too few."""

    def estimate(self, image: Any, boxes: Any) -> list[Pose]:
        return [Pose(pose.keypoints[:-1], pose.score) for pose in super().estimate(image, boxes)]


KEYPOINTS = KeypointSet("two", ("left", "right"), ((0, 1),), ((0, 1),), (0.1, 0.1), (0, 1))
