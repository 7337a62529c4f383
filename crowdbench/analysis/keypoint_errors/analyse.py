"""From predictions and ground truth to an `Analysis`."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crowdbench.analysis.keypoint_errors import corrections
from crowdbench.analysis.keypoint_errors.corrections import Diagnosis
from crowdbench.analysis.keypoint_errors.crowding_bins import Group, crowding_of
from crowdbench.analysis.keypoint_errors.error_types import KINDS, kinds_of
from crowdbench.analysis.keypoint_errors.pairing import UNMATCHED, paired
from crowdbench.analysis.keypoint_errors.result import (
    RULES,
    Analysis,
    ErrorSummary,
    Outcome,
    PredictedPerson,
    read_analysis,
)
from crowdbench.analysis.keypoint_errors.summary import advice
from crowdbench.api.dataset import Dataset
from crowdbench.api.scoring_protocol import ScoringProtocol
from crowdbench.errors import InputError, MachineError
from crowdbench.run_store.run import Run
from crowdbench.scoring.engines import load_engine
from crowdbench.scoring.oks import similarities
from crowdbench.scoring.problem import Problem, read_problem
from crowdbench.scoring.run_inputs import load_run_problem, reopen_dataset
from crowdbench.system.files.digests import file_digest

log = logging.getLogger("crowdbench")
FILE_NAME = "analysis.json"


def analyse(run: Run, dataset: Dataset | None = None) -> Analysis:
    """Find out where a run loses its AP.

    The result is kept in the run's directory, as ``analysis.json``, and taken from there as long as the
    predictions are the same.

    Args:
        run: one that is done.
        dataset: its split, opened; None opens it where datasets usually are.

    Raises:
        InputError: the run is not done, the ground truth is not public, or not the one that it was scored
            against.
        MissingDataError: the dataset is not there.
    """
    record = run.record
    if record.state != "done":
        raise InputError(
            f"{run.directory}: the run is not done (its state is {record.state!r}), so there is nothing to "
            "analyse.\nThe command that began it goes on with it."
        )
    place, digest = run.directory / FILE_NAME, file_digest(run.own_predictions())
    kept = read_analysis(place)
    wanted = (digest, record.protocol.annotations, RULES)
    if kept is not None and (kept.predictions_sha256, kept.annotations_sha256, kept.rules) == wanted:
        return kept
    dataset = dataset or reopen_dataset(record.protocol)
    found = _analysed(load_run_problem(run, dataset), dataset.annotation_file, digest)
    try:
        found.write(place)
    except MachineError as error:
        # Other people's runs can be analysed too.
        log.warning("not kept: %s", error)
    return found


def analyse_files(predictions: Path, annotations: Path, protocol: ScoringProtocol) -> Analysis:
    """Find out where predictions lose AP.

    Args:
        predictions: a results file in COCO format (``.json`` or ``.json.gz``).
        annotations: a ground-truth file in COCO format.
        protocol: the rules of scoring, with keypoints, mirrors and sigmas.

    Raises:
        MissingDataError: a file is not there.
        AnnotationError, PredictionError: a file cannot be scored; says where and why.
    """
    return _analysed(read_problem(predictions, annotations, protocol), annotations, file_digest(predictions))


def _analysed(problem: Problem, annotations: Path, predictions_digest: str) -> Analysis:
    diagnosis, crowding = diagnosed(problem), crowding_of(problem)
    everything = Group("all", 0.0, float("inf"), np.arange(1, len(problem.images.ids) + 1))
    whole, *parts = _parts(diagnosis, [everything, *crowding.levels, *crowding.bins])
    engine, keypoints = load_engine("hotcoco"), problem.protocol.keypoints.keypoints
    ids = problem.persons.ids
    return Analysis(
        protocol=problem.protocol.name,
        keypoints=list(keypoints),
        measure=crowding.measure,
        whole=whole,
        levels=parts[: len(crowding.levels)],
        bins=parts[len(crowding.levels) :],
        advice=advice(whole, keypoints),
        warnings=list(problem.warnings),
        engine=f"{engine.name} {engine.version()}",
        predictions_sha256=predictions_digest,
        annotations_sha256=file_digest(annotations),
        rules=RULES,
        not_found=[
            (problem.images.ids[problem.person_images[place] - 1], ids[place])
            for place in np.flatnonzero(diagnosis.is_not_found)
        ],
        instances=_instances(diagnosis),
    )


def diagnosed(problem: Problem) -> Diagnosis:
    """Match the predictions of a problem and sort their keypoints into kinds."""
    keypoints = problem.protocol.keypoints
    poses = np.array(problem.keypoints, dtype=np.float64).reshape(-1, keypoints.count, 3)
    truth = np.array(problem.persons.keypoints, dtype=np.float64).reshape(-1, keypoints.count, 3)
    areas = problem.persons.areas
    pairing = paired(problem)
    places = np.flatnonzero(pairing.matched_counted)
    kinds = kinds_of(poses[places], pairing.person[places], truth, areas, problem.person_images, keypoints)
    oks = np.full(len(poses), np.nan)
    taken = np.flatnonzero(pairing.person != UNMATCHED)
    oks[taken] = similarities(problem, taken, pairing.person[taken])
    return Diagnosis(problem, poses, truth, pairing, places, kinds, oks)


def _parts(diagnosis: Diagnosis, groups: Sequence[Group]) -> list[ErrorSummary]:
    """What is found on each group of images; every problem is evaluated once for all groups."""
    images = [group.images for group in groups]
    before = corrections.average_precisions(diagnosis.problem, images)
    alone = {
        name: corrections.average_precisions(changed, images)
        for name, changed in corrections.alone(diagnosis)
    }
    # The first kind has nothing before it.
    first = corrections.CUMULATIVE[0]
    cumulative = {first: alone[first]} | {
        name: corrections.average_precisions(changed, images)
        for name, changed in corrections.one_by_one(diagnosis)
    }
    return [
        _counted(
            diagnosis,
            group,
            before[number],
            {name: values[number] for name, values in alone.items()},
            {name: values[number] for name, values in cumulative.items()},
        )
        for number, group in enumerate(groups)
    ]


def _counted(
    diagnosis: Diagnosis, group: Group, ap: float, alone: dict[str, float], cumulative: dict[str, float]
) -> ErrorSummary:
    problem, pairing = diagnosis.problem, diagnosis.pairing
    inside = np.zeros(len(problem.images.ids) + 1, dtype=bool)
    inside[group.images] = True
    here, persons = inside[problem.prediction_images], inside[problem.person_images]
    codes = diagnosis.kinds.codes[here[diagnosis.places]]

    def number(chosen: NDArray[np.bool_]) -> int:
        return int(np.count_nonzero(chosen))

    return ErrorSummary(
        name=group.name,
        low=group.low if group.low > 0 else None,
        high=group.high if np.isfinite(group.high) else None,
        images=len(group.images),
        persons=number(pairing.counted & persons),
        not_found=number(diagnosis.is_not_found & persons),
        predictions=number(pairing.takes_part & here),
        background=number(diagnosis.is_background & here),
        ignored=number((pairing.person >= 0) & ~pairing.matched_counted & here),
        kinds={name: (codes == code).sum(axis=0).tolist() for code, name in enumerate(KINDS)},
        ap=ap,
        alone=alone,
        cumulative=cumulative,
    )


def _instances(diagnosis: Diagnosis) -> list[PredictedPerson]:
    problem, pairing = diagnosis.problem, diagnosis.pairing
    letters = dict(zip(diagnosis.places.tolist(), diagnosis.kinds.letters(), strict=True))
    columns = (
        problem.prediction_images.tolist(),
        problem.scores.tolist(),
        pairing.person.tolist(),
        pairing.takes_part.tolist(),
        diagnosis.oks.tolist(),
    )
    found = []
    for place, (image, score, person, takes_part, oks) in enumerate(zip(*columns, strict=True)):
        outcome: Outcome = (
            "surplus"
            if not takes_part
            else "background"
            if person < 0
            else "matched"
            if place in letters
            else "ignored"
        )
        found.append(
            PredictedPerson(
                problem.images.ids[image - 1],
                place,
                score,
                outcome,
                problem.persons.ids[person] if person >= 0 else None,
                oks if person >= 0 else None,
                letters.get(place, ""),
            )
        )
    return found
