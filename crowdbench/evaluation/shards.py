"""Predictions saved while a run is in progress, so that a killed run loses only seconds.

Images are divided into batches once, so that the numbers of a batch never depend on where an earlier process
stopped. A part file holds the predictions of some batches; a restart computes the batches that no part holds.
The processes of one start each compute their own batches. A batch that was computed twice has equal content
and is taken once. What is written is not kept in memory.
"""

import logging
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec

from crowdbench.errors import DataError, RunError
from crowdbench.system.files.reading import LARGEST_DATA, read_json
from crowdbench.system.files.writing import write_whole

log = logging.getLogger(__name__)
Predictions = list[msgspec.Raw]  # each in COCO results format, as text


class _PartFile(msgspec.Struct):
    run: str
    batches: dict[int, Predictions]
    warnings: list[str] = []
    machine: str = ""


class PredictionShards:
    """The part files of one run.

    Args:
        folder: ``parts/`` in the run directory.
        run: the run's id; parts of other runs are ignored.
        every_s: minimum seconds between two writes.
        before_write: called before every write; may raise to prevent it.
        machine: the kind of machine that this process computes on; empty where it does not matter.

    Attributes:
        done: the number of predictions of each finished batch.
        warnings: remarks on how the predictions were computed.
        machines: the kinds of machines that they were computed on.
    """

    def __init__(
        self,
        folder: Path,
        run: str,
        every_s: float = 5.0,
        before_write: Callable[[], None] = lambda: None,
        machine: str = "",
    ) -> None:
        self.folder = folder
        self.run = run
        self.every_s = every_s
        self.before_write = before_write
        self.machine = machine
        self.machines: set[str] = set()
        self.done: dict[int, int] = {}
        self.warnings: list[str] = []
        self._seen: set[Path] = set()
        self._pending: dict[int, Predictions] = {}
        self._new_warnings: list[str] = []
        self._last_write = time.monotonic()
        self.refresh()

    def refresh(self) -> None:
        """Read the shards that have appeared since the last time, of all processes."""
        new = [path for path in sorted(self.folder.glob("*.json")) if path not in self._seen]
        for part in self._read(new):
            self.done.update((batch, len(found)) for batch, found in part.batches.items())
            self.machines.add(part.machine)
            self.warnings += [text for text in part.warnings if text not in self.warnings]

    def _read(self, paths: Iterable[Path]) -> Iterator[_PartFile]:
        for path in paths:
            self._seen.add(path)
            try:
                part = read_json(path, _PartFile, "predictions", limit=LARGEST_DATA)
            except DataError as error:
                log.warning("%s Its images are computed again.", error)
                continue
            if part.run == self.run:
                yield part

    def add(self, batch: int, predictions: Predictions) -> None:
        """Take the predictions of a batch; write when it is time."""
        self.done[batch] = len(predictions)
        self._pending[batch] = predictions
        if time.monotonic() - self._last_write >= self.every_s:
            self.flush()

    def add_warning(self, text: str) -> None:
        """Something worth knowing of the predictions to come."""
        self.warnings.append(text)
        self._new_warnings.append(text)

    def said_of_machines(self) -> list[str]:
        """A sentence if not all were computed on one kind of machine."""
        kinds = sorted(self.machines - {""})
        if len(kinds) < 2:
            return []
        return [
            f"computed on different kinds of machines ({'; '.join(kinds)}): the last digits of numbers may "
            "differ from those of a run on one of them"
        ]

    def flush(self) -> None:
        """Write what is not yet on disk."""
        if self._pending:
            self.before_write()
            name = f"{min(self._pending):06d}-{max(self._pending):06d}.json"
            part = _PartFile(self.run, self._pending, self._new_warnings, self.machine)
            write_whole(self.folder / name, msgspec.json.encode(part))
            self._pending = {}
            self.machines.add(self.machine)
        self._last_write = time.monotonic()

    def merged(self, batches: Iterable[int]) -> Predictions:
        """All predictions, in the order of the batches; raises RunError if a batch is missing."""
        wanted = list(batches)
        written = self._read(sorted(self.folder.glob("*.json")))
        found = {batch: texts for part in written for batch, texts in part.batches.items()} | self._pending
        missing = [batch for batch in wanted if batch not in found]
        if missing:
            raise RunError(
                f"{self.folder}: the predictions of batches {missing[:5]} are missing; start the run again."
            )
        return [prediction for batch in wanted for prediction in found[batch]]

    def remove(self) -> None:
        """Delete the part files, once their content is safe elsewhere."""
        shutil.rmtree(self.folder, ignore_errors=True)
