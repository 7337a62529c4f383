"""Rescore a finished run where only what scores depend on has changed.

The id of a run covers what its predictions depend on, which is only a part of an annotation file. After a
``num_keypoints`` or an area is corrected, the id is the same, and nothing has to be predicted again.
"""

import dataclasses
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from crowdbench.api.dataset import Dataset
from crowdbench.errors import DataError, MissingDataError
from crowdbench.run_store.record import Record
from crowdbench.run_store.run import Run
from crowdbench.system.files.reading import read_json

if TYPE_CHECKING:
    from crowdbench.api.scores import Scores

log = logging.getLogger("crowdbench")

# What was computed from the scores that were.
_DERIVED = ("interval.json", "analysis.json")


class _Warned(msgspec.Struct):
    warnings: list[str] = []


def scored_anew(run: Run, wanted: Record, dataset: Dataset) -> Run:
    """Score a finished run against the current annotation file.

    Args:
        run: the run, with its predictions.
        wanted: the record that the same run would get now.
        dataset: the dataset it is evaluated on.

    Returns:
        The run, unchanged if the annotation file is the one that it was scored against.
    """
    before, now = run.record.protocol.annotations, wanted.protocol.annotations
    if before == now:
        return run
    from crowdbench.scoring.score import score_files

    log.info("the annotation file changed in what scores depend on only: scored anew, nothing predicted anew")
    scores: Scores | None = None
    if dataset.has_annotations:
        count = wanted.protocol.images
        partial = None if wanted.protocol.complete else [dataset[at].image_id for at in range(count)]
        scores = score_files(
            run.own_predictions(),
            dataset.annotation_file,
            dataset.protocol,
            image_ids=partial,
            in_protocols_order=True,
        )
        said_before = _of_scores(run)
        run.write_scores(scores)
    else:
        said_before = []
    for name in _DERIVED:
        (run.directory / name).unlink(missing_ok=True)
    correction = (
        f"scored anew on {datetime.now(UTC):%Y-%m-%d}: the annotation file was {before[:12]}... (SHA-256)"
    )
    kept = [s for s in run.record.warnings if s not in said_before and s not in wanted.warnings]
    found = dict.fromkeys([*kept, *dataset.warnings, *(scores.warnings if scores else ())])
    record = dataclasses.replace(
        run.record,
        protocol=wanted.protocol,
        scores=dict(scores.values) if scores else None,
        scored_by=f"{scores.engine} {scores.engine_version}" if scores else None,
        corrections=[*dataset.corrections, correction],
        warnings=[sentence for sentence in found if sentence not in dataset.corrections],
        doubts=list(dict.fromkeys([*dataset.warnings, *(scores.doubts if scores else ())])),
        extent=wanted.extent,
    )
    rescored = dataclasses.replace(run, record=record)
    rescored.write_record()
    return rescored


def _of_scores(run: Run) -> list[str]:
    """What the scores before had to say, which the annotation file may no longer give reason to."""
    try:
        return read_json(run.directory / "scores.json", _Warned, "scores").warnings
    except (MissingDataError, DataError):
        return []
