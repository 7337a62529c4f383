"""Run or submit the planned runs of a suite, and report the outcome of each."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from crowdbench.api.boxes import box_source
from crowdbench.api.load_method import method_class
from crowdbench.engine.box_use import require_boxes_fit
from crowdbench.errors import CrowdbenchError, MissingDataError, PluginError, UnknownNameError
from crowdbench.jobs.job import Job, Resources
from crowdbench.jobs.launcher import Queue
from crowdbench.jobs.request import EvaluationRequest, Request
from crowdbench.jobs.submit import submit
from crowdbench.run_store.run import Run
from crowdbench.suites.plan import PlannedRun, log


@dataclass(frozen=True)
class RunOutcome:
    """A planned run's result, its job, or the reason why there is neither.

    `how`: its state in a queue (just submitted, waiting, running), or None.
    """

    cell: PlannedRun
    run: Run | None = None
    error: str | None = None
    job: Job | None = None
    how: str | None = None


def run_all(cells: Sequence[PlannedRun], launch: Callable[[Request], Run | None]) -> Iterator[RunOutcome]:
    """Run what is ready, one after the other, and continue after a failure.

    Args:
        cells: those that are done or that lack something are passed over.
        launch: carries out one request.

    Yields:
        What became of each cell, when it is known.

    Raises:
        SettingsError: a run's boxes do not go with its method; nothing is computed then.
    """
    _require_boxes_fit(cells)
    for cell in cells:
        if cell.run is not None or cell.state == "missing":
            yield _passed_over(cell)
            continue
        try:
            yield RunOutcome(cell, launch(cell.request))
        except Exception as error:
            # Even a bug in one method must not cost the results of the others.
            known = isinstance(error, CrowdbenchError)
            title = f"{cell.request.method} on {cell.request.dataset}"
            log.error("%s failed: %s", title, error, exc_info=None if known else error)
            yield RunOutcome(cell, error=str(error) if known else f"{type(error).__name__}: {error}")


def _require_boxes_fit(cells: Sequence[PlannedRun]) -> None:
    """Refuse a sweep that would run a method with boxes which it does not take."""
    for cell in cells:
        asked = cell.request
        # Annotated boxes go with every method; only for others is a method worth importing here.
        if cell.run is not None or not isinstance(asked, EvaluationRequest) or asked.boxes == "gt":
            continue
        with suppress(PluginError, UnknownNameError):  # a method that is missing is the cell's own matter
            require_boxes_fit(asked.method, method_class(asked.method).paradigm, box_source(asked.boxes))


def _passed_over(cell: PlannedRun) -> RunOutcome:
    lacking = " and ".join(missing.what for missing in cell.missing if not missing.fetched)
    return RunOutcome(cell, cell.run, None if cell.run else f"missing: {lacking}")


def submit_all(
    cells: Sequence[PlannedRun],
    queue: Queue,
    resources: Resources,
    *,
    max_parallel: int | None = None,
    retry: bool = False,
) -> list[RunOutcome]:
    """Submit what is ready to a queue, together. Jobs in progress are left alone.

    Args:
        cells: those that are done or that lack something are passed over.
        queue: takes the others.
        resources: for each.
        max_parallel: how many may run at the same time.
        retry: also what has failed for a reason that lies in itself, and would fail again if nothing changed.

    Returns:
        What became of each cell, in their order.

    Raises:
        LaunchError: the queue does not take them.
        SettingsError: a run's boxes do not go with its method.
    """
    _require_boxes_fit(cells)
    ready = [cell for cell in cells if cell.state in ("ready", "fetch")]
    requests = [cell.request for cell in ready]
    submitted = iter(
        submit(queue, requests, resources, max_parallel=max_parallel, retry=retry) if ready else []
    )
    outcomes = []
    for cell in cells:
        if cell.run is not None or cell.state == "missing":
            outcomes.append(_passed_over(cell))
            continue
        handed = next(submitted)
        if handed.how in ("done", "failed"):
            outcomes.append(refresh(RunOutcome(cell, job=handed.job)))
        else:
            outcomes.append(RunOutcome(cell, job=handed.job, how=handed.how))
    return outcomes


def refresh(outcome: RunOutcome, word: str = "") -> RunOutcome:
    """The outcome of a cell whose job has ended.

    Args:
        outcome: the outcome when it was submitted.
        word: how it ended, if the job itself could not say it.
    """
    job = outcome.job
    state = job.state() if job is not None else None
    if job is None or (outcome.how is None and state is None):
        return outcome
    if state is not None and state.state == "done" and state.run is not None:
        with suppress(MissingDataError):
            return RunOutcome(outcome.cell, Run.read(state.run), job=job)
    reason = (state.reason if state is not None else None) or word or "it exited without reporting a state"
    return RunOutcome(outcome.cell, error=reason, job=job)
