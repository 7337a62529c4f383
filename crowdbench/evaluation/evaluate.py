"""Evaluate: dataset → network → poses → predictions file → scores → record.

A run can be killed at any moment. Started again with the same arguments it finds its own directory, because
the directory's name is computed from everything that decides the predictions, and goes on from its parts. Of
several starts one computes; the others wait until it has ended, or died, and show the result.
"""

import dataclasses
import functools
import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from crowdbench.api.dataset import Dataset
from crowdbench.api.method import Method, NetworkMethod, refuse_network_options, require_whole
from crowdbench.api.types import Precision, Sample
from crowdbench.engine import hooks
from crowdbench.engine.batching import default_batch_size, in_batches
from crowdbench.engine.box_use import require_boxes_fit
from crowdbench.engine.data_loader import require_main_guard
from crowdbench.engine.inference import predict_batches, to_coco_results
from crowdbench.engine.network import build_network, resolve_method_weights
from crowdbench.engine.progress import EvaluationProgress
from crowdbench.engine.samples import image_count, samples_of
from crowdbench.errors import (
    CrowdbenchError,
    DataError,
    InputError,
    MachineError,
    PredictionError,
    SupersededError,
)
from crowdbench.evaluation.cleanup import tidy, tidy_finished
from crowdbench.evaluation.provenance import (
    Execution,
    code_used,
    new_record,
    now,
    said_of_changed_code,
    said_of_finished,
    with_commits,
)
from crowdbench.evaluation.rescoring import scored_anew
from crowdbench.evaluation.shard_sync import (
    Others,
    announce_start,
    check_start,
    present,
    wait_for_all,
    wait_for_start,
)
from crowdbench.evaluation.shards import PredictionShards
from crowdbench.run_store import recomputation
from crowdbench.run_store.earlier_runs import said_of_earlier
from crowdbench.run_store.integrity import doubt_about_scores
from crowdbench.run_store.lease import Lease, Waiting, in_turn
from crowdbench.run_store.lease import ProgressReport as WritersProgress
from crowdbench.run_store.run import Run
from crowdbench.run_store.wait_notice import Telling
from crowdbench.scoring.common_keypoints import scored_columns
from crowdbench.system import environment as machine
from crowdbench.system.devices import device_of, emulates, require_compiler
from crowdbench.system.distributed import ProcessInfo, available_cpus, from_environment
from crowdbench.system.images import condensed
from crowdbench.system.job_context import current_job
from crowdbench.system.limits import require_options
from crowdbench.system.log_file import log_file
from crowdbench.system.plugin_calls import log_trace
from crowdbench.system.text import plain
from crowdbench.weights import Transfer

if TYPE_CHECKING:
    from crowdbench.api.scores import Scores

log = logging.getLogger("crowdbench")


def evaluate(
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
    on_progress: Callable[[EvaluationProgress | Transfer], None] | None = None,
    on_start: Callable[[Path], None] | None = None,
) -> Run:
    """Run a method on a dataset and score it.

    If another process is at this very run, this one waits for its result, and takes over if it dies.
    In several processes, started by torchrun or srun, each calls this with equal arguments and computes its
    share of the batches; the first one merges and scores them.

    Args:
        method: configured for this dataset (`crowdbench.load_method`).
        dataset: an opened split (`crowdbench.load_dataset`).
        weights: ``"published"``: those that were published for this method, dataset and input size, fetched
            if they are not here; the name of one of the published; a URL; a ``.pth`` or ``.safetensors``
            file; or ``"none"``: random weights drawn from `seed`. Methods without a network take none.
        out: the folder of all runs.
        limit: evaluate the first images of the split only.
        batch_size: persons (top-down methods) or images in the network at a time; None takes what suits the
            device. If memory runs out, half as many are taken from there on.
        workers: loader processes; None takes half the processors, at most 8.
        seed: of random weights.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ...
        precision: ``"fp32"`` (no TF32 either), ``"bf16"`` or ``"fp16"``.
        compiled: use `torch.compile`, which takes a minute or two to start.
        again: compute anew even if this very run is done. The old result stands until the new one is whole.
        save_every_s: predictions are written to disk when this many seconds have passed since the last time;
            a run that is killed loses no more than that.
        made_for: the dataset whose keypoints the method predicts, and whose published weights it takes, where
            it is another than the one that is measured on (`Dataset.on_keypoints`).
        command: for the record; None takes this process's.
        on_progress: called after every batch, and while weights are fetched.
        on_start: told the run's directory before anything is computed, in the first process.

    Returns:
        The finished run. If the same run was done before, that one, unchanged. In all processes but the first
        the run as it is when this one's share is done.

    Raises:
        InputError: something given is wrong: weights, settings, data.
        RunError: the run could not go on; its parts are kept.
    """
    require_main_guard()
    require_whole(method)
    require_boxes_fit(method.name, method.paradigm, dataset.boxes)
    require_options(seed=seed, limit=limit, batch_size=batch_size, workers=workers, save_every_s=save_every_s)
    refuse_network_options(type(method), method.name, precision, compiled)
    place = from_environment(os.environ)
    target = device_of(device, place)
    kind = target.type if method.reads_images else "cpu"  # a file is as long wherever it is read
    size = default_batch_size(method.paradigm, kind) if batch_size is None else batch_size
    if compiled:
        require_compiler(target)
    if emulates(precision, target):
        log.warning("this processor has no units for %s: it will be slower than fp32, not faster", precision)
    images = image_count(dataset)
    if images == 0:
        raise DataError(f"{dataset.name} {dataset.split}: there is no image, so nothing can be measured.")
    count = images if limit is None else min(limit, images)
    found = resolve_method_weights(method, made_for or dataset.name, weights, on_progress)
    scored_columns(dataset, method.keypoints)  # what cannot be scored is refused before it is computed
    execution = Execution(size, seed, precision, compiled, target)
    code = code_used(method, type(dataset))
    record = new_record(method, dataset, found, count, execution, code, command, made_for)
    run = Run(Run.place(Path(out), record), record)
    old = _finished(run) if again else None

    def settled() -> Run | None:
        """The result where nothing is left to compute: it was there, or another process has finished."""
        result = _finished(run)
        return None if result is None or (old is not None and result.record == old.record) else result

    def current(result: Run) -> Run:
        return scored_anew(result, record, dataset) if place.is_main else result

    if not recomputation.is_whole(run.directory) and (result := settled()) is not None:
        return _shown(current(result), place, on_start)
    if workers is None:
        workers = min(8, max(1, available_cpus(os.environ, place) // 2))
    work = Run(recomputation.place_of(run.directory) if again else run.directory, with_commits(record, code))
    asked = (method, dataset, found.path, count, execution, place, workers, save_every_s)
    if place.is_main:
        return _in_turn(run, work, asked, place, settled, current, on_progress, on_start)
    return _share(run, work, asked, place, settled, on_progress)


# Method, data, weights, number of images, how a network is run, which process this is, loader processes, and
# the seconds between writes.
_Asked = tuple[Method, Dataset, Path | None, int, Execution, ProcessInfo, int, float]


def _shown(result: Run, place: ProcessInfo, on_start: Callable[[Path], None] | None) -> Run:
    """A run that was done before; the first process says so.

    Raises:
        PredictionError: its predictions or its scores are not what it wrote.
    """
    result.own_predictions()
    if (doubt := doubt_about_scores(result)) is not None:
        raise PredictionError(f"{doubt}\nThe same command with --again computes it anew.")
    shown = dataclasses.replace(result, was_done_before=True)
    if not place.is_main:
        return shown
    if on_start is not None:
        on_start(result.directory)
    tidy_finished(result.directory)
    log.info("%s", said_of_finished(result))
    if recomputation.is_unfinished(result.directory):
        log.warning(
            "an unfinished recomputation lies in %s; this is the result before it. --again goes on with it.",
            plain(str(recomputation.place_of(result.directory))),
        )
    return shown


def _in_turn(
    run: Run,
    work: Run,
    asked: _Asked,
    place: ProcessInfo,
    settled: Callable[[], Run | None],
    current: Callable[[Run], Run],
    on_progress: Callable[[EvaluationProgress | Transfer], None] | None,
    on_start: Callable[[Path], None] | None,
) -> Run:
    """What the first process does: all of it, unless another process is at this very run already."""

    def needless() -> bool:
        return settled() is not None

    def waiting(told: WritersProgress) -> None:
        if on_progress is not None:
            on_progress(EvaluationProgress(told.done, told.of, 0))

    while True:
        with in_turn(run.directory, Waiting(needless, Telling("run", waiting))) as writer:
            if writer is not None:
                recomputation.put_in_place(run.directory)
                tidy(run.directory)
            result = settled()
            if result is not None:
                return _shown(current(result), place, on_start)
            if writer is None:
                continue  # the result that was there is gone
            is_new = not (run.directory / "run.json").exists()
            work.write_record()
            if on_start is not None:
                on_start(run.directory)
            if place.world_size > 1:
                announce_start(run.directory, writer)
            with log_file(run.directory / "log.txt"):
                earlier = said_of_earlier(run) if is_new else None
                if earlier is not None:
                    log.info("%s", plain(earlier))
                try:
                    return _carried_out(run, work, asked, writer, on_progress)
                except SupersededError as error:
                    if not writer.lost or writer.has_successor:
                        raise
                    log.warning("%s", error)
                except BaseException as error:
                    if isinstance(error, Exception) and _was_taken_over(writer):
                        continue  # the run is another process's now, and so is its record
                    _close(work, error)
                    if isinstance(error, MachineError) and isinstance(error.__cause__, OSError):
                        kept = "What is finished is kept; the same command goes on from there."
                        raise MachineError(f"{error}\n{kept}") from error.__cause__
                    raise


def _was_taken_over(writer: Lease) -> bool:
    """Whether another process has taken over the run; logged if so.

    Raises:
        SupersededError: it is a later start of this job.
    """
    try:
        writer.check_held()
    except SupersededError as error:
        if writer.has_successor:
            raise
        log.warning("%s", error)
        return True
    return False


def _carried_out(
    run: Run,
    work: Run,
    asked: _Asked,
    writer: Lease,
    on_progress: Callable[[EvaluationProgress | Transfer], None] | None,
) -> Run:
    done = _carry_out(work, *asked, writer.check_held, _told(on_progress, writer.report))
    writer.check_held()
    recomputation.put_in_place(run.directory)
    tidy(run.directory)
    return done if work.directory == run.directory else Run.read(run.directory)


def _share(
    run: Run,
    work: Run,
    asked: _Asked,
    place: ProcessInfo,
    settled: Callable[[], Run | None],
    on_progress: Callable[[EvaluationProgress | Transfer], None] | None,
) -> Run:
    """What a process does that is not the first: its share, when the first one says so."""
    token: str | None = None
    while True:
        token = wait_for_start(run.directory, lambda: settled() is not None, token)
        if token is None:
            return settled() or run
        require = functools.partial(check_start, run.directory, token)
        try:
            with present(run.directory, place):
                _compute(work, *asked, require, on_progress)
            return run
        except SupersededError as error:
            if current_job() is not None:
                raise
            log.warning("%s", error)


def _told(
    on_progress: Callable[[EvaluationProgress | Transfer], None] | None, tell: Callable[..., None]
) -> Callable[[EvaluationProgress | Transfer], None]:
    """Whoever asked, and those who look at the folder."""
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
        tell(progress.images, progress.of, "images", eta, f"{progress.persons} persons")

    return report


def _finished(run: Run) -> Run | None:
    try:
        found = Run.read(run.directory)
    except InputError:
        return None
    return found if found.record.state == "done" and found.predictions_file.is_file() else None


@dataclass(frozen=True)
class _Computed:
    """What this process, and those beside it, have computed.

    Attributes:
        samples: the images that were asked for.
        images: how many of them had something to predict.
        batches: how many there are.
        parts: their predictions.
        fresh_images, fresh_persons: not done before, of all processes.
        seconds: for those.
    """

    samples: list[Sample]
    images: int
    batches: int
    parts: PredictionShards
    fresh_images: int
    fresh_persons: int
    seconds: float


def _compute(
    run: Run,
    method: Method,
    dataset: Dataset,
    weights: Path | None,
    count: int,
    execution: Execution,
    place: ProcessInfo,
    workers: int,
    save_every_s: float,
    require: Callable[[], None],
    on_progress: Callable[[EvaluationProgress | Transfer], None] | None,
) -> _Computed:
    """Predict what is not done and is this process's share; the first process waits for the others.

    `require` is asked before anything is written: whether this process's work still counts.
    """
    samples = samples_of(dataset, count)
    # A top-down method has nothing to do where there is no box.
    asked = [s for s in samples if s.instances] if method.paradigm == "top-down" else samples
    if samples and not asked:
        raise _nobody_to_ask_for(dataset, count)
    if weights is not None and not isinstance(method, NetworkMethod):
        hooks.load_weights(method, weights)
    notes: list[str] = []
    network = (
        build_network(
            method,
            weights,
            seed=execution.seed,
            device=execution.device,
            precision=execution.precision,
            compiled=execution.compiled,
            on_note=notes.append,
        )
        if isinstance(method, NetworkMethod)
        else None
    )
    hooks.on_start(method, samples, run.record.protocol.complete)
    columns = scored_columns(dataset, method.keypoints)
    batches = in_batches(asked, execution.batch_size, method.paradigm)
    parts = PredictionShards(
        run.directory / "parts",
        run.record.id,
        save_every_s,
        before_write=require,
        machine=machine.kind(execution.device) if method.reads_images else "",
    )
    others = Others(_home(run), place)
    for note in notes:
        if note not in parts.warnings:
            parts.add_warning(note)
    before = dict(parts.done)
    # Whose a batch is does not depend on what is done: processes may look at different moments.
    share = range(place.rank, len(batches), place.world_size)
    todo = [index for index in share if index not in before]
    if before:
        log.info("continued: %d of %d batches were done before", len(before), len(batches))

    images = sum(len(batches[i]) for i in before if i < len(batches))
    persons = sum(before.values())
    report = on_progress or (lambda _: None)
    report(EvaluationProgress(images, len(asked), persons))
    clock = time.perf_counter()

    def note_halving(size: int) -> None:
        parts.add_warning(
            f"memory ran out with batches of {execution.batch_size}; the rest came in batches of {size}"
        )

    found = predict_batches(
        method,
        network,
        [batches[i] for i in todo],
        batch_size=execution.batch_size,
        device=execution.device,
        precision=execution.precision,
        workers=workers,
        on_halved=note_halving,
        on_warning=parts.add_warning,
    )
    try:
        for index, poses in zip(todo, found, strict=True):
            results = [
                r
                for sample, ps in zip(batches[index], poses, strict=True)
                for r in to_coco_results(
                    sample,
                    ps,
                    category_id=dataset.category_id,
                    with_boxes=method.include_boxes,
                    columns=columns,
                )
            ]
            parts.add(index, results)
            # Shares are equally large and go equally fast, as far as this process can tell.
            images = min(len(asked), images + place.world_size * len(batches[index]))
            persons += place.world_size * len(results)
            report(EvaluationProgress(images, len(asked), persons))
    finally:
        parts.flush()
    if place.is_main and place.world_size > 1:
        wait_for_all(parts, len(batches), lambda: _finished(run) is not None, others)
    fresh = [index for index in range(len(batches)) if index not in before and index in parts.done]
    return _Computed(
        samples,
        len(asked),
        len(batches),
        parts,
        sum(len(batches[i]) for i in fresh),
        sum(parts.done[i] for i in fresh),
        time.perf_counter() - clock,
    )


def _home(work: Run) -> Path:
    """The run's directory, where it is computed there or anew."""
    directory = work.directory
    return directory.parent if directory.name == recomputation.FOLDER else directory


def _carry_out(
    run: Run,
    method: Method,
    dataset: Dataset,
    weights: Path | None,
    count: int,
    execution: Execution,
    place: ProcessInfo,
    workers: int,
    save_every_s: float,
    require: Callable[[], None],
    on_progress: Callable[[EvaluationProgress | Transfer], None],
) -> Run:
    computed = _compute(
        run, method, dataset, weights, count, execution, place, workers, save_every_s, require, on_progress
    )
    parts, seconds = computed.parts, computed.seconds
    require()
    written = run.write_predictions(parts.merged(range(computed.batches)))
    scores = _score(run, dataset, computed.samples) if dataset.has_annotations else None
    timings = {"predict_s": seconds, "processes": float(place.world_size)}
    if not method.reads_images:
        timings = {}
    elif computed.fresh_images:
        timings["images_per_s"] = computed.fresh_images / seconds
        timings["persons_per_s"] = computed.fresh_persons / seconds
    record = dataclasses.replace(
        run.record,
        state="done",
        finished=now(),
        timings=timings,
        counts={
            "images": count,
            "images_predicted": computed.images,
            "predictions": sum(parts.done.values()),
        },
        predictions=written,
        scores=dict(scores.values) if scores else None,
        scored_by=f"{scores.engine} {scores.engine_version}" if scores else None,
        corrections=list(dataset.corrections),
        warnings=_warnings(
            [
                *condensed(parts.warnings),
                *parts.said_of_machines(),
                *said_of_changed_code(run.record, method, type(dataset)),
                *method.notes,
                *_said_of_nobody(method, computed),
            ],
            dataset,
            scores,
        ),
        doubts=list(dict.fromkeys([*dataset.warnings, *(scores.doubts if scores else ())])),
    )
    log.info("%d images, %d predictions in %.1f s", computed.fresh_images, computed.fresh_persons, seconds)
    run = Run(run.directory, record)
    require()
    run.write_record()
    parts.remove()
    return run


def _nobody_to_ask_for(dataset: Dataset, count: int) -> DataError:
    told = "".join(f"\n{sentence}" for sentence in dataset.warnings)
    if dataset.boxes.label != "gt":
        return DataError(
            f"{dataset.boxes.label}: none of the boxes is on any of the {count} images of "
            f"{dataset.annotation_file}, so there is nobody to predict.{told}\n"
            "Pass boxes that were made for these images, or evaluate more images."
        )
    return DataError(
        f"{dataset.annotation_file}: annotated boxes leave nobody to ask for on any of the {count} images: "
        "persons need a labelled keypoint, a box that overlaps the image, an area where areas are scored, "
        f"and must not be crowds.{told}\n`crowdbench data check` lists what is wrong."
    )


def _said_of_nobody(method: Method, computed: _Computed) -> list[str]:
    """A score of 0 may be a network that has learnt nothing, or code that gives nothing back."""
    persons = sum(len(sample.instances) for sample in computed.samples)
    if sum(computed.parts.done.values()) or not persons:
        return []
    return [
        f"{method.name} found nobody in any of {computed.images} images, in which {persons} persons are "
        "annotated: look at its threshold, and at what its function returns"
    ]


def _warnings(of_parts: Sequence[str], dataset: Dataset, scores: "Scores | None") -> list[str]:
    """Each sentence once: reading and scoring look at the same annotation file."""
    of_scores = scores.warnings if scores else ["no ground truth for this split: predictions are not scored"]
    found = dict.fromkeys([*of_parts, *dataset.warnings, *of_scores])
    return [sentence for sentence in found if sentence not in dataset.corrections]


def _score(run: Run, dataset: Dataset, samples: Sequence[Sample]) -> "Scores":
    from crowdbench.scoring.score import score_files

    partial = None if run.record.protocol.complete else [sample.image_id for sample in samples]
    scores = score_files(
        run.predictions_file,
        dataset.annotation_file,
        dataset.protocol,
        image_ids=partial,
        in_protocols_order=True,
    )
    protocol = run.record.protocol
    scores = dataclasses.replace(
        scores, split=f"{protocol.dataset} {protocol.split}", extent=run.record.extent
    )
    run.write_scores(scores)
    return scores


def _close(run: Run, error: BaseException) -> None:
    """Leave a record that says why the run stopped."""
    if isinstance(error, Exception):
        log.error("failed: %s", error, exc_info=None if isinstance(error, CrowdbenchError) else error)
        log_trace(error)
        state, reason = "failed", f"{type(error).__name__}: {error}"
    else:
        log.warning("interrupted by %s", type(error).__name__)
        state, reason = "interrupted", type(error).__name__
    closed = dataclasses.replace(run.record, state=state, reason=reason, finished=now())  # type: ignore[arg-type]
    try:
        Run(run.directory, closed).write_record()
    except MachineError as failure:
        if isinstance(error, MachineError):
            log.error("nor can its record be written: %s", failure)
            return  # a full disk stopped the run: that is the error to tell
        raise MachineError(f"the run stopped ({reason}), and its record: {failure}") from failure
