"""Installs small plugins that are wrong in one way, for tests of what becomes of them and of the others."""

from pathlib import Path

from support.plugins import install_fake_distribution

METHOD = """
import numpy as np
from crowdbench import Method, Pose

class Odd(Method):
    paradigm = "top-down"

    def pose(self, box):
        centre = box[:2] + box[2:] / 2
        return Pose(np.c_[np.tile(centre, (self.keypoints.count, 1)), np.ones(self.keypoints.count)], 1.0)

    def estimate(self, image, boxes):
        return [self.pose(box) for box in boxes]
"""

NETWORK = """
import numpy as np
import torch
from crowdbench import NetworkMethod, Pose

class Odd(NetworkMethod):
    paradigm = "top-down"

    def build_network(self):
        return torch.nn.Linear(1, 1)

    def prepare(self, sample, rng=None):
        return sample.boxes_xywh

    def collate(self, examples):
        return list(examples)

    def predict(self, network, batch):
        return [[self.pose(box) for box in boxes] for boxes in batch]

    def pose(self, box):
        centre = box[:2] + box[2:] / 2
        return Pose(np.c_[np.tile(centre, (self.keypoints.count, 1)), np.ones(self.keypoints.count)], 1.0)
"""


def install(
    site: Path,
    module: str,
    code: str,
    *,
    group: str = "methods",
    name: str = "odd",
    target: str | None = None,
) -> None:
    """A distribution in a folder that is on the path, which declares one name.

    Args:
        site: the folder.
        module: of the code, and the distribution's name.
        code: of the module.
        group: without ``crowdbench.``.
        name: that is declared.
        target: that the name stands for; None for the class ``Odd`` of the module.
    """
    declared = {group: {name: target or f"{module}:Odd"}}
    install_fake_distribution(site, module, declared, modules={module: code})


def with_hook(code: str, hook: str) -> str:
    """The code of a method with one more, or another, function; ``hook`` is written as in a class body."""
    return code + "\n" + "\n".join(f"    {line}" for line in hook.splitlines()) + "\n"
