"""The run directory: ``runs/<dataset>-<split>/<method>/<id>/``, written by one, read by all.

run.json               the record; written first with state "running", last with the result
predictions.json.gz    COCO results format
scores.json            full precision, with the engine and its warnings
log.txt                what was said
parts/                 predictions while the run goes on; gone when it is done
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from crowdbench.errors import MissingDataError
from crowdbench.files import gzipped, write_whole
from crowdbench.record import Record

if TYPE_CHECKING:
    import pandas as pd

    from crowdbench.scoring import Scores

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """A run directory and its record as last read or written."""

    directory: Path
    record: Record

    @property
    def predictions_file(self) -> Path:
        """The predictions of all images, in COCO results format."""
        return self.directory / "predictions.json.gz"

    @property
    def scores(self) -> dict[str, float] | None:
        """The statistics by name, in [0, 1], or -1 where there was nothing to count; None if unscored."""
        return self.record.scores

    @classmethod
    def place(cls, root: Path, record: Record) -> Path:
        """The directory a record belongs in."""
        group = f"{record.protocol.dataset}-{record.protocol.split}"
        return root / group / record.method / record.id

    @classmethod
    def read(cls, directory: Path) -> "Run":
        """Read a run directory.

        Raises:
            MissingDataError: there is no record that can be read.
        """
        path = directory / "run.json"
        try:
            return cls(directory, msgspec.json.decode(path.read_bytes(), type=Record))
        except OSError as error:
            raise MissingDataError(f"{path}: no run here ({error.strerror}).") from error
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise MissingDataError(f"{path}: not the record of a run ({error}).") from error

    def write_record(self) -> None:
        """Replace ``run.json``."""
        encoded = msgspec.json.format(msgspec.json.encode(self.record), indent=2)
        write_whole(self.directory / "run.json", encoded + b"\n")

    def write_predictions(self, predictions: list[msgspec.Raw]) -> None:
        """Replace the predictions, each in COCO results format; equal predictions give equal bytes."""
        write_whole(self.predictions_file, gzipped(msgspec.json.encode(predictions)))

    def write_scores(self, scores: "Scores") -> None:
        """Replace ``scores.json``."""
        encoded = msgspec.json.format(msgspec.json.encode(scores), indent=2)
        write_whole(self.directory / "scores.json", encoded + b"\n")


def find_runs(root: Path) -> list[Run]:
    """All runs under a folder, sorted by directory. Foreign and half-written directories are passed over."""
    found = []
    for path in sorted(root.glob("*/*/*/run.json")):
        try:
            found.append(Run.read(path.parent))
        except MissingDataError as error:
            log.debug("passed over: %s", error)
    return found


def runs(path: str | Path = "runs") -> "pd.DataFrame":
    """All runs under a folder, one row each: record, protocol and statistics side by side."""
    import pandas as pd

    rows = []
    for run in find_runs(Path(path)):
        record = msgspec.to_builtins(run.record)
        protocol = record.pop("protocol")
        scores = record.pop("scores") or {}
        protocol["input_size"] = tuple(protocol["input_size"] or ()) or None
        rows.append({"directory": str(run.directory), **protocol, **record, **scores})
    return pd.DataFrame(rows)
