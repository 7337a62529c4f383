"""A method small enough to be trained a hundred times in a test: it guesses keypoints from colours."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from crowdbench.api.recipe import Recipe
from crowdbench.api.types import KeypointSet, Pose, Sample
from support.methods.toy import ToyNetwork


@dataclass(frozen=True)
class Persons:
    """What the network sees of n persons, and where their keypoints are in their boxes."""

    boxes: list[Any]
    colours: Tensor
    positions: Tensor | None = None
    visible: Tensor | None = None

    def to(self, device: torch.device) -> "Persons":
        return replace(self, colours=self.colours.to(device))


class TrainableToy(ToyNetwork):
    """Colours of a 4x4 grid over the box, to positions; with batch norm and dropout, which can go wrong."""

    @classmethod
    def published_recipe(cls, dataset: str, keypoints: KeypointSet) -> Recipe:
        return Recipe(
            epochs=3,
            batch_size=2,
            learning_rate=1e-2,
            final_learning_rate=1e-3,
            not_applied={"weight_decay": 0.1},
        )

    def build_network(self) -> nn.Module:
        return nn.Sequential(
            nn.Linear(48, 32),
            nn.BatchNorm1d(32),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Linear(32, self.keypoints.count * 2),
        )

    def prepare(self, sample: Sample, rng: np.random.Generator | None = None) -> Any:
        time.sleep(float(os.environ.get("TOY_PREPARE_S", "0")))
        image = sample.read()
        persons = [i for i in sample.instances if rng is None or (i.keypoints[:, 2] > 0).any()]
        boxes = np.array([i.box_xywh for i in persons]).reshape(-1, 4)
        colours = []
        for x, y, w, h in boxes:
            columns = np.clip(x + (np.arange(4) + 0.5) / 4 * w, 0, sample.width - 1).astype(int)
            rows = np.clip(y + (np.arange(4) + 0.5) / 4 * h, 0, sample.height - 1).astype(int)
            colours.append(image[np.ix_(rows, columns)].ravel() / 255)
        seen = np.array(colours, np.float32).reshape(-1, 48)
        if rng is None:
            return boxes, seen, None, None
        seen = seen + rng.normal(0, 0.02, seen.shape).astype(np.float32)
        keypoints = np.array([i.keypoints for i in persons])
        positions = (keypoints[..., :2] - boxes[:, None, :2]) / boxes[:, None, 2:]
        return boxes, seen, positions.astype(np.float32), (keypoints[..., 2] > 0).astype(np.float32)

    def collate(self, examples: Sequence[Any]) -> Persons:
        boxes, colours, positions, visible = zip(*examples, strict=True)
        batch = Persons(list(boxes), torch.from_numpy(np.concatenate(colours)))
        if positions[0] is None:
            return batch
        return replace(
            batch,
            positions=torch.from_numpy(np.concatenate(positions)),
            visible=torch.from_numpy(np.concatenate(visible)),
        )

    def loss(self, network: nn.Module, batch: Any) -> dict[str, Tensor]:
        device = next(network.parameters()).device
        time.sleep(float(os.environ.get("TOY_STEP_S", "0")))
        found = network(batch.colours.to(device)).sigmoid().float()
        found = found.view(len(found), -1, 2)
        errors = ((found - batch.positions.to(device)) ** 2).sum(-1) * batch.visible.to(device)
        if os.environ.get("TOY_NAN_LOSS"):
            errors = errors * float("nan")
        return {"position": errors.mean()}

    def count_targets(self, batch: Persons) -> int:
        return len(batch.colours)

    def predict(self, network: nn.Module, batch: Any) -> list[list[Pose]]:
        return super().predict(network, (batch.boxes, batch.colours))
