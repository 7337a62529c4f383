"""The run directory: ``runs/<dataset>-<split>/<method>/<id>/``, written by one, read by all.

run.json               the record; written first with state "running", last with the result
predictions.json.gz    COCO results format
scores.json            full precision, with the engine and its warnings
log.txt                what was said
parts/                 predictions while the run goes on; gone when it is done
"""

import errno
import hashlib
import logging
import os
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from crowdbench.errors import DataError, MissingDataError, PredictionError
from crowdbench.run_store.record import SCHEMA, Record, Written
from crowdbench.system.files.hashing import file_digest
from crowdbench.system.files.json_text import encoded_json
from crowdbench.system.files.reading import LARGEST_NOTE, read_json
from crowdbench.system.files.writing import gzipped, write_whole

if TYPE_CHECKING:
    import pandas as pd

    from crowdbench.scoring import Scores

log = logging.getLogger(__name__)
PREDICTIONS = "predictions.json.gz"
JOBS = "jobs"  # the folder of jobs beside those of runs


@dataclass(frozen=True)
class Run:
    """A run directory and its record as last read or written.

    Attributes:
        was_done_before: whoever asked for it was shown what had been computed earlier.
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
        """The predictions' file, after a look whether it is what this run wrote; whoever reads it asks here.

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


@dataclass(frozen=True)
class Oddity:
    """A directory among the runs that is none, or not as it should be.

    Attributes:
        path: of the directory, or of its record.
        reason: why, in a line.
    """

    path: Path
    reason: str


def find_runs(root: Path) -> list[Run]:
    """All runs under a folder, sorted by directory. Foreign and half-written directories are passed over."""
    found, oddities = scan_runs(root)
    for oddity in oddities:
        log.debug("%s: %s", oddity.path, oddity.reason)
    return found


def scan_runs(root: Path) -> tuple[list[Run], list[Oddity]]:
    """All runs under a folder, sorted by directory, and what is there that cannot be read as a run.

    Jobs' folders and trainings are neither. A record of a newer version is read as far as it is understood,
    and named.
    """
    found: list[Run] = []
    oddities: list[Oddity] = []
    for directory in _directories(root, oddities):
        path = f"{directory}/run.json"
        try:
            # Not Run.read, whose paths and errors cost more than reading: there may be ten thousand.
            record = _decoder.decode(_content(path))
        except FileNotFoundError:
            if not os.path.exists(f"{directory}/training.json"):  # noqa: PTH110
                oddities.append(Oddity(Path(directory), "no run.json: half-written, or not a run"))
            continue
        except OSError as error:
            oddities.append(Oddity(Path(path), f"cannot be read ({error.strerror})"))
            continue
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            oddities.append(Oddity(Path(path), _why_not(path, error)))
            continue
        if record.schema > SCHEMA:
            oddities.append(
                Oddity(
                    Path(path), f"of a newer crowdbench (format {record.schema}): read as far as understood"
                )
            )
        found.append(Run(Path(directory), record))
    return found, oddities


_decoder = msgspec.json.Decoder(Record)


def _directories(root: Path, oddities: list[Oddity]) -> list[str]:
    """Folders three levels down, in order; one that a link leads to as well is listed once."""
    found: list[str] = []
    linked: list[str] = []  # through a link, on whatever level
    for group, group_linked in _folders(str(root), oddities):
        if os.path.basename(group) == JOBS:  # noqa: PTH119
            continue
        for method, method_linked in _folders(group, oddities):
            for run, run_linked in _folders(method, oddities):
                (linked if group_linked or method_linked or run_linked else found).append(run)
    if not linked:
        return found
    known = {os.path.realpath(path) for path in found}
    for path in linked:
        real = os.path.realpath(path)
        if real not in known:
            known.add(real)
            found.append(path)
    return sorted(found)


def _folders(parent: str, oddities: list[Oddity]) -> list[tuple[str, bool]]:
    """The folders in a folder, in order, and whether each is a link."""
    try:
        with os.scandir(parent) as entries:
            return sorted(
                (e.path, e.is_symlink()) for e in entries if e.is_dir() and not e.name.startswith(".")
            )
    except OSError as error:
        oddities.append(Oddity(Path(parent), f"cannot be looked into ({error.strerror})"))
        return []


def _content(path: str) -> bytes:
    # Not to wait: opening a pipe that somebody left here would last for ever.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with open(descriptor, "rb") as file:  # noqa: PTH123
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not a file")
        if found.st_size > LARGEST_NOTE:
            raise OSError(errno.EFBIG, "too large to be a record")
        return file.read()


def _why_not(path: str, error: Exception) -> str:
    """Whether a record that cannot be read is newer than this reader, or broken."""
    try:
        schema = msgspec.json.decode(_content(path), type=_Schema).schema
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        schema = None
    if schema is not None and schema > SCHEMA:
        return f"of a newer crowdbench (format {schema}; this one reads {SCHEMA}): passed over"
    return f"not the record of a run ({error}): passed over"


class _Schema(msgspec.Struct):
    schema: int


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
