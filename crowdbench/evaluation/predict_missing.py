"""Predict the missing batches of this process's share, and save them continuously."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from crowdbench.api.dataset import Dataset
from crowdbench.api.method import NetworkMethod
from crowdbench.api.types import Sample
from crowdbench.engine import hooks
from crowdbench.engine.batching import in_batches
from crowdbench.engine.inference import predict_batches, to_coco_results
from crowdbench.engine.network import build_network
from crowdbench.engine.progress import EvaluationProgress
from crowdbench.engine.samples import samples_of
from crowdbench.errors import DataError
from crowdbench.evaluation.shard_sync import Others, wait_for_all
from crowdbench.evaluation.shards import PredictionShards
from crowdbench.evaluation.work import EvaluationWork, load_finished
from crowdbench.scoring.common_keypoints import scored_columns
from crowdbench.system import environment as machine

log = logging.getLogger("crowdbench")


@dataclass(frozen=True)
class Predicted:
    """The predictions of all processes of an evaluation.

    Attributes:
        samples: the requested images.
        images: how many of them had something to predict.
        batches: how many batches there are.
        parts: the predictions.
        fresh_images, fresh_persons: how many were predicted now, by all processes.
        seconds: how long that took.
    """

    samples: list[Sample]
    images: int
    batches: int
    parts: PredictionShards
    fresh_images: int
    fresh_persons: int
    seconds: float


def predict_missing(work: EvaluationWork, check_held: Callable[[], None]) -> Predicted:
    """Predict this process's share of what is missing; the first process waits for the others.

    Args:
        work: the evaluation.
        check_held: called before every write; raises if this process has lost the lease.

    Raises:
        DataError: no image has anything to predict.
        SupersededError: another process has taken over.
    """
    method, dataset, execution, place = work.method, work.dataset, work.execution, work.place
    run = work.work
    samples = samples_of(dataset, work.count)
    # A top-down method has nothing to do where there is no box.
    asked = [s for s in samples if s.instances] if method.paradigm == "top-down" else samples
    if samples and not asked:
        raise _no_person_to_predict(dataset, work.count)
    if work.weights is not None and not isinstance(method, NetworkMethod):
        hooks.load_weights(method, work.weights)
    notes: list[str] = []
    network = (
        build_network(
            method,
            work.weights,
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
        work.save_every_s,
        before_write=check_held,
        machine=machine.kind(execution.device) if method.reads_images else "",
    )
    others = Others(work.home, place)
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
    report = work.on_progress or (lambda _: None)
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
        workers=work.workers,
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
        wait_for_all(parts, len(batches), lambda: load_finished(run) is not None, others)
    fresh = [index for index in range(len(batches)) if index not in before and index in parts.done]
    return Predicted(
        samples,
        len(asked),
        len(batches),
        parts,
        sum(len(batches[i]) for i in fresh),
        sum(parts.done[i] for i in fresh),
        time.perf_counter() - clock,
    )


def _no_person_to_predict(dataset: Dataset, count: int) -> DataError:
    warnings = "".join(f"\n{sentence}" for sentence in dataset.warnings)
    if dataset.boxes.label != "gt":
        return DataError(
            f"{dataset.boxes.label}: none of the boxes is on any of the {count} images of "
            f"{dataset.annotation_file}, so there is no person to predict.{warnings}\n"
            "Pass boxes that were made for these images, or evaluate more images."
        )
    return DataError(
        f"{dataset.annotation_file}: annotated boxes leave no person to predict on any of the {count} "
        "images: persons need a labelled keypoint, a box that overlaps the image, an area where areas are "
        f"scored, and must not be crowds.{warnings}\n`crowdbench data check` lists what is wrong."
    )
