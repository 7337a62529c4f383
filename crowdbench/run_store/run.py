"""The run directory ``runs/<dataset>-<split>/<method>/<id>/``; one process at a time writes it.

run.json               the record; written first with state "running", last with the result
predictions.json.gz    COCO results format
scores.json            full precision, with the engine and its warnings
log.txt                the log
parts/                 predictions of an unfinished run; removed when it is done
"""

import hashlib
import logging
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec

from crowdbench.errors import MissingDataError, PredictionError
from crowdbench.run_store.record import Record, Written
from crowdbench.run_store.record_file import RecordFile
from crowdbench.system.files.digests import file_digest
from crowdbench.system.files.writing import gzipped, write_json, write_whole

if TYPE_CHECKING:
    from crowdbench.api.scores import Scores

log = logging.getLogger(__name__)
PREDICTIONS = "predictions.json.gz"


@dataclass(frozen=True)
class Run(RecordFile[Record]):
    """A run directory and its record as last read or written.

    `was_done_before`: it was already done when it was last requested.
    """

    record_name, record_type, record_words = "run.json", Record, "the record of a run"

    was_done_before: bool = field(default=False, compare=False)

    @property
    def predictions_file(self) -> Path:
        """The predictions of all images, in COCO results format."""
        return self.directory / PREDICTIONS

    @property
    def scores(self) -> dict[str, float] | None:
        """The statistics by name, in [0, 1], or -1 where there was nothing to count; None if unscored."""
        return self.record.scores

    @classmethod
    def place(cls, root: Path, record: Record) -> Path:
        """The directory a record belongs in."""
        protocol = record.protocol
        return root / f"{protocol.dataset}-{protocol.split}" / record.method / record.id

    @classmethod
    def read(cls, directory: Path) -> Self:
        """Read a run directory; raises MissingDataError if there is no record that can be read."""
        try:
            return super().read(directory)
        except MissingDataError as error:
            raise MissingDataError(f"no run here: {error}") from error

    def own_predictions(self) -> Path:
        """The predictions file, verified to be what this run wrote; use this to read predictions.

        Files of old runs, which recorded no digest, are not verified.

        Raises:
            MissingDataError: the file is missing.
            PredictionError: its content has changed.
        """
        path, written = self.predictions_file, self.record.predictions
        if not path.is_file():
            raise MissingDataError(
                f"{self.directory}: there are no predictions ({path.name}); "
                f"the run is {self.record.state}. Start it again with the same command."
            )
        if written is not None and (
            path.stat().st_size != written.bytes or file_digest(path) != written.sha256
        ):
            raise PredictionError(
                f"{path} is not what this run wrote; the same command with --again computes it anew."
            )
        return path

    def write_predictions(self, predictions: list[msgspec.Raw]) -> Written:
        """Replace the predictions, each in COCO results format; equal predictions give equal bytes."""
        content = gzipped(msgspec.json.encode(predictions))
        write_whole(self.predictions_file, content)
        return Written(hashlib.sha256(content).hexdigest(), len(content))

    def write_scores(self, scores: "Scores") -> None:
        """Replace ``scores.json``."""
        write_json(self.directory / "scores.json", scores)


def require_own_predictions(path: Path) -> None:
    """Raise PredictionError if a file of predictions is in a run's directory but not what the run wrote."""
    if path.name == PREDICTIONS and (path.parent / "run.json").is_file():
        with suppress(MissingDataError):  # without a readable record there is no digest
            Run.read(path.parent).own_predictions()
