"""Plan a suite: which runs are done, which can be run here, and what the others lack."""

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from crowdbench.api.dataset import find_split
from crowdbench.api.load_method import method_class, refuse_network_options
from crowdbench.errors import CrowdbenchError, InputError, MissingDataError, PluginError, UnknownNameError
from crowdbench.jobs.preflight import (
    find_annotations,
    find_detections,
    find_weights,
    require_method,
)
from crowdbench.jobs.request import EvaluationRequest, Request, TrainingRequest
from crowdbench.jobs.run_matcher import RunMatcher
from crowdbench.run_store.record import extent_of_run
from crowdbench.run_store.run import Run
from crowdbench.run_store.scan import find_runs
from crowdbench.suites.suite import Suite, SuiteRun

log = logging.getLogger("crowdbench")

What = Literal["method", "data", "boxes", "weights"]
State = Literal["done", "sample", "ready", "fetch", "missing"]


@dataclass(frozen=True)
class MissingInput:
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
class PlannedRun:
    """A run of a suite, on this machine.

    Attributes:
        row: what the suite says.
        request: what is to be carried out.
        missing: what this machine lacks.
        run: the finished run, if there is one.
    """

    row: SuiteRun
    request: Request
    missing: tuple[MissingInput, ...] = ()
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
) -> list[PlannedRun]:
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
        options: the same for all runs; fields of `crowdbench.jobs.request.EvaluationRequest`.

    Raises:
        UnknownNameError: a root or boxes for a name that the suite does not have.
        InputError: the pattern matches no run.
        SettingsError: a precision, or compilation, for a method without a network.
    """
    roots, boxes = roots or {}, boxes or {}
    _require_known("dataset", suite, roots, {row.dataset for row in suite.all_runs})
    _require_known("detector", suite, boxes, suite.detector)
    rows = [row for row in suite.all_runs if only is None or _matches(row, only)]
    if not rows:
        known = ", ".join(sorted({f"{row.method}/{row.dataset}" for row in suite.all_runs}))
        raise InputError(f"no run of the suite {suite.name} matches {only!r}.\nRuns: {known}.")
    done = [] if options.get("again") else find_runs(options.get("out", EvaluationRequest.out))
    cells = []
    for row in rows:
        if row.train:
            cells.append(_training_cell(row, roots, settings or {}, options))
            continue
        own = options if row.seed is None else {**options, "seed": row.seed}
        least = row.box_score if box_score is None or row.detector is None else box_score
        request = EvaluationRequest(
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


def _refuse_what_only_networks_have(request: EvaluationRequest) -> None:
    if request.precision == "fp32" and not request.compiled:
        return
    with suppress(UnknownNameError, PluginError):  # said of the run, beside what else it lacks
        refuse_network_options(
            method_class(request.method), request.method, request.precision, request.compiled
        )


def _training_cell(
    row: SuiteRun, roots: Mapping[str, Path], settings: Mapping[str, Any], options: Mapping[str, Any]
) -> PlannedRun:
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
    missing: list[MissingInput] = []
    with _noted(missing, "method"):
        require_method(request.method)
    with _noted(missing, "data"):
        find_annotations(request.dataset, find_split(request.dataset, None), request.root)
    return PlannedRun(row, request, tuple(missing))


def _require_known(kind: str, suite: Suite, given: Collection[str], known: Collection[str]) -> None:
    for name in given:
        if name not in known:
            raise UnknownNameError(f"{kind} of the suite {suite.name}", name, known)


def _matches(row: SuiteRun, pattern: str) -> bool:
    return any(fnmatchcase(it, pattern) for it in (row.method, row.dataset, f"{row.method}/{row.dataset}"))


def _cell(
    suite: Suite, row: SuiteRun, request: EvaluationRequest, boxes: Mapping[str, Path], done: Sequence[Run]
) -> PlannedRun:
    missing: list[MissingInput] = []
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
            missing.append(MissingInput("weights", weights.how_to_get, fetched=weights.url is not None))
    asked = RunMatcher(request, row.boxes, annotations, detections, weights)
    found = next((run for run in done if asked.is_done_by(run)), None)
    return PlannedRun(row, request, tuple(missing), found and replace(found, was_done_before=True))


@contextmanager
def _noted(missing: list[MissingInput], what: What) -> Iterator[None]:
    """Note what cannot be found, instead of failing: the other runs may do."""
    try:
        yield
    except CrowdbenchError as error:
        missing.append(MissingInput(what, str(error)))


def _detections(suite: Suite, name: str, request: EvaluationRequest, given: Mapping[str, Path]) -> Path:
    if name not in given:
        detector = suite.detector[name]
        return find_detections(request.dataset, request.root, detector.file, detector.origin)
    if not given[name].is_file():
        raise MissingDataError(f"{given[name]}: no such file of detections.")
    return given[name]
