"""A method's poses on annotated images, matched with the annotated persons."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from crowdbench.api.dataset import Dataset
from crowdbench.api.method import NetworkMethod
from crowdbench.api.types import FloatArray, Pose, Sample
from crowdbench.engine.batching import default_batch_size, in_batches
from crowdbench.errors import SettingsError
from crowdbench.testing.image_files import write_image
from crowdbench.testing.outcome import NotApplicable
from crowdbench.testing.pose_matching import by_box
from crowdbench.testing.subject import MethodSubject

LIMIT = 200  # default number of images
# Below this mean similarity the annotated persons count as not found, whatever the keypoint order.
FOUND = 0.3
# Keypoints above this similarity are well placed; constant offsets are measured on these.
_WELL_PLACED = 0.5
_OVERLAP = 0.3  # minimum IoU of the extents of a pose and an annotation that are matched


@dataclass(frozen=True, eq=False)
class Matched:
    """n annotated persons with matched poses, with K keypoints each.

    Attributes:
        persons: n pairs (image id, index of the instance), which identify the persons across two runs.
        found: ``(n, K, 2)``, x, y of the poses in pixels.
        wanted: ``(n, K, 2)``, x, y of the annotations in pixels.
        visibility: ``(n, K)`` as annotated, 0 where a keypoint is not labeled.
        areas: ``(n,)``, in square pixels.
        sigmas: ``(K,)``, the OKS constants.
    """

    persons: list[tuple[int, int]]
    found: FloatArray
    wanted: FloatArray
    visibility: FloatArray
    areas: FloatArray
    sigmas: FloatArray

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """``(n, K)``: whether a keypoint is labeled."""
        return np.asarray(self.visibility > 0)

    @cached_property
    def similarity(self) -> FloatArray:
        """``(n, K)`` in [0, 1]: the OKS term of each keypoint."""
        return self._similarity(self.found, self.sigmas)

    def _similarity(self, found: FloatArray, sigmas: FloatArray) -> FloatArray:
        squared = ((found - self.wanted) ** 2).sum(axis=2)
        scale = 2 * self.areas[:, None] * (2 * sigmas) ** 2
        return np.asarray(np.exp(-squared / np.maximum(scale, 1e-9)))

    @cached_property
    def confusion(self) -> FloatArray:
        """``(K, K)``: mean similarity of found keypoint i to annotated keypoint k; NaN without labels."""
        count = len(self.sigmas)
        table = np.full((count, count), np.nan)
        for index in range(count):
            moved = np.repeat(self.found[:, index : index + 1], count, axis=1)
            similarity = np.where(self.labelled, self._similarity(moved, self.sigmas), 0.0)
            labelled = self.labelled.sum(axis=0)
            has = labelled > 0
            table[index, has] = similarity.sum(axis=0)[has] / labelled[has]
        return table

    @cached_property
    def person_similarity(self) -> dict[tuple[int, int], float]:
        """The OKS of each person with labeled keypoints."""
        rows = zip(self.persons, self.similarity, self.labelled, strict=True)
        return {person: float(values[has].mean()) for person, values, has in rows if has.any()}

    @property
    def well_placed(self) -> NDArray[np.bool_]:
        """``(n, K)``: whether a keypoint is visible and its similarity is above 0.5."""
        return np.asarray((self.visibility == 2) & (self.similarity > _WELL_PLACED))


class AnnotatedSubject:
    """State shared by the checks on annotated images.

    Args:
        method: the method, with its network.
        dataset: opened with ground-truth boxes and the method's keypoints.
        limit: the number of images with labeled persons to use, from the start of the split.

    Raises:
        SettingsError: the split has no annotations.
    """

    def __init__(self, method: MethodSubject, dataset: Dataset, limit: int = LIMIT) -> None:
        if not dataset.has_annotations:
            raise SettingsError(f"{dataset.name} {dataset.split} has no annotations to compare poses with.")
        self.method = method
        self.dataset = dataset
        self.limit = limit

    def require_trained(self) -> None:
        """Raise NotApplicable if the network's weights are random."""
        if isinstance(self.method.method, NetworkMethod) and self.method.weights is None:
            raise NotApplicable(
                "with random weights there is nothing to see: pass --weights published or FILE"
            )

    @cached_property
    def samples(self) -> list[Sample]:
        """The first `limit` images with labeled persons."""
        chosen: list[Sample] = []
        for index in range(len(self.dataset)):
            sample = self.dataset[index]
            if any((instance.keypoints[:, 2] > 0).any() for instance in sample.instances):
                chosen.append(sample)
                if len(chosen) == self.limit:
                    break
        return chosen

    @cached_property
    def matched(self) -> Matched:
        """The annotated persons with matched poses.

        Raises:
            NotApplicable: the weights are random, fewer than 20 persons are found, or the poses are too far
                from the annotations.
        """
        self.require_trained()
        matched = self._matched(self.samples)
        if len(matched.persons) < 20:
            count = len(matched.persons)
            raise NotApplicable(
                f"{count} of the annotated persons are found in {len(self.samples)} images; 20 are needed"
            )
        if float(np.nanmean(np.nanmax(_seen(matched.confusion), axis=0))) < FOUND:
            raise NotApplicable(
                "poses are too far from the annotated persons for anything to be said of their keypoints"
            )
        return matched

    @cached_property
    def with_channels_swapped(self) -> Matched:
        """As `matched`, on the same images with red and blue swapped, but without its requirements."""
        folder = self.method.folder / "swapped"
        folder.mkdir(exist_ok=True)
        swapped = []
        for number, sample in enumerate(self.samples):
            pixels = np.ascontiguousarray(sample.read()[..., ::-1])
            swapped.append(replace(sample, path=write_image(folder / f"{number:06d}.png", pixels)))
        return self._matched(swapped)

    def _matched(self, samples: Sequence[Sample]) -> Matched:
        paradigm = self.method.method.paradigm
        batches = in_batches(samples, default_batch_size(paradigm, "cpu"), paradigm)
        persons, found, wanted, areas = [], [], [], []
        answers = (poses for batch in self.method.run(batches) for poses in batch)
        for sample, poses in zip((s for batch in batches for s in batch), answers, strict=True):
            for index, pose in _pairs(sample, poses):
                instance = sample.instances[index]
                persons.append((sample.image_id, index))
                found.append(pose)
                wanted.append(instance.keypoints)
                areas.append(instance.area)
        count = self.dataset.keypoints.count
        annotated = np.array(wanted, dtype=np.float64).reshape(-1, count, 3)
        return Matched(
            persons,
            np.array(found, dtype=np.float64).reshape(-1, count, 2),
            annotated[..., :2],
            annotated[..., 2],
            np.array(areas, dtype=np.float64),
            np.array(self.dataset.keypoints.sigmas),
        )


def _seen(confusion: FloatArray) -> FloatArray:
    """Drop the columns of keypoints without labels."""
    return confusion[:, ~np.isnan(confusion).all(axis=0)]


def _pairs(sample: Sample, poses: Sequence[Pose]) -> list[tuple[int, FloatArray]]:
    """Match poses with annotated persons by box or extent, independently of the keypoint order.

    Returns pairs of an index into the instances and the keypoints ``(K, 2)`` of the pose.
    """
    own = by_box(poses, sample.boxes_xywh)
    if own is not None:
        return [(index, pose) for index, pose in enumerate(own) if pose is not None]
    boxes = {
        index: _extent(instance.keypoints[instance.keypoints[:, 2] > 0, :2])
        for index, instance in enumerate(sample.instances)
        if (instance.keypoints[:, 2] > 0).sum() >= 2
    }
    overlaps = sorted(
        ((_overlap(_extent(pose.keypoints[:, :2]), box), number, index) for index, box in boxes.items()
         for number, pose in enumerate(poses)),
        reverse=True,
    )  # fmt: skip
    found: list[tuple[int, FloatArray]] = []
    taken: set[int] = set()
    for overlap, number, index in overlaps:
        if overlap >= _OVERLAP and number not in taken and index in boxes:
            taken.add(number)
            del boxes[index]
            found.append((index, poses[number].keypoints[:, :2]))
    return found


def _extent(points: FloatArray) -> FloatArray:
    return np.concatenate([points.min(axis=0), points.max(axis=0)])


def _overlap(one: FloatArray, other: FloatArray) -> float:
    shared = np.maximum(np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]), 0).prod()
    total = (one[2:] - one[:2]).prod() + (other[2:] - other[:2]).prod() - shared
    return float(shared / total) if total > 0 else 0.0
