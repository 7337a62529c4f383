"""Predictions on disk while a run goes on, so that a run that dies loses seconds.

The images of a run are cut into batches once and for all, before anything is known of deaths and restarts:
the numbers of a batch then never depend on where an earlier process stopped. A part file holds the
predictions of some batches; a restart computes the batches that no part holds. When two processes work on one
run, both write whole parts with equal content, and each batch is taken once.
"""

import logging
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from crowdbench.errors import RunError
from crowdbench.files import write_whole

log = logging.getLogger(__name__)
Predictions = list[dict[str, Any]]


class _PartFile(msgspec.Struct):
    run: str
    batches: dict[int, Predictions]


class Parts:
    """The part files of one run.

    Args:
        folder: ``parts/`` in the run directory.
        run: the run's id; parts of other runs are ignored.
        every_s: predictions are written when this many seconds have passed since the last write.
    """

    def __init__(self, folder: Path, run: str, every_s: float = 5.0) -> None:
        self.folder = folder
        self.run = run
        self.every_s = every_s
        self.done: dict[int, Predictions] = {}
        self._pending: dict[int, Predictions] = {}
        self._last_write = time.monotonic()
        for path in sorted(folder.glob("*.json")):
            self._read(path)

    def _read(self, path: Path) -> None:
        try:
            part = msgspec.json.decode(path.read_bytes(), type=_PartFile)
        except (OSError, msgspec.DecodeError, msgspec.ValidationError) as error:
            log.warning("%s cannot be read (%s); its images are computed again", path, error)
            return
        if part.run == self.run:
            self.done.update(part.batches)

    def add(self, batch: int, predictions: Predictions) -> None:
        """Take the predictions of a batch; write when it is time."""
        self.done[batch] = self._pending[batch] = predictions
        if time.monotonic() - self._last_write >= self.every_s:
            self.flush()

    def flush(self) -> None:
        """Write what is not yet on disk."""
        if self._pending:
            name = f"{min(self._pending):06d}-{max(self._pending):06d}.json"
            write_whole(self.folder / name, msgspec.json.encode(_PartFile(self.run, self._pending)))
            self._pending = {}
        self._last_write = time.monotonic()

    def merged(self, batches: Iterable[int]) -> Predictions:
        """All predictions, in the order of the batches.

        Raises:
            RunError: a batch is missing.
        """
        wanted = list(batches)
        missing = [batch for batch in wanted if batch not in self.done]
        if missing:
            raise RunError(
                f"{self.folder}: the predictions of batches {missing[:5]} are missing; start the run again."
            )
        return [prediction for batch in wanted for prediction in self.done[batch]]

    def remove(self) -> None:
        """Delete the part files, once their content is safe elsewhere."""
        shutil.rmtree(self.folder, ignore_errors=True)
