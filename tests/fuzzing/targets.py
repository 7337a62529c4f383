"""What is fuzzed: each target damages one kind of file, reads it as a user's command would, and judges."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np

from crowdbench.api.boxes import DetectorBoxes
from crowdbench.api.dataset import dataset_class, load_dataset
from crowdbench.scoring.score import score
from fuzzing import documents, json_trees, raw_bytes
from fuzzing.oracle import official

TOLERANCE = 1e-9


class WrongOutcome(Exception):
    """What was read is neither right, nor warned about, nor refused."""


class Target:
    """One kind of file.

    Attributes:
        name: as the command line has it.
        file: the damaged one; what is kept of a finding.
    """

    name = ""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rng = random.Random(0)

    @property
    def file(self) -> Path:
        raise NotImplementedError

    def damage(self, rng: random.Random) -> None:
        """Write a damaged file."""
        raise NotImplementedError

    def attempt(self) -> str:
        """Read it as a command would; returns ``"right"`` or ``"warned"``.

        Raises:
            CrowdbenchError: it is refused.
            WrongOutcome: what was read is wrong, and nobody is told.
        """
        raise NotImplementedError

    def _write(self, path: Path, content: Any, rng: random.Random) -> None:
        """A sound document, damaged in its values or in its bytes."""
        if rng.random() < 0.7:
            path.write_bytes(encoded(json_trees.mutated(content, rng)))
        else:
            path.write_bytes(raw_bytes.mutated(encoded(content), rng))


def encoded(content: Any) -> bytes:
    try:
        return json.dumps(content).encode("utf-8", "surrogatepass")
    except (RecursionError, ValueError):  # nested too deeply for Python's own writer, numbers too long for it
        return b"[" * 5000 + b"]" * 5000


class Scoring(Target):
    """Both sides of a score."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.truth = documents.annotations(random.Random(1))
        self.found = documents.predictions(self.truth, random.Random(2))
        self.annotations, self.predictions = folder / "truth.json", folder / "predictions.json"
        self.annotations.write_bytes(encoded(self.truth))
        self.predictions.write_bytes(encoded(self.found))

    def attempt(self) -> str:
        scores = score(self.predictions, "coco", annotations=self.annotations)
        for name, value in scores.values.items():
            if not (value == -1 or 0 <= value <= 1):
                raise WrongOutcome(f"{name} is {value}")
        if scores.warnings:
            return "warned"
        expected = official(self.annotations, self.predictions)
        if expected is None:
            return "right"  # a gzipped file, a byte order mark: the official code does not read these
        for name, value in scores.values.items():
            if abs(value - expected[name]) > TOLERANCE:
                raise WrongOutcome(f"{name} is {value}, officially {expected[name]}, and nothing is said")
        return "right"


class Predictions(Scoring):
    """A results file."""

    name = "predictions"

    @property
    def file(self) -> Path:
        return self.predictions

    def damage(self, rng: random.Random) -> None:
        self._write(self.predictions, self.found, rng)


class Annotations(Scoring):
    """An annotation file."""

    name = "annotations"

    @property
    def file(self) -> Path:
        return self.annotations

    def damage(self, rng: random.Random) -> None:
        self._write(self.annotations, self.truth, rng)


class Dataset(Target):
    """An annotation file, opened for a run."""

    name = "dataset"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.truth = documents.annotations(random.Random(1))
        self.annotations = folder / "annotations.json"

    @property
    def file(self) -> Path:
        return self.annotations

    def damage(self, rng: random.Random) -> None:
        self._write(self.annotations, self.truth, rng)

    def attempt(self) -> str:
        return _look_at_all(load_dataset("coco", root=self.folder, annotations=self.annotations))


class Boxes(Target):
    """A detector's results."""

    name = "boxes"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        truth = documents.annotations(random.Random(1))
        self.found = documents.detections(truth, random.Random(2))
        self.annotations, self.boxes = folder / "annotations.json", folder / "boxes.json"
        self.annotations.write_bytes(encoded(truth))

    @property
    def file(self) -> Path:
        return self.boxes

    def damage(self, rng: random.Random) -> None:
        self._write(self.boxes, self.found, rng)

    def attempt(self) -> str:
        source = DetectorBoxes(self.boxes)
        return _look_at_all(dataset_class("coco").open("val2017", self.folder, source, self.annotations))


def _look_at_all(dataset: Any) -> str:
    for sample in dataset:
        if not (0 < sample.width < 1 << 31 and 0 < sample.height < 1 << 31):
            raise WrongOutcome(f"image {sample.image_id} is {sample.width}x{sample.height}")
        for instance in sample.instances:
            box = instance.box_xywh
            if not np.isfinite(box).all() or not np.isfinite(box[2] * box[3]) or (box[2:] < 0).any():
                raise WrongOutcome(f"image {sample.image_id} has the box {box}")
            if not np.isfinite(instance.keypoints).all() or np.isinf(instance.area):
                raise WrongOutcome(f"image {sample.image_id} has keypoints or an area that are not finite")
    return "right"
