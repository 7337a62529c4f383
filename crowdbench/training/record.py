"""The record of a training, and the directory it lies in: ``runs/<dataset>-<split>/<method>/<id>/``.

training.json          the record
metrics.jsonl          what was measured on the way, a JSON object a line
curve.png              losses and validation scores over epochs
log.txt                what was said
checkpoints/           best.safetensors, last.safetensors, and what a training goes on from
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from crowdbench.errors import MissingDataError
from crowdbench.run_store.record import State, Weights
from crowdbench.system.files.json_text import encoded_json
from crowdbench.system.files.reading import read_json
from crowdbench.system.files.writing import write_whole
from crowdbench.training.checkpoint import Best

SCHEMA = 1
Selection = Literal["validation", "test", "last"]


@dataclass(frozen=True)
class TrainingRecord:
    """All of ``training.json``. Unknown fields are ignored on reading.

    Attributes:
        dataset, split, annotations: what was trained on, and the SHA-256 of its annotation file.
        images: how many of its images have persons to learn from.
        limit: if only the first images of the split were taken.
        recipe: every value, as it was applied.
        changed_recipe: the values that are not as the method publishes them for this dataset.
        not_applied: what the published configuration names and the released code does not apply.
        selection: how the best weights were chosen: by the ``"validation"`` split, as the ``"last"`` ones, or
            on the very split that is reported (``"test"``), as some published code does.
        validation_split: what was scored on the way; None for nothing.
        processes: how many shared the work.
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
        """What weights of this training were trained on, in words."""
        data = f"{self.dataset} {self.split}"
        if self.limit is not None:
            data += f", first {self.limit} images"
        if self.start.sha256 is not None:
            data += f", from {self.start.source}"
        if self.selection == "test":
            data += f", chosen on {self.dataset} {self.validation_split}"
        return data


def training_identity(facts: dict[str, Any]) -> str:
    """Ten hexadecimal digits that name a training: equal if it is to end with equal weights."""
    encoded = msgspec.json.encode({"schema": SCHEMA, "training": facts}, order="deterministic")
    return hashlib.sha256(encoded).hexdigest()[:10]


@dataclass(frozen=True)
class TrainingRun:
    """A training's directory and its record as last read or written."""

    directory: Path
    record: TrainingRecord

    @classmethod
    def place(cls, root: Path, record: TrainingRecord) -> Path:
        """The directory a record belongs in."""
        return root / f"{record.dataset}-{record.split}" / record.method / record.id

    @classmethod
    def read(cls, directory: Path) -> "TrainingRun":
        """Read a training's directory.

        Raises:
            MissingDataError: there is no record that can be read.
        """
        path = directory / "training.json"
        record = read_json(path, TrainingRecord, "the record of a training", error=MissingDataError)
        return cls(directory, record)

    @property
    def checkpoints(self) -> Path:
        """The folder of its weights."""
        return self.directory / "checkpoints"

    @property
    def weights(self) -> Path:
        """The weights to use: those of the best validation, or the last ones if there was none."""
        best = self.checkpoints / "best.safetensors"
        return best if self.record.best is not None else self.checkpoints / "last.safetensors"

    def write_record(self) -> None:
        """Replace ``training.json``."""
        encoded = msgspec.json.format(encoded_json(self.record), indent=2)
        write_whole(self.directory / "training.json", encoded + b"\n")
