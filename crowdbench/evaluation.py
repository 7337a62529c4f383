"""Evaluate: dataset → network → poses → predictions file → scores → record.

A run can be killed at any moment. Started again with the same arguments it finds its own directory, because
the directory's name is computed from everything that decides the predictions, and goes on from its parts.
"""

import dataclasses
import logging
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from crowdbench import machine, plugins
from crowdbench.allocation import keep_freed_memory
from crowdbench.batching import default_batch_size, in_batches
from crowdbench.checkpoints import load_weights, read_state_dict
from crowdbench.dataset import Dataset
from crowdbench.errors import CrowdbenchError, InputError, RunError, SettingsError
from crowdbench.hashing import file_digest
from crowdbench.loading import refuse_unguarded_scripts
from crowdbench.logfile import log_file
from crowdbench.method import Method, NetworkMethod, Precision
from crowdbench.parts import Parts
from crowdbench.prediction import as_results, predict_batches
from crowdbench.record import Protocol, Record, Weights, identity
from crowdbench.run_directory import Run
from crowdbench.types import Sample
from crowdbench.weights import ResolvedWeights, Transfer, resolve_weights

if TYPE_CHECKING:
    import torch
    from torch import nn

    from crowdbench.scoring import Scores

log = logging.getLogger("crowdbench")


@dataclass(frozen=True)
class Progress:
    """How far a run is; given to the caller after every batch."""

    images: int
    of: int
    persons: int


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
    command: Sequence[str] | None = None,
    on_progress: Callable[[Progress | Transfer], None] | None = None,
) -> Run:
    """Run a method on a dataset and score it.

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
        again: compute anew even if this very run is done.
        save_every_s: predictions are written to disk when this many seconds have passed since the last time;
            a run that is killed loses no more than that.
        command: for the record; None takes this process's.
        on_progress: called after every batch, and while weights are fetched.

    Returns:
        The finished run. If the same run was done before, that one, unchanged.

    Raises:
        InputError: something given is wrong: weights, settings, data.
        RunError: the run could not go on; its parts are kept.
    """
    refuse_unguarded_scripts()
    if limit is not None and limit < 1:
        raise SettingsError(f"limit must be at least 1, got {limit}.")
    target = machine.pick_device(device)
    size = default_batch_size(method.paradigm, target.type) if batch_size is None else batch_size
    if size < 1:
        raise SettingsError(f"batch size must be at least 1, got {size}.")
    if compiled:
        machine.require_compiler(target)
    if machine.emulates(precision, target):
        log.warning("this processor has no units for %s: it will be slower than fp32, not faster", precision)
    count = len(dataset) if limit is None else min(limit, len(dataset))
    found = _find_weights(method, dataset, weights, on_progress)
    execution = _Execution(size, seed, precision, compiled, target)
    record = _new_record(method, dataset, found, count, execution, command)
    run = Run(Run.place(Path(out), record), record)
    previous = _finished(run)
    if previous is not None and not again:
        log.info("done before: %s", run.directory)
        return previous
    if again:
        Parts(run.directory / "parts", record.id).remove()
    run.write_record()
    with log_file(run.directory / "log.txt"):
        try:
            return _carry_out(
                run, method, dataset, found.path, count, execution, workers, save_every_s, on_progress
            )
        except BaseException as error:
            _close(run, error)
            raise


def _finished(run: Run) -> Run | None:
    try:
        found = Run.read(run.directory)
    except InputError:
        return None
    return found if found.record.state == "done" and found.predictions_file.is_file() else None


@dataclass(frozen=True)
class _Execution:
    """How a network is run; all of it can change the last bits of a number."""

    batch_size: int
    seed: int
    precision: Precision
    compiled: bool
    device: "torch.device"


def _find_weights(
    method: Method,
    dataset: Dataset,
    weights: str | Path,
    on_progress: Callable[[Progress | Transfer], None] | None,
) -> ResolvedWeights:
    if method.takes_weights:
        if weights == "none" and not isinstance(method, NetworkMethod):
            raise SettingsError(f"{method.name} does nothing without its file; name one with --weights FILE.")
        size = getattr(method.settings, "input_size", None)
        return resolve_weights(
            weights,
            method=method.name,
            dataset=dataset.name,
            input_size=size if isinstance(size, tuple) else None,
            on_progress=on_progress,
        )
    if weights not in ("published", "none"):
        raise SettingsError(f"{method.name} takes no weights; leave --weights out.")
    return ResolvedWeights("none needed", None, None, None)


def _new_record(
    method: Method,
    dataset: Dataset,
    weights: ResolvedWeights,
    count: int,
    execution: _Execution,
    command: Sequence[str] | None,
) -> Record:
    settings = msgspec.to_builtins(method.settings)
    published = msgspec.to_builtins(method.published_settings(dataset.name, dataset.keypoints))
    origin = Weights(weights.source, weights.sha256)
    protocol = Protocol(
        dataset=dataset.name,
        split=dataset.split,
        annotations=file_digest(dataset.annotation_file),
        boxes=dataset.boxes.label if method.paradigm == "top-down" else "none",
        images=count,
        complete=count == len(dataset),
        flip_test=getattr(method.settings, "flip_test", None),
        input_size=getattr(method.settings, "input_size", None),
        training_data=weights.training_data,
        changed_settings={name: value for name, value in settings.items() if value != published.get(name)},
    )
    protocol = dataclasses.replace(protocol, **method.known_protocol())
    versions = machine.versions(method.computed_with)
    facts = {
        "batch_size": execution.batch_size,
        "seed": execution.seed if weights.sha256 is None else None,
        "precision": execution.precision,
        "compiled": execution.compiled,
        "device": execution.device.type,
        "versions": versions,
        "origin": _origin(method),
    }
    return Record(
        id=identity(method.name, protocol, settings, origin, facts),
        method=method.name,
        method_origin=_origin(method),
        paradigm=method.paradigm,
        state="running",
        protocol=protocol,
        settings=settings,
        weights=origin,
        precision=execution.precision,
        compiled=execution.compiled,
        device=str(execution.device),
        batch_size=execution.batch_size,
        seed=execution.seed,
        versions=versions,
        host=machine.host(execution.device),
        command=list(command if command is not None else sys.argv),
        started=_now(),
        corrections=list(getattr(dataset, "corrections", ())),
    )


def _origin(method: Method) -> str:
    """The distribution and version that declare the method; the module of one that is built by hand."""
    plugin = plugins.installed("method").get(method.name)
    return plugin.origin if isinstance(plugin, plugins.Plugin) else type(method).__module__


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def build_network(
    method: NetworkMethod,
    weights: Path | None,
    *,
    seed: int = 0,
    device: "torch.device",
    precision: Precision = "fp32",
    compiled: bool = False,
) -> "nn.Module":
    """The method's network with its weights, in eval mode on a device, made fast for predictions.

    On a processor, this process keeps memory that it frees from now on (`crowdbench.allocation`).

    Args:
        method: whose network.
        weights: a checkpoint; None leaves the network's own random weights.
        seed: of random weights.
        device: where it will run.
        precision, compiled: see `NetworkMethod.for_inference`.

    Raises:
        WeightsError: the weights do not fit.
    """
    import torch

    torch.manual_seed(seed)
    network = method.network()
    if weights is not None:
        load_weights(network, method.released_weights(read_state_dict(weights)), str(weights))
    # Full float32 where float32 is asked for, and the same algorithm for the same shape every time.
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    if device.type == "cpu":
        keep_freed_memory()
    network = network.to(device).eval()
    return method.for_inference(network, precision=precision, compiled=compiled)


def _carry_out(
    run: Run,
    method: Method,
    dataset: Dataset,
    weights: Path | None,
    count: int,
    execution: _Execution,
    workers: int | None,
    save_every_s: float,
    on_progress: Callable[[Progress | Transfer], None] | None,
) -> Run:
    record = run.record
    if weights is not None and not isinstance(method, NetworkMethod):
        method.load(weights)
    network = (
        build_network(
            method,
            weights,
            seed=execution.seed,
            device=execution.device,
            precision=execution.precision,
            compiled=execution.compiled,
        )
        if isinstance(method, NetworkMethod)
        else None
    )
    samples = [dataset[index] for index in range(count)]
    method.begin(samples, record.protocol.complete)
    # A top-down method has nothing to do where there is no box.
    asked = [s for s in samples if s.instances] if method.paradigm == "top-down" else samples
    batches = in_batches(asked, execution.batch_size, method.paradigm)
    parts = Parts(run.directory / "parts", record.id, save_every_s)
    todo = [index for index in range(len(batches)) if index not in parts.done]
    if len(todo) < len(batches):
        log.info("continued: %d of %d batches were done before", len(batches) - len(todo), len(batches))

    images = sum(len(batches[i]) for i in range(len(batches)) if i in parts.done)
    persons = sum(parts.done.values())
    report = on_progress or (lambda _: None)
    report(Progress(images, len(asked), persons))
    clock = time.perf_counter()
    computed_images = computed_persons = 0
    warnings: list[str] = []

    def note_halving(size: int) -> None:
        warnings.append(
            f"memory ran out with batches of {execution.batch_size}; the rest came in batches of {size}"
        )

    found = predict_batches(
        method,
        network,
        [batches[i] for i in todo],
        batch_size=execution.batch_size,
        device=execution.device,
        precision=execution.precision,
        workers=_workers(record.host) if workers is None else workers,
        on_halved=note_halving,
    )
    try:
        for index, poses in zip(todo, found, strict=True):
            results = [
                r
                for sample, ps in zip(batches[index], poses, strict=True)
                for r in as_results(sample, ps, with_boxes=method.writes_boxes)
            ]
            parts.add(index, results)
            computed_images += len(batches[index])
            computed_persons += len(results)
            report(Progress(images + computed_images, len(asked), persons + computed_persons))
    finally:
        parts.flush()
    seconds = time.perf_counter() - clock
    try:
        run.write_predictions(parts.merged(range(len(batches))))
    except RunError:
        # Another process on this very run was quicker, and has put the parts away.
        finished = _finished(run)
        if finished is None:
            raise
        parts.remove()
        return finished
    scores = _score(run, dataset, samples) if dataset.has_annotations else None
    timings = {"predict_s": seconds}
    if computed_images:
        timings["images_per_s"] = computed_images / seconds
        timings["persons_per_s"] = computed_persons / seconds
    record = dataclasses.replace(
        record,
        state="done",
        finished=_now(),
        timings=timings,
        counts={"images": count, "images_predicted": len(asked), "predictions": sum(parts.done.values())},
        scores=dict(scores.values) if scores else None,
        scored_by=f"{scores.engine} {scores.engine_version}" if scores else None,
        warnings=[
            *warnings,
            *(scores.warnings if scores else ["no ground truth for this split: predictions are not scored"]),
        ],
    )
    log.info("%d images, %d predictions in %.1f s", computed_images, computed_persons, seconds)
    run = Run(run.directory, record)
    run.write_record()
    parts.remove()
    return run


def _workers(host: dict[str, Any]) -> int:
    return min(8, max(1, int(host["cpus"]) // 2))


def _score(run: Run, dataset: Dataset, samples: Sequence[Sample]) -> "Scores":
    from crowdbench.scoring import score_files

    partial = None if run.record.protocol.complete else [sample.image_id for sample in samples]
    scores = score_files(run.predictions_file, dataset.annotation_file, dataset.protocol, image_ids=partial)
    run.write_scores(scores)
    return scores


def _close(run: Run, error: BaseException) -> None:
    """Leave a record that says why the run stopped."""
    if isinstance(error, Exception):
        log.error("failed: %s", error, exc_info=None if isinstance(error, CrowdbenchError) else error)
        state, reason = "failed", f"{type(error).__name__}: {error}"
    else:
        log.warning("interrupted by %s", type(error).__name__)
        state, reason = "interrupted", type(error).__name__
    if _finished(run) is not None:
        return  # another process finished this very run meanwhile; its result stands
    closed = dataclasses.replace(run.record, state=state, reason=reason, finished=_now())  # type: ignore[arg-type]
    try:
        Run(run.directory, closed).write_record()
    except OSError as failure:
        raise RunError(
            f"{run.directory}: the run stopped ({reason}) and its record cannot be written."
        ) from failure
