"""How well predictions fit the annotated persons, as given and in other coordinate frames.

Predictions in another frame (x and y exchanged, another image size, left for right) score like a poor method.
Here the most frequent mistakes are undone on part of the images; if predictions then fit much better, they
were written in that frame.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from crowdbench.api.types import FloatArray, IntArray, KeypointSet
from crowdbench.coco.rules.median import median

# A scale, as a natural logarithm, that is worth trying.
SCALED = 0.03


@dataclass(frozen=True, eq=False)
class PoseSample:
    """Predictions and persons of some images.

    Attributes:
        poses: ``(P, K, 2)`` in image pixels.
        boxes: ``(P, 4)``, x, y, width, height in image pixels; None where predictions have none.
        scores: ``(P,)``.
        sizes: ``(P, 2)``, width and height of each prediction's image in pixels, NaN where unknown.
        images: ``(P,)``, the image of each prediction.
        truth: ``(N, K, 2)`` in image pixels, of persons with labelled keypoints.
        labelled: ``(N, K)``.
        areas: ``(N,)``, square pixels, positive.
        person_images: ``(N,)``, ascending.
        keypoints: the keypoint set.
    """

    poses: FloatArray
    boxes: FloatArray | None
    scores: FloatArray
    sizes: FloatArray
    images: IntArray
    truth: FloatArray
    labelled: NDArray[np.bool_]
    areas: FloatArray
    person_images: IntArray
    keypoints: KeypointSet


@dataclass(frozen=True, eq=False)
class Fit:
    """How well predictions fit.

    Attributes:
        of_predictions: ``(P,)``, the best OKS of each prediction with a person; 0 without one.
        of_persons: ``(N,)``, the best OKS of each person with a prediction; 0 without one.
    """

    of_predictions: FloatArray
    of_persons: FloatArray

    @property
    def mean(self) -> float:
        """Over the persons; 0 without persons."""
        return float(self.of_persons.mean()) if len(self.of_persons) else 0.0


@dataclass(frozen=True)
class OtherFrame:
    """A coordinate frame in which predictions fit better.

    Attributes:
        name: the name of the check.
        words: how they were converted, after "with".
        mean: the persons' mean OKS then.
    """

    name: str
    words: str
    mean: float


def fit_of(sample: PoseSample) -> Fit:
    """Match each person and prediction with its best partner, without competition."""
    predictions, persons = _pairs(sample)
    variances = (2 * np.array(sample.keypoints.sigmas)) ** 2
    with np.errstate(over="ignore", invalid="ignore"):
        offsets = sample.poses[predictions] - sample.truth[persons]
        squares = np.einsum("nkc,nkc->nk", offsets, offsets)
        near = np.exp(-squares / variances / sample.areas[persons, None] / 2)
    labelled = sample.labelled[persons]
    similarity = np.where(labelled, near, 0.0).sum(axis=1) / labelled.sum(axis=1)
    of_predictions, of_persons = np.zeros(len(sample.poses)), np.zeros(len(sample.truth))
    np.maximum.at(of_predictions, predictions, similarity)
    np.maximum.at(of_persons, persons, similarity)
    return Fit(of_predictions, of_persons)


def better_frame(sample: PoseSample, before: float, least: float, factor: float) -> OtherFrame | None:
    """The coordinate frame that fits best, if it fits much better than the given one.

    Args:
        sample: predictions and persons.
        before: their mean OKS as given.
        least: by how much the mean must rise.
        factor: by what factor.
    """
    best: OtherFrame | None = None
    for name, words, changed in _frames(sample):
        mean = fit_of(changed).mean
        if mean > (before if best is None else best.mean):
            best = OtherFrame(name, words, mean)
    return best if best is not None and best.mean >= max(before + least, factor * before) else None


def _frames(sample: PoseSample) -> Iterator[tuple[str, str, PoseSample]]:  # noqa: C901
    poses, sizes = sample.poses, sample.sizes
    yield "exchanged", "x and y exchanged", replace(sample, poses=poses[..., ::-1])
    pairs = sample.keypoints.flip_pairs
    mirror = np.arange(poses.shape[1])
    for left, right in pairs:
        mirror[[left, right]] = right, left
    if pairs:
        yield "left-right", "left and right keypoints exchanged", replace(sample, poses=poses[:, mirror])
    yield "reversed", "the keypoints in reverse order", replace(sample, poses=poses[:, ::-1])
    order = _better_order(sample)
    if order is not None:
        yield "order", "the keypoints in another order", replace(sample, poses=poses[:, order])
    if not np.isnan(sizes).any():
        flipped = poses.copy()
        flipped[..., 0] = sizes[:, :1] - 1 - poses[..., 0]
        yield "mirrored", "the image mirrored", replace(sample, poses=flipped)
        yield "mirrored", "the image mirrored", replace(sample, poses=flipped[:, mirror])
        flipped = poses.copy()
        flipped[..., 1] = sizes[:, 1:] - 1 - poses[..., 1]
        yield "upside-down", "y counted from below", replace(sample, poses=flipped)
    if sample.boxes is not None:
        yield (
            "cropped",
            "their boxes' corners added",
            replace(sample, poses=poses + sample.boxes[:, None, :2]),
        )
    # np.unique would import numpy.ma, which takes longer than all that is computed here.
    images = np.flatnonzero(np.bincount(np.concatenate([sample.images, sample.person_images])))
    for step, words in ((1, "the next"), (-1, "the previous")):
        moved = np.searchsorted(images, sample.images) + step
        inside = (moved >= 0) & (moved < len(images))
        other = np.where(inside, images[np.clip(moved, 0, len(images) - 1)], -1)
        yield "shifted", f"the ids of {words} images", replace(sample, images=other)
    scale = _scale(sample)
    if scale is not None:
        factors = scale[np.searchsorted(images, sample.images)]
        typical = median(factors)
        if abs(np.log(typical)) > SCALED:
            words = f"all coordinates times about {typical:.2g}"
            yield "scaled", words, replace(sample, poses=poses * typical)
            yield "scaled", words, replace(sample, poses=poses * factors[:, None, None])
    horizontal, vertical = _scale(sample, axes=(0,)), _scale(sample, axes=(1,))
    if horizontal is not None and vertical is not None:
        x, y = median(horizontal), median(vertical)
        if abs(np.log(x / y)) > SCALED:
            words = f"x times about {x:.2g} and y times about {y:.2g}"
            yield "scaled", words, replace(sample, poses=poses * (x, y))


def _pairs(sample: PoseSample) -> tuple[IntArray, IntArray]:
    """Every prediction with every person of its image."""
    first = np.searchsorted(sample.person_images, sample.images, side="left")
    counts = np.searchsorted(sample.person_images, sample.images, side="right") - first
    predictions = np.repeat(np.arange(len(sample.images)), counts)
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    return predictions, np.arange(len(predictions)) - starts + np.repeat(first, counts)


def _better_order(sample: PoseSample) -> NDArray[np.intp] | None:
    """Which predicted keypoint is nearest to each annotated one, if that is another order."""
    nearest = _nearest_by_center(sample)
    if nearest is None:
        return None
    predictions, persons = nearest
    count = sample.poses.shape[1]
    sides = np.sqrt(sample.areas[persons])
    near = np.zeros((count, count))
    with np.errstate(over="ignore", invalid="ignore"):
        for index in range(count):
            offsets = sample.poses[predictions] - sample.truth[persons, index][:, None]
            distances = np.hypot(offsets[..., 0], offsets[..., 1]) / sides[:, None]
            near[index] = np.exp(-20 * distances**2)[sample.labelled[persons, index]].sum(axis=0)
    order = near.argmax(axis=1)
    is_order = len(set(order.tolist())) == count and (order != np.arange(count)).any()
    return order if is_order else None


def _nearest_by_center(sample: PoseSample) -> tuple[IntArray, IntArray] | None:
    """For every person the prediction of its image whose middle is nearest to the person's."""
    predictions, persons = _pairs(sample)
    if not len(persons):
        return None
    middles = _middles(sample)
    with np.errstate(over="ignore", invalid="ignore"):
        offsets = sample.poses.mean(axis=1)[predictions] - middles[persons]
        distances = np.nan_to_num(np.hypot(offsets[:, 0], offsets[:, 1]), nan=np.inf)
    order = np.lexsort((distances, persons))
    nearest = order[np.flatnonzero(np.diff(persons[order], prepend=-1))]
    return predictions[nearest], persons[nearest]


def _middles(sample: PoseSample) -> FloatArray:
    weights = sample.labelled[..., None]
    middles: FloatArray = (sample.truth * weights).sum(axis=1) / weights.sum(axis=1)
    return middles


def _scale(sample: PoseSample, axes: Sequence[int] = (0, 1)) -> FloatArray | None:
    """How many times as far from its image's corner persons are as the best predictions; None if unknown.

    For all images of predictions and persons, ascending; where one of both lacks, the median of the others.
    """
    # np.unique would import numpy.ma, which takes longer than all that is computed here.
    images = np.flatnonzero(np.bincount(np.concatenate([sample.images, sample.person_images])))
    persons = np.searchsorted(images, sample.person_images)
    predictions = np.searchsorted(images, sample.images)
    # Of each image only so many of the best predictions as there are persons.
    order = np.lexsort((-sample.scores, predictions))
    sorted_images = predictions[order]
    rank = np.arange(len(order)) - np.searchsorted(sorted_images, sorted_images)
    counts = np.bincount(persons, minlength=len(images))
    best = order[rank < counts[sorted_images]]
    with np.errstate(all="ignore"):
        true = np.bincount(persons, _middles(sample)[:, axes].sum(axis=1), len(images)) / counts
        shown = sample.poses[best].mean(axis=1)[:, axes].sum(axis=1)
        found = np.bincount(predictions[best], shown, len(images)) / np.bincount(
            predictions[best], minlength=len(images)
        )
        ratios = true / found
    known = np.isfinite(ratios) & (ratios > 0)
    return np.where(known, ratios, median(ratios[known])) if known.any() else None
