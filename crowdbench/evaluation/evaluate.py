"""Evaluate: dataset → network → poses → predictions file → scores → record.

A run can be killed at any moment. Started again with the same arguments it finds its own directory, because
the directory's name is computed from everything that decides the predictions, and resumes from its shards. Of
several starts one computes; the others wait until it has ended, or died, and return its result.
"""

import dataclasses
import functools
import logging
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from crowdbench.api.dataset import Dataset
from crowdbench.api.load_method import refuse_network_options, require_whole
from crowdbench.api.method import Method
from crowdbench.api.types import Precision
from crowdbench.engine.batching import default_batch_size
from crowdbench.engine.box_use import require_boxes_fit
from crowdbench.engine.data_loader import require_main_guard
from crowdbench.engine.network import resolve_method_weights
from crowdbench.engine.progress import EvaluationProgress
from crowdbench.engine.samples import image_count
from crowdbench.errors import DataError, MachineError, PredictionError, SupersededError
from crowdbench.evaluation.cleanup import tidy, tidy_finished
from crowdbench.evaluation.finish import finish, record_failure
from crowdbench.evaluation.options import EvaluationOptions
from crowdbench.evaluation.predict_missing import predict_missing
from crowdbench.evaluation.provenance import Execution, code_used, new_record, said_of_finished, with_commits
from crowdbench.evaluation.shard_sync import announce_start, check_start, present, wait_for_start
from crowdbench.evaluation.work import EvaluationWork, OnProgress, load_finished
from crowdbench.run_store import recomputation
from crowdbench.run_store.earlier_runs import said_of_earlier
from crowdbench.run_store.integrity import doubt_about_scores
from crowdbench.run_store.lease import Lease, Waiting, in_turn
from crowdbench.run_store.lease_files import ProgressReport
from crowdbench.run_store.run import Run
from crowdbench.run_store.wait_notice import WaitNotice
from crowdbench.scoring.common_keypoints import scored_columns
from crowdbench.system.devices import device_of, emulates, require_compiler
from crowdbench.system.distributed import available_cpus, from_environment
from crowdbench.system.job_context import current_job
from crowdbench.system.log_file import log_file
from crowdbench.system.text import plain
from crowdbench.weights import Transfer

log = logging.getLogger("crowdbench")


def evaluate(  # noqa: PLR0913  (the options, spelled out for those who call it)
    method: Method,
    dataset: Dataset,
    *,
    weights: str | Path = "published",
    out: str | Path = "runs",
    limit: int | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: Precision = "fp32",
    compiled: bool = False,
    again: bool = False,
    save_every_s: float = 5.0,
    made_for: str | None = None,
    command: Sequence[str] | None = None,
    on_progress: OnProgress | None = None,
    on_start: Callable[[Path], None] | None = None,
) -> Run:
    """Run a method on a dataset and score it.

    If another process is computing the same run, this one waits for its result, and takes over if it dies.
    In several processes, started by torchrun or srun, each calls this with equal arguments and computes its
    share of the batches; the first one merges and scores them.

    Args:
        method: configured for this dataset (`crowdbench.load_method`).
        dataset: an opened split (`crowdbench.load_dataset`).
        weights: ``"published"`` for those published for this method, dataset and input size, downloaded if
            necessary; the name of published weights; a URL; a ``.pth`` or ``.safetensors`` file; or
            ``"none"`` for random weights drawn from `seed`. Methods without a network take none.
        out: the folder of all runs.
        limit, batch_size, workers, seed, device, precision, compiled, again, save_every_s: see
            `crowdbench.evaluation.options.EvaluationOptions`.
        made_for: the dataset whose keypoints and published weights the method uses, if it is not the one
            that is evaluated (`Dataset.on_keypoints`).
        command: the command for the record; None takes this process's.
        on_progress: called after every batch, and during downloads.
        on_start: called with the run's directory before anything is computed, in the first process.

    Returns:
        The finished run; unchanged if it was finished before. In all processes but the first, the run as it
        is when this one's share is done.

    Raises:
        InputError: weights, settings or data are wrong.
        RunError: the run could not be finished; its shards are kept.
    """
    options = EvaluationOptions(
        limit=limit,
        batch_size=batch_size,
        workers=workers,
        seed=seed,
        device=device,
        precision=precision,
        compiled=compiled,
        again=again,
        save_every_s=save_every_s,
    )
    require_main_guard()
    require_whole(method)
    require_boxes_fit(method.name, method.paradigm, dataset.boxes)
    options.require_valid()
    refuse_network_options(type(method), method.name, options.precision, options.compiled)
    place = from_environment(os.environ)
    target = device_of(options.device, place)
    kind = target.type if method.reads_images else "cpu"  # a file is as long wherever it is read
    size = options.batch_size
    if size is None:
        size = default_batch_size(method.paradigm, kind)
    if options.compiled:
        require_compiler(target)
    if emulates(options.precision, target):
        log.warning(
            "this CPU has no native support for %s: it will be slower than fp32, not faster",
            options.precision,
        )
    images = image_count(dataset)
    if images == 0:
        raise DataError(f"{dataset.name} {dataset.split}: there is no image, so nothing can be measured.")
    count = images if options.limit is None else min(options.limit, images)
    found = resolve_method_weights(method, made_for or dataset.name, weights, on_progress)
    scored_columns(dataset, method.keypoints)  # what cannot be scored is refused before it is computed
    execution = Execution(size, options.seed, options.precision, options.compiled, target)
    code = code_used(method, type(dataset))
    record = new_record(method, dataset, found, count, execution, code, command, made_for)
    run = Run(Run.place(Path(out), record), record)
    directory = recomputation.place_of(run.directory) if options.again else run.directory
    workers = options.workers
    if workers is None:
        workers = min(8, max(1, available_cpus(os.environ, place) // 2))
    work = EvaluationWork(
        method=method,
        dataset=dataset,
        weights=found.path,
        count=count,
        execution=execution,
        place=place,
        workers=workers,
        save_every_s=options.save_every_s,
        run=run,
        work=Run(directory, record),
        before=load_finished(run) if options.again else None,
        on_progress=on_progress,
        on_start=on_start,
    )
    if not recomputation.is_whole(run.directory) and (result := work.result()) is not None:
        return _shown(work, result)
    # Asked of git only where something is left to compute.
    work = dataclasses.replace(work, work=Run(directory, with_commits(record, code)))
    return _lead(work) if place.is_main else _assist(work)


def _shown(work: EvaluationWork, result: Run) -> Run:
    """Return a run that was done before, once its predictions and scores are verified; log that it was."""
    result = work.rescored(result)
    result.own_predictions()
    if (doubt := doubt_about_scores(result)) is not None:
        raise PredictionError(f"{doubt}\nThe same command with --again computes it anew.")
    shown = dataclasses.replace(result, was_done_before=True)
    if not work.place.is_main:
        return shown
    if work.on_start is not None:
        work.on_start(result.directory)
    tidy_finished(result.directory)
    log.info("%s", said_of_finished(result))
    if recomputation.is_unfinished(result.directory):
        log.warning(
            "an unfinished recomputation lies in %s; this is the result before it. --again goes on with it.",
            plain(str(recomputation.place_of(result.directory))),
        )
    return shown


def _lead(work: EvaluationWork) -> Run:  # noqa: C901  (one loop, in which the order of steps is the point)
    """What the first process does: all of it, unless another process is computing this very run already."""
    run = work.run

    def waiting(report: ProgressReport) -> None:
        if work.on_progress is not None:
            work.on_progress(EvaluationProgress(report.done, report.of, 0))

    while True:
        with in_turn(
            run.directory, Waiting(lambda: work.result() is not None, WaitNotice("run", waiting))
        ) as lease:
            if lease is not None:
                recomputation.put_in_place(run.directory)
                tidy(run.directory)
            result = work.result()
            if result is not None:
                return _shown(work, result)
            if lease is None:
                continue  # the result that was there is gone
            is_new = not (run.directory / "run.json").exists()
            work.work.write_record()
            if work.on_start is not None:
                work.on_start(run.directory)
            if work.place.world_size > 1:
                announce_start(run.directory, lease)
            with log_file(run.directory / "log.txt"):
                earlier = said_of_earlier(run) if is_new else None
                if earlier is not None:
                    log.info("%s", plain(earlier))
                try:
                    return _compute(work, lease)
                except SupersededError as error:
                    if not lease.lost or lease.has_successor:
                        raise
                    log.warning("%s", error)
                except BaseException as error:
                    if isinstance(error, Exception) and _was_taken_over(lease):
                        continue  # the run is another process's now, and so is its record
                    record_failure(work.work, error)
                    if isinstance(error, MachineError) and isinstance(error.__cause__, OSError):
                        kept = "What is finished is kept; run the same command again to resume."
                        raise MachineError(f"{error}\n{kept}") from error.__cause__
                    raise


def _compute(work: EvaluationWork, lease: Lease) -> Run:
    reporting = work.with_progress(_progress_callback(work.on_progress, lease.report))
    done = finish(work, predict_missing(reporting, lease.check_held), lease.check_held)
    lease.check_held()
    recomputation.put_in_place(work.run.directory)
    tidy(work.run.directory)
    return done if work.work.directory == work.run.directory else Run.read(work.run.directory)


def _was_taken_over(lease: Lease) -> bool:
    """Whether another process has taken over the run; if that is a later start of this job, raise."""
    try:
        lease.check_held()
    except SupersededError as error:
        if lease.has_successor:
            raise
        log.warning("%s", error)
        return True
    return False


def _assist(work: EvaluationWork) -> Run:
    """What the other processes do: their share of the batches, when the first one has started."""
    run = work.run
    token: str | None = None
    while True:
        token = wait_for_start(run.directory, lambda: work.result() is not None, token)
        if token is None:
            return work.result() or run
        try:
            with present(run.directory, work.place):
                predict_missing(work, functools.partial(check_start, run.directory, token))
            return run
        except SupersededError as error:
            if current_job() is not None:
                raise
            log.warning("%s", error)


def _progress_callback(on_progress: OnProgress | None, write: Callable[..., None]) -> OnProgress:
    """A callback that informs the caller and updates the run's ``progress.json``."""
    clock = time.monotonic()
    first: list[int] = []

    def report(progress: EvaluationProgress | Transfer) -> None:
        if on_progress is not None:
            on_progress(progress)
        if not isinstance(progress, EvaluationProgress):
            return
        if not first:
            first.append(progress.images)
        fresh = progress.images - first[0]
        pace = (time.monotonic() - clock) / fresh if fresh else None
        eta = None if pace is None else pace * (progress.of - progress.images)
        write(progress.images, progress.of, "images", eta, f"{progress.persons} persons")

    return report
