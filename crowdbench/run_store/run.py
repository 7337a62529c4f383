"""The run directory: ``runs/<dataset>-<split>/<method>/<id>/``, written by one, read by all.

run.json               the record; written first with state "running", last with the result
predictions.json.gz    COCO results format
scores.json            full precision, with the engine and its warnings
log.txt                what was said
parts/                 predictions while the run goes on; gone when it is done
"""

import hashlib
import logging
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from crowdbench.errors import DataError, MissingDataError, PredictionError
from crowdbench.run_store.record import Record, Written
from crowdbench.system.files.digests import file_digest
from crowdbench.system.files.json_text import encoded_json
from crowdbench.system.files.reading import read_json
from crowdbench.system.files.writing import gzipped, write_whole

if TYPE_CHECKING:
    from crowdbench.api.scores import Scores

log = logging.getLogger(__name__)
PREDICTIONS = "predictions.json.gz"


@dataclass(frozen=True)
class Run:
    """A run directory and its record as last read or written.

    Attributes:
        was_done_before: it was not computed for the last request, but earlier.
    """

    directory: Path
    record: Record
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
            return cls(directory, read_json(path, Record, "the record of a run"))
        except MissingDataError as error:
            raise MissingDataError(f"no run here: {error}") from error
        except DataError as error:
            raise MissingDataError(str(error)) from error

    def own_predictions(self) -> Path:
        """The predictions' file, checked to be what this run wrote. Everything that reads it asks here.

        Runs of versions that kept no digest are believed.

        Raises:
            MissingDataError: it is not there.
            PredictionError: it has another content.
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

    def write_record(self) -> None:
        """Replace ``run.json``."""
        encoded = msgspec.json.format(encoded_json(self.record), indent=2)
        write_whole(self.directory / "run.json", encoded + b"\n")

    def write_predictions(self, predictions: list[msgspec.Raw]) -> Written:
        """Replace the predictions, each in COCO results format; equal predictions give equal bytes."""
        content = gzipped(msgspec.json.encode(predictions))
        write_whole(self.predictions_file, content)
        return Written(hashlib.sha256(content).hexdigest(), len(content))

    def write_scores(self, scores: "Scores") -> None:
        """Replace ``scores.json``."""
        encoded = msgspec.json.format(msgspec.json.encode(scores), indent=2)
        write_whole(self.directory / "scores.json", encoded + b"\n")


def require_own_predictions(path: Path) -> None:
    """See that a file, if it is a run's predictions, is what the run wrote.

    Raises:
        PredictionError: it has another content.
    """
    if path.name == PREDICTIONS and (path.parent / "run.json").is_file():
        with suppress(MissingDataError):  # a record that cannot be read says nothing
            Run.read(path.parent).own_predictions()
