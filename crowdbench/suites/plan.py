"""Many runs at once: which runs of a suite are done, which can be carried out here, what the others lack."""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from crowdbench.api.boxes import box_source
from crowdbench.api.extent import extent_of_run
from crowdbench.api.method import method_class, refuse_network_options
from crowdbench.engine.box_use import require_boxes_fit
from crowdbench.errors import CrowdbenchError, InputError, MissingDataError, PluginError, UnknownNameError
from crowdbench.jobs.job import Job, Resources
from crowdbench.jobs.launcher import Queue
from crowdbench.jobs.preflight import (
    find_annotations,
    find_detections,
    find_split,
    find_weights,
    require_method,
)
from crowdbench.jobs.request import AnyRequest, Request, TrainingRequest
from crowdbench.jobs.run_matcher import Asked
from crowdbench.jobs.submit import submit
from crowdbench.run_store.run import Run, find_runs
from crowdbench.suites.suite import Suite, SuiteRun

log = logging.getLogger("crowdbench")

What = Literal["method", "data", "boxes", "weights"]
State = Literal["done", "sample", "ready", "fetch", "missing"]


@dataclass(frozen=True)
class Missing:
    """Something that a run needs and this machine does not have.

    Attributes:
        what: which of a run's inputs.
        detail: what was looked for, and where it comes from.
        fetched: the run gets it by itself.
    """

    what: What
    detail: str
    fetched: bool = False


@dataclass(frozen=True)
class Cell:
    """A run of a suite, on this machine.

    Attributes:
        row: what the suite says.
        request: what is to be carried out.
        missing: what this machine lacks.
        run: the finished run, if there is one.
    """

    row: SuiteRun
    request: AnyRequest
    missing: tuple[Missing, ...] = ()
    run: Run | None = None

    @property
    def state(self) -> State:
        """Done; done on something else than the whole split; ready, at once or with weights; or not."""
        if self.run is not None:
            return state_of(self.run)
        if any(not missing.fetched for missing in self.missing):
            return "missing"
        return "fetch" if self.missing else "ready"


def state_of(run: Run) -> Literal["done", "sample"]:
    """Whether a finished run is what a suite asks for: one of a sample says nothing about the split."""
    return "sample" if extent_of_run(run.record).is_part else "done"


@dataclass(frozen=True)
class Outcome:
    """What became of a cell: a run, or the job that it was handed over as, or why there is neither.

    Attributes:
        how: it goes on in a queue: handed over just now, waiting or running.
    """

    cell: Cell
    run: Run | None = None
    error: str | None = None
    job: Job | None = None
    how: str | None = None


def plan(
    suite: Suite,
    *,
    roots: Mapping[str, Path] | None = None,
    boxes: Mapping[str, Path] | None = None,
    box_score: float | None = None,
    only: str | None = None,
    settings: Mapping[str, Any] | None = None,
    weights: str | None = None,
    **options: Any,
) -> list[Cell]:
    """Say of every run of a suite whether it is done, ready, or what it lacks.

    Nothing is computed, fetched or written. Torch and methods are imported only if a finished run has to be
    compared with what the suite asks for, or if published weights differ by an input size that is not given.

    Args:
        suite: what to run.
        roots: a dataset's folder, by the dataset's name.
        boxes: a detector's file, by the suite's name for it; otherwise its usual place is looked at.
        box_score: the least score of detectors' boxes, instead of the suite's.
        only: a shell pattern; runs whose method, dataset or ``method/dataset`` it matches.
        settings: for all runs, over those of the suite.
        weights: for all runs, instead of the suite's.
        options: the same for all runs; fields of `crowdbench.jobs.request.Request`.

    Raises:
        UnknownNameError: a root or boxes for a name that the suite does not have.
        InputError: the pattern matches no run.
        SettingsError: a precision, or compilation, for a method without a network.
    """
    roots, boxes = roots or {}, boxes or {}
    _refuse_strangers("dataset", suite, roots, {row.dataset for row in suite.all_runs})
    _refuse_strangers("detector", suite, boxes, suite.detector)
    rows = [row for row in suite.all_runs if only is None or _matches(row, only)]
    if not rows:
        known = ", ".join(sorted({f"{row.method}/{row.dataset}" for row in suite.all_runs}))
        raise InputError(f"no run of the suite {suite.name} matches {only!r}.\nRuns: {known}.")
    done = [] if options.get("again") else find_runs(options.get("out", Request.out))
    cells = []
    for row in rows:
        if row.train:
            cells.append(_training_cell(row, roots, settings or {}, options))
            continue
        own = options if row.seed is None else {**options, "seed": row.seed}
        least = row.box_score if box_score is None or row.detector is None else box_score
        request = Request(
            method=row.method,
            dataset=row.dataset,
            settings={**row.settings, **(settings or {})},
            split=row.split,
            root=roots.get(row.dataset),
            boxes=row.boxes,
            box_score=least,
            weights=weights or row.weights,
            **own,
        )
        _refuse_what_only_networks_have(request)
        cells.append(_cell(suite, row, request, boxes, done))
    return cells


def _refuse_what_only_networks_have(request: Request) -> None:
    if request.precision == "fp32" and not request.compiled:
        return
    with suppress(UnknownNameError, PluginError):  # said of the run, beside what else it lacks
        refuse_network_options(
            method_class(request.method), request.method, request.precision, request.compiled
        )


def _training_cell(
    row: SuiteRun, roots: Mapping[str, Path], settings: Mapping[str, Any], options: Mapping[str, Any]
) -> Cell:
    """A training knows itself whether it is done: it is asked, and returns at once."""
    known = {f.name for f in fields(TrainingRequest)} - {"save_every_s"}
    own = {name: value for name, value in options.items() if name in known and value is not None}
    if row.seed is not None:
        own["seed"] = row.seed
    request = TrainingRequest(
        method=row.method,
        dataset=row.dataset,
        settings={**row.settings, **settings},
        root=roots.get(row.dataset),
        recipe=row.recipe,
        **own,
    )
    missing: list[Missing] = []
    with _noted(missing, "method"):
        require_method(request.method)
    with _noted(missing, "data"):
        find_annotations(request.dataset, find_split(request.dataset, None), request.root)
    return Cell(row, request, tuple(missing))


def _refuse_strangers(kind: str, suite: Suite, given: Collection[str], known: Collection[str]) -> None:
    for name in given:
        if name not in known:
            raise UnknownNameError(f"{kind} of the suite {suite.name}", name, known)


def _matches(row: SuiteRun, pattern: str) -> bool:
    return any(fnmatchcase(it, pattern) for it in (row.method, row.dataset, f"{row.method}/{row.dataset}"))


def _cell(
    suite: Suite, row: SuiteRun, request: Request, boxes: Mapping[str, Path], done: Sequence[Run]
) -> Cell:
    missing: list[Missing] = []
    annotations, detections, weights = None, None, None
    with _noted(missing, "method"):
        require_method(request.method)
    with _noted(missing, "data"):
        request = replace(request, split=find_split(request.dataset, request.split))
        annotations = find_annotations(request.dataset, str(request.split), request.root)
    if row.detector is not None:
        with _noted(missing, "boxes"):
            detections = _detections(suite, row.detector, request, boxes)
            request = replace(request, boxes=str(detections))
    with _noted(missing, "weights"):
        weights = find_weights(
            request.weights, method=request.method, dataset=request.dataset, settings=request.settings
        )
        if not weights.is_here:
            missing.append(Missing("weights", weights.how_to_get, fetched=weights.url is not None))
    asked = Asked(request, row.boxes, annotations, detections, weights)
    found = next((run for run in done if asked.is_done_by(run)), None)
    return Cell(row, request, tuple(missing), found and replace(found, was_done_before=True))


@contextmanager
def _noted(missing: list[Missing], what: What) -> Iterator[None]:
    """Note what cannot be found, instead of failing: the other runs may do."""
    try:
        yield
    except CrowdbenchError as error:
        missing.append(Missing(what, str(error)))


def _detections(suite: Suite, name: str, request: Request, given: Mapping[str, Path]) -> Path:
    if name not in given:
        detector = suite.detector[name]
        return find_detections(request.dataset, request.root, detector.file, detector.origin)
    if not given[name].is_file():
        raise MissingDataError(f"{given[name]}: no such file of detections.")
    return given[name]


def carry_out(cells: Sequence[Cell], launch: Callable[[AnyRequest], Run | None]) -> Iterator[Outcome]:
    """Carry out what is ready, one after the other, and go on after a failure.

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
            yield Outcome(cell, launch(cell.request))
        except Exception as error:
            # Even a bug in one method must not cost the results of the others.
            known = isinstance(error, CrowdbenchError)
            title = f"{cell.request.method} on {cell.request.dataset}"
            log.error("%s failed: %s", title, error, exc_info=None if known else error)
            yield Outcome(cell, error=str(error) if known else f"{type(error).__name__}: {error}")


def _require_boxes_fit(cells: Sequence[Cell]) -> None:
    """Refuse a sweep that would run a method with boxes which it does not take."""
    for cell in cells:
        asked = cell.request
        # Annotated boxes go with every method; only for others is a method worth importing here.
        if cell.run is not None or not isinstance(asked, Request) or asked.boxes == "gt":
            continue
        with suppress(PluginError, UnknownNameError):  # a method that is missing is the cell's own matter
            require_boxes_fit(asked.method, method_class(asked.method).paradigm, box_source(asked.boxes))


def _passed_over(cell: Cell) -> Outcome:
    lacking = " and ".join(missing.what for missing in cell.missing if not missing.fetched)
    return Outcome(cell, cell.run, None if cell.run else f"missing: {lacking}")


def hand_over(
    cells: Sequence[Cell],
    queue: Queue,
    resources: Resources,
    *,
    at_once: int | None = None,
    retry: bool = False,
) -> list[Outcome]:
    """Hand over what is ready to a queue, in one piece; what is under way there is left alone.

    Args:
        cells: those that are done or that lack something are passed over.
        queue: takes the others.
        resources: for each.
        at_once: how many may run at the same time.
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
    submitted = iter(submit(queue, requests, resources, at_once=at_once, retry=retry) if ready else [])
    outcomes = []
    for cell in cells:
        if cell.run is not None or cell.state == "missing":
            outcomes.append(_passed_over(cell))
            continue
        handed = next(submitted)
        if handed.how in ("done", "failed"):
            outcomes.append(settled(Outcome(cell, job=handed.job)))
        else:
            outcomes.append(Outcome(cell, job=handed.job, how=handed.how))
    return outcomes


def settled(outcome: Outcome, word: str = "") -> Outcome:
    """The outcome of a cell whose job has ended.

    Args:
        outcome: when it was handed over.
        word: how it ended, if the job itself could not say it.
    """
    job = outcome.job
    state = job.state() if job is not None else None
    if job is None or (outcome.how is None and state is None):
        return outcome
    if state is not None and state.state == "done" and state.run is not None:
        with suppress(MissingDataError):
            return Outcome(outcome.cell, Run.read(state.run), job=job)
    reason = (state.reason if state is not None else None) or word or "it ended without a word"
    return Outcome(outcome.cell, error=reason, job=job)
