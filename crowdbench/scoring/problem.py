"""Predictions joined with ground truth, in the form that engines receive."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowdbench.api.scoring_protocol import ScoringProtocol
from crowdbench.api.types import FloatArray, IntArray, KeypointSet
from crowdbench.scoring.annotations import GroundTruth, Images, Persons, read_annotations
from crowdbench.scoring.results_file.columns import Rows, of_keypoints
from crowdbench.scoring.results_file.image_lookup import located
from crowdbench.scoring.results_file.keypoint_order import put_in_order
from crowdbench.scoring.results_file.plausible_predictions import implausible_predictions
from crowdbench.scoring.results_file.predictions import Predictions, read_predictions


@dataclass(frozen=True, eq=False)
class Problem:
    """A scoring problem without identifiers: images are numbered 1..M by ascending id.

    Engines mishandle ids that are negative, huge, strings or 0, so they never see them.

    Attributes:
        protocol: the rules.
        images: the M scored images.
        persons: the N annotated persons, in file order.
        person_images: ``(N,)`` int64, the image of each.
        keypoints: P rows of 3 K numbers, the predictions, in file order.
        scores: ``(P,)`` float64.
        boxes: P rows of 4 numbers, or None.
        prediction_images: ``(P,)`` int64, the image of each.
        warnings: what is legal but probably unintended.
        doubts: the warnings that put the scores in doubt.
    """

    protocol: ScoringProtocol
    images: Images
    persons: Persons
    person_images: IntArray
    keypoints: Rows
    scores: FloatArray
    boxes: Rows | None
    prediction_images: IntArray
    warnings: tuple[str, ...]
    doubts: tuple[str, ...] = ()

    def split(self, name: str) -> IntArray:
        """The images of a crowding split, those with ``low <= crowdIndex < high``."""
        low, high = next((low, high) for n, low, high in self.protocol.crowding_splits if n == name)
        assert self.images.crowd_index is not None  # checked on reading, as the protocol has splits
        inside = (self.images.crowd_index >= low) & (self.images.crowd_index < high)
        return np.flatnonzero(inside) + 1

    @property
    def counted(self) -> NDArray[np.bool_]:
        """``(N,)``, the persons that are not ignored in every area range."""
        return (self.persons.num_keypoints > 0) & ~self.persons.is_crowd


def read_problem(
    predictions: Path | Sequence[Mapping[str, Any]],
    annotations: Path,
    protocol: ScoringProtocol,
    image_ids: Collection[int | str] | None = None,
    predicted: KeypointSet | None = None,
    *,
    in_protocols_order: bool = False,
) -> Problem:
    """Read, check and join both sides.

    Args:
        predictions, annotations: files, or the predictions themselves.
        protocol: the rules.
        image_ids: restricts the ground truth to these images.
        predicted: the keypoints that the predictions have, where these are more than are scored.
        in_protocols_order: the predictions are crowdbench's own, with their keypoints in the protocol's order
            whatever the annotation file's is.

    Raises:
        MissingDataError, AnnotationError, PredictionError: see `read_annotations` and `read_predictions`.
        PredictionError: a prediction is of an image or a category that the annotations do not have.
    """
    truth = read_annotations(annotations, protocol, image_ids)
    found = read_predictions(predictions, predicted or protocol.keypoints)
    if predicted is not None:
        places = [predicted.keypoints.index(name) for name in protocol.keypoints.keypoints]
        found = replace(found, keypoints=of_keypoints(found.keypoints, places))
    found = located(found, truth.listed, truth.names, truth.source)
    _check_category(found, truth)
    numbers = {image_id: number for number, image_id in enumerate(truth.images.ids, start=1)}
    images = np.array([numbers.get(image_id, 0) for image_id in found.image_ids], dtype=np.int64)
    inside = images > 0  # all, unless the ground truth was restricted
    warnings = [*truth.warnings, *found.warnings]
    if not inside.all():
        warnings.append(f"{(~inside).sum()} predictions are of images outside the chosen ones; left out")
    person_images = np.array([numbers[image_id] for image_id in truth.persons.image_ids], dtype=np.int64)
    keypoints = list(compress(found.keypoints, inside))
    as_annotated = predicted is None and protocol.labelled is None
    if truth.order is not None and keypoints and as_annotated and not in_protocols_order:
        keypoints, note = put_in_order(
            keypoints,
            images[inside].tolist(),
            truth.persons.keypoints,
            person_images.tolist(),
            truth.order,
        )
        warnings.append(note)
    problem = Problem(
        protocol,
        truth.images,
        truth.persons,
        person_images,
        keypoints,
        found.scores[inside],
        None if found.boxes is None else list(compress(found.boxes, inside)),
        images[inside],
        tuple(warnings),
    )
    findings = implausible_predictions(problem)
    doubts = [*truth.doubts, *(finding.text for finding in findings if finding.is_doubt)]
    if len(truth.persons.image_ids) and not problem.counted.any():
        warnings.append("no annotated person counts: every statistic is -1")
    warnings += [finding.text for finding in findings]
    return replace(problem, warnings=tuple(warnings), doubts=tuple(doubts))


def _check_category(found: Predictions, truth: GroundTruth) -> None:
    ids = found.category_ids
    found.table.require(
        [category_id == truth.category_id for category_id in ids],
        lambda i: f"category_id is {ids[i]}, but the person's is {truth.category_id}",
        "Engines drop such predictions silently; keep the persons only and give them this id.",
    )
