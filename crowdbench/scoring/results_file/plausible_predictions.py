"""Plausibility of predictions: warnings about what many of them have in common; docs/metrics.md lists them.

Nothing here changes a number: official tools score all of this without a warning.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from crowdbench.api.types import FloatArray
from crowdbench.coco.rules.plausible_boxes import implausible_boxes
from crowdbench.scoring.results_file.columns import Rows
from crowdbench.scoring.results_file.coordinate_frames import Fit, PoseSample, better_frame, fit_of
from crowdbench.scoring.statistics import MAX_DETECTIONS

if TYPE_CHECKING:
    from crowdbench.scoring.problem import Problem

FEW_IMAGES = 1 / 3  # of the images with persons
EQUAL_SCORES = 5  # predictions with one score, unless nearly all are right
NEARLY_ALL_RIGHT = 0.95
FALLING = -0.2  # rank correlation
FALLING_CERTAIN = -3.0  # in standard errors of no correlation
ZERO = 0.1
NORMALIZED = 0.5
ONE_POINT = 0.2
OUTSIDE = 0.3  # of the keypoints
MARGIN = 0.1  # of the image's side
IDENTICAL = 0.2
IDENTICAL_IMAGES = 3
SURPLUS = 0.9  # of the images with predictions
MANY = 5 * MAX_DETECTIONS  # methods without boxes propose a few more than count
BOXES_BEYOND = 0.25
POOR_FIT = 0.7  # mean OKS, below which other frames are tried
# So much is looked at, in images that stand together; all of small sets.
NEIGHBORS = 8
MOST_PREDICTIONS = 1_000
MOST_PAIRS = 1_500
BETTER_BY = 0.2
BETTER_TIMES = 1.5


@dataclass(frozen=True)
class PlausibilityFinding:
    """Something implausible.

    Attributes:
        name: the name of the check.
        text: a sentence with the figures, without its period.
        is_doubt: whether the scores themselves are in doubt.
    """

    name: str
    text: str
    is_doubt: bool = True


class _Predictions:
    """The predictions of a problem that count, on all images or on a sample, as arrays."""

    def __init__(self, problem: "Problem") -> None:
        self.problem = problem
        images = len(problem.images.ids) + 1
        kept = _best_of_images(problem)
        with_labels = ~problem.persons.is_crowd & (problem.persons.areas > 0)
        persons_of = np.bincount(problem.person_images[with_labels], minlength=images)
        counts = np.bincount(problem.prediction_images[kept], minlength=images)
        work = max((counts * persons_of).sum() / MOST_PAIRS, len(kept) / MOST_PREDICTIONS)
        # Neighbors stay together: ids may be off by one.
        chosen = np.arange(images) // NEIGHBORS % max(1, int(np.ceil(work))) == 0
        rows = kept[chosen[problem.prediction_images[kept]]]
        persons = np.flatnonzero(with_labels & chosen[problem.person_images])
        persons = persons[np.argsort(problem.person_images[persons], kind="stable")]
        count = problem.protocol.keypoints.count
        self.images = problem.prediction_images[rows]
        self.poses = _taken(problem.keypoints, rows).reshape(-1, count, 3)[..., :2]
        self.boxes = None if problem.boxes is None else _taken(problem.boxes, rows).reshape(-1, 4)
        self.scores = problem.scores[rows]
        truth = _taken(problem.persons.keypoints, persons).reshape(-1, count, 3)
        labelled = truth[..., 2] > 0
        some = labelled.any(axis=1)
        self.truth, self.labelled, self.persons = truth[some, :, :2], labelled[some], persons[some]
        sizes = problem.images.sizes
        known = np.full((images - 1, 2), np.nan) if sizes is None else sizes
        self.sizes = known[self.images - 1]
        if self._are_sizes_swapped(known):
            self.sizes = self.sizes[:, ::-1]
        self.low, self.high = self.poses.min(axis=1), self.poses.max(axis=1)
        self.is_zero = (self.low == 0).all(axis=1) & (self.high == 0).all(axis=1)

    def _are_sizes_swapped(self, sizes: FloatArray) -> bool:
        """Whether the annotated persons say that the file has heights for widths."""
        sides = sizes[self.problem.person_images[self.persons] - 1][:, None]
        outside, turned = (
            int((self.labelled & (self.truth > s + 1).any(axis=2)).sum()) for s in (sides, sides[..., ::-1])
        )
        return outside > 0.01 * self.labelled.sum() and turned < outside / 2

    def sample(self) -> PoseSample:
        """Predictions beside the labelled persons of their images."""
        problem = self.problem
        return PoseSample(
            *(self.poses, self.boxes, self.scores, self.sizes, self.images, self.truth, self.labelled),
            areas=problem.persons.areas[self.persons],
            person_images=problem.person_images[self.persons],
            keypoints=problem.protocol.keypoints,
        )


def _best_of_images(problem: "Problem") -> NDArray[np.intp]:
    """The predictions that count: of every image so many of the highest scores; in file order."""
    images = problem.prediction_images
    if np.bincount(images).max() <= MAX_DETECTIONS:
        return np.arange(len(images))
    order = np.lexsort((-problem.scores, images))
    rank = np.arange(len(order)) - np.searchsorted(images[order], images[order])
    return np.sort(order[rank < MAX_DETECTIONS])


def _taken(rows: Rows, chosen: NDArray[np.intp]) -> FloatArray:
    return np.array([rows[index] for index in chosen.tolist()], dtype=np.float64)


def implausible_predictions(problem: "Problem") -> list[PlausibilityFinding]:
    """What is implausible about the predictions of a problem; at most one finding of each name."""
    if not len(problem.scores):
        return []
    # Absurd coordinates overflow; they are infinitely far away.
    with np.errstate(all="ignore"):
        return _findings(_Predictions(problem))


def _findings(found: _Predictions) -> list[PlausibilityFinding]:
    findings = [finding for check in _OF_FORM for finding in check(found)]
    if any(finding.name in ("zero", "normalized", "one-point") for finding in findings):
        return findings  # there is no saying how such predictions fit
    sample = found.sample()
    fit = fit_of(sample)
    if fit.mean < POOR_FIT:
        findings += [*_identical(found), *_other_frame(sample, fit)]
    return [*findings, *_equal_scores(found, fit), *_falling_scores(sample, fit)]


def _few_images(found: _Predictions) -> Iterator[PlausibilityFinding]:
    problem = found.problem
    images = len(problem.images.ids) + 1
    has_persons = np.bincount(problem.person_images[problem.counted], minlength=images) > 0
    has_predictions = np.bincount(problem.prediction_images, minlength=images) > 0
    with_persons = int(has_persons.sum())
    answered = int((has_persons & has_predictions).sum())
    if answered < FEW_IMAGES * with_persons:
        yield PlausibilityFinding(
            "few-images",
            f"there are predictions for {answered} of the {with_persons} images that have persons: "
            "were the others left out?",
        )


def _zero(found: _Predictions) -> Iterator[PlausibilityFinding]:
    share = found.is_zero.mean()
    if share > ZERO:
        yield PlausibilityFinding("zero", f"the keypoints of {_percent(share)} of the predictions are all 0")


def _normalized(found: _Predictions) -> Iterator[PlausibilityFinding]:
    largest = np.maximum(found.high, -found.low).max(axis=1)
    share = ((largest <= 1.5) & ~found.is_zero & ~(found.sizes.min(axis=1) < 8)).mean()
    if share > NORMALIZED:
        yield PlausibilityFinding(
            "normalized",
            f"the keypoints of {_percent(share)} of the predictions lie in [0, 1]: are they normalized by "
            "the image's size? Multiply x by its width and y by its height",
        )


def _one_point(found: _Predictions) -> Iterator[PlausibilityFinding]:
    with np.errstate(over="ignore"):
        alike = (found.high - found.low < 1e-6).all(axis=1) & ~found.is_zero
    if alike.mean() > ONE_POINT:
        yield PlausibilityFinding(
            "one-point", f"the keypoints of {_percent(alike.mean())} of the predictions lie on one point each"
        )


def _outside(found: _Predictions) -> Iterator[PlausibilityFinding]:
    known = ~np.isnan(found.sizes).any(axis=1) & ~found.is_zero
    if not known.any():
        return
    poses, sizes = found.poses[known], found.sizes[known][:, None]
    beyond = ((poses < -MARGIN * sizes) | (poses > (1 + MARGIN) * sizes)).any(axis=2)
    if beyond.mean() > OUTSIDE:
        yield PlausibilityFinding(
            "outside",
            f"{_percent(beyond.mean())} of the keypoints lie outside their images: are they of images of "
            "another size, or of another split?",
        )


def _identical(found: _Predictions) -> Iterator[PlausibilityFinding]:
    poses = np.ascontiguousarray(found.poses[~found.is_zero].reshape(-1, 2 * found.poses.shape[1]))
    images = found.images[~found.is_zero]
    # Hardly any two poses begin alike.
    starts, inverse, counts = np.unique(poses[:, 0], return_inverse=True, return_counts=True)
    if counts[counts > 1].sum() <= IDENTICAL * len(found.poses) or not len(starts):
        return
    often = np.flatnonzero(counts[inverse] > 1)
    _, pose = np.unique(poses[often], axis=0, return_inverse=True)
    pairs = np.unique(np.stack([pose.ravel(), images[often]], axis=1), axis=0)
    of_pose = np.bincount(pairs[:, 0])
    repeated = int((of_pose[pose.ravel()] >= IDENTICAL_IMAGES).sum())
    if repeated > IDENTICAL * len(found.poses):
        yield PlausibilityFinding(
            "identical",
            f"{_percent(repeated / len(found.poses))} of the predictions stand in {IDENTICAL_IMAGES} or more "
            "images with the same keypoints: does the method look at the images?",
        )


def _surplus(found: _Predictions) -> Iterator[PlausibilityFinding]:
    counts = np.bincount(found.problem.prediction_images)
    counts = counts[counts > 0]
    if len(counts) > 1 and (counts > MANY).mean() >= SURPLUS:
        yield PlausibilityFinding(
            "surplus",
            f"{(counts > MANY).sum()} of {len(counts)} images have more than {MANY} predictions: only the "
            f"{MAX_DETECTIONS} of the highest scores count",
            is_doubt=False,
        )


def _boxes(found: _Predictions) -> Iterator[PlausibilityFinding]:
    known = ~np.isnan(found.sizes).any(axis=1)
    if found.boxes is None or not known.any():
        return
    given, sizes = found.boxes[known], found.sizes[known]
    for finding in implausible_boxes(given, sizes[:, 0], sizes[:, 1], "boxes of predictions"):
        if finding.kind == "beyond":
            ends = (given[:, :2] + given[:, 2:] > (1 + MARGIN) * sizes).any(axis=1)
            if ends.mean() <= BOXES_BEYOND:
                continue
        yield PlausibilityFinding("boxes", f"{finding.what}. {finding.remedy.rstrip('.')}")
        return


def _equal_scores(found: _Predictions, fit: Fit) -> Iterator[PlausibilityFinding]:
    scores = found.problem.scores
    count = len(scores)
    if count < EQUAL_SCORES or scores.min() != scores.max():
        return
    if len(fit.of_predictions) and (fit.of_predictions >= 0.5).mean() >= NEARLY_ALL_RIGHT:
        return
    yield PlausibilityFinding(
        "equal-scores",
        f"all {count} predictions have the score {scores[0]:g}: AP depends on their order in the file",
    )


def _falling_scores(sample: PoseSample, fit: Fit) -> Iterator[PlausibilityFinding]:
    matched = fit.of_predictions > 0.1
    count = int(matched.sum())
    if count < 10:
        return
    scores, similarities = _ranks(sample.scores[matched]), _ranks(fit.of_predictions[matched])
    if scores.std() == 0 or similarities.std() == 0:
        return
    correlation = float(np.corrcoef(scores, similarities)[0, 1])
    if correlation < FALLING and correlation * np.sqrt(count - 1) < FALLING_CERTAIN:
        yield PlausibilityFinding(
            "falling-scores",
            f"scores fall as OKS rises (rank correlation {correlation:.2f}): are they distances, or negated? "
            "The surest prediction must have the highest score",
        )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _ranks(values: FloatArray) -> FloatArray:
    """Ranks, of ties their mean."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: FloatArray = (last - (counts - 1) / 2)[inverse]
    return ranks


def _other_frame(sample: PoseSample, fit: Fit) -> Iterator[PlausibilityFinding]:
    if len(sample.truth) < 2 or not len(sample.poses):
        return
    better = better_frame(sample, fit.mean, BETTER_BY, BETTER_TIMES)
    if better is not None:
        yield PlausibilityFinding(
            better.name,
            f"with {better.words} the predictions fit the annotated persons much better (mean OKS "
            f"{better.mean:.2f} instead of {fit.mean:.2f})",
        )


_OF_FORM: tuple[Callable[[_Predictions], Iterator[PlausibilityFinding]], ...] = (
    *(_few_images, _zero, _normalized, _one_point, _outside, _surplus, _boxes),
)
