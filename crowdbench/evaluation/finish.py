"""Finish a run: merge and score the predictions, and close the record, or record the failure."""

import dataclasses
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from crowdbench.api.dataset import Dataset
from crowdbench.api.method import Method
from crowdbench.api.types import Sample
from crowdbench.errors import CrowdbenchError, MachineError
from crowdbench.evaluation.predict_missing import Predicted
from crowdbench.evaluation.provenance import said_of_changed_code
from crowdbench.evaluation.work import EvaluationWork
from crowdbench.run_store.run import Run
from crowdbench.system.images import condensed
from crowdbench.system.plugin_calls import log_trace
from crowdbench.system.text import utc_now

if TYPE_CHECKING:
    from crowdbench.api.scores import Scores

log = logging.getLogger("crowdbench")


def finish(work: EvaluationWork, predicted: Predicted, check_held: Callable[[], None]) -> Run:
    """Merge the predictions, score them, and write the record of a finished run.

    Args:
        work: the evaluation.
        predicted: the predictions of all processes.
        check_held: called before every write; raises if this process has lost the lease.

    Raises:
        SupersededError: another process has taken over.
        CrowdbenchError: the predictions cannot be scored or written.
    """
    run, method, dataset = work.work, work.method, work.dataset
    parts, seconds = predicted.parts, predicted.seconds
    check_held()
    written = run.write_predictions(parts.merged(range(predicted.batches)))
    scores = _score(run, dataset, predicted.samples) if dataset.has_annotations else None
    timings = {"predict_s": seconds, "processes": float(work.place.world_size)}
    if not method.reads_images:
        timings = {}
    elif predicted.fresh_images:
        timings["images_per_s"] = predicted.fresh_images / seconds
        timings["persons_per_s"] = predicted.fresh_persons / seconds
    record = dataclasses.replace(
        run.record,
        state="done",
        finished=utc_now(),
        timings=timings,
        counts={
            "images": work.count,
            "images_predicted": predicted.images,
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
                *_note_on_no_predictions(method, predicted),
            ],
            dataset,
            scores,
        ),
        doubts=list(dict.fromkeys([*dataset.warnings, *(scores.doubts if scores else ())])),
    )
    log.info("%d images, %d predictions in %.1f s", predicted.fresh_images, predicted.fresh_persons, seconds)
    run = Run(run.directory, record)
    check_held()
    run.write_record()
    parts.remove()
    return run


def _note_on_no_predictions(method: Method, predicted: Predicted) -> list[str]:
    """A score of 0 may be a network that has learnt nothing, or code that gives nothing back."""
    persons = sum(len(sample.instances) for sample in predicted.samples)
    if sum(predicted.parts.done.values()) or not persons:
        return []
    return [
        f"{method.name} found no person in any of {predicted.images} images, in which {persons} persons are "
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


def record_failure(run: Run, error: BaseException) -> None:
    """Leave a record that says why the run stopped."""
    if isinstance(error, Exception):
        log.error("failed: %s", error, exc_info=None if isinstance(error, CrowdbenchError) else error)
        log_trace(error)
        state, reason = "failed", f"{type(error).__name__}: {error}"
    else:
        log.warning("interrupted by %s", type(error).__name__)
        state, reason = "interrupted", type(error).__name__
    closed = dataclasses.replace(run.record, state=state, reason=reason, finished=utc_now())  # type: ignore[arg-type]
    try:
        Run(run.directory, closed).write_record()
    except MachineError as failure:
        if isinstance(error, MachineError):
            log.error("nor can its record be written: %s", failure)
            return  # a full disk stopped the run: that is the error to tell
        raise MachineError(f"the run stopped ({reason}), and its record: {failure}") from failure
