"""The record of a training and its directory, ``runs/<dataset>-<split>/<method>/<id>/``.

training.json          the record
metrics.jsonl          metrics during training, one JSON object per line
curve.png              losses and validation scores over epochs
log.txt                the log
checkpoints/           best.safetensors, last.safetensors, and checkpoints to resume from
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from crowdbench.run_store.record import State, Weights
from crowdbench.run_store.record_file import RecordFile
from crowdbench.training.checkpoint import Best

SCHEMA = 1
Selection = Literal["validation", "test", "last"]


@dataclass(frozen=True)
class TrainingRecord:
    """All of ``training.json``. Unknown fields are ignored on reading.

    Attributes:
        dataset, split, annotations: the training data, and the SHA-256 of its annotation file.
        images: the number of images with enough labelled keypoints to train on.
        limit: the number of images that the split was cut to; None for all.
        recipe: every value, as it was applied.
        changed_recipe: the values that differ from the published recipe for this dataset.
        not_applied: values of the published configuration that the released code ignores.
        selection: how the best weights were chosen: on the ``"validation"`` split, as the ``"last"`` ones, or
            on the split that is reported (``"test"``), as in some published code.
        validation_split: the split that was scored during training; None for none.
        processes: the number of processes.
        best: the best validation; None without one.
    """

    id: str
    method: str
    method_origin: str
    state: State
    dataset: str
    split: str
    annotations: str
    images: int
    limit: int | None
    settings: dict[str, Any]
    recipe: dict[str, Any]
    changed_recipe: dict[str, Any]
    not_applied: dict[str, Any]
    selection: Selection
    validation_split: str | None
    start: Weights
    started_tensors: int
    parameters: int
    processes: int
    precision: str
    compiled: bool
    deterministic: bool
    seed: int
    device: str
    versions: dict[str, str]
    host: dict[str, Any]
    command: list[str]
    started: str
    schema: int = SCHEMA
    finished: str | None = None
    reason: str | None = None
    best: Best | None = None
    seconds: float = 0.0
    warnings: list[str] = field(default_factory=list)

    @property
    def training_data(self) -> str:
        """A description of the data that the weights were trained on."""
        data = f"{self.dataset} {self.split}"
        if self.limit is not None:
            data += f", first {self.limit} images"
        if self.start.sha256 is not None:
            data += f", from {self.start.source}"
        if self.selection == "test":
            data += f", chosen on {self.dataset} {self.validation_split}"
        return data


def training_identity(facts: dict[str, Any]) -> str:
    """The id of a training, ten hexadecimal digits: equal for trainings with equal results."""
    encoded = msgspec.json.encode({"schema": SCHEMA, "training": facts}, order="deterministic")
    return hashlib.sha256(encoded).hexdigest()[:10]


@dataclass(frozen=True)
class TrainingRun(RecordFile[TrainingRecord]):
    """A training's directory and its record as last read or written."""

    record_name, record_type = "training.json", TrainingRecord
    record_words = "the record of a training"

    @classmethod
    def place(cls, root: Path, record: TrainingRecord) -> Path:
        """The directory a record belongs in."""
        return root / f"{record.dataset}-{record.split}" / record.method / record.id

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints and weights."""
        return self.directory / "checkpoints"

    @property
    def weights(self) -> Path:
        """The weights to use: those of the best validation, or the last ones if there was none."""
        return self.checkpoints / ("last.safetensors" if self.record.best is None else "best.safetensors")
