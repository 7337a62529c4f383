"""One process's part of an evaluation: everything decided before the first batch."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from crowdbench.api.dataset import Dataset
from crowdbench.api.method import Method
from crowdbench.engine.progress import EvaluationProgress
from crowdbench.errors import InputError
from crowdbench.evaluation.provenance import Execution
from crowdbench.evaluation.rescoring import scored_anew
from crowdbench.run_store import recomputation
from crowdbench.run_store.run import Run
from crowdbench.system.distributed import ProcessInfo
from crowdbench.weights import Transfer

OnProgress = Callable[[EvaluationProgress | Transfer], None]


@dataclass(frozen=True)
class EvaluationWork:
    """What one process of an evaluation needs to know.

    Attributes:
        method, dataset: what is evaluated, and on what.
        weights: a local file; None for random weights and for methods without any.
        count: how many images, from the first.
        execution: how the network is run.
        place: the rank of this process and their number.
        workers: how many loader processes to start.
        save_every_s: seconds between writes of predictions.
        run: the run, in its directory.
        work: the run where it is computed: its directory, or that of a recomputation.
        before: the finished run that is recomputed; None if there is none.
        on_progress: called after every batch.
        on_start: called with the run's directory, in the first process.
    """

    method: Method
    dataset: Dataset
    weights: Path | None
    count: int
    execution: Execution
    place: ProcessInfo
    workers: int
    save_every_s: float
    run: Run
    work: Run
    before: Run | None
    on_progress: OnProgress | None = None
    on_start: Callable[[Path], None] | None = None

    def result(self) -> Run | None:
        """The finished run, if nothing is left to compute: it was there, or another process has finished."""
        found = load_finished(self.run)
        is_old = found is not None and self.before is not None and found.record == self.before.record
        return None if is_old else found

    def rescored(self, result: Run) -> Run:
        """A finished run, scored again where its annotations have changed; by the first process."""
        return scored_anew(result, self.run.record, self.dataset) if self.place.is_main else result

    def with_progress(self, on_progress: OnProgress | None) -> "EvaluationWork":
        """The same work, reporting to another function."""
        return replace(self, on_progress=on_progress)

    @property
    def home(self) -> Path:
        """The run's directory, where processes meet, whether it is computed there or in a folder inside."""
        directory = self.work.directory
        return directory.parent if directory.name == recomputation.FOLDER else directory


def load_finished(run: Run) -> Run | None:
    """A run as its directory has it, if it is done and its predictions are there."""
    try:
        found = Run.read(run.directory)
    except InputError:
        return None
    return found if found.record.state == "done" and found.predictions_file.is_file() else None
