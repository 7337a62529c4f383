"""Match a method's poses on annotated images with the annotations."""

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

LIMIT = 200  # images, by default
# Below this mean similarity the annotated persons count as not found.
FOUND = 0.3
# A keypoint of at least this similarity is on the right spot; where exactly is what an offset is about.
_WELL_PLACED = 0.5
_OVERLAP = 0.3  # of the extents of a pose and an annotation that are taken for one person


@dataclass(frozen=True, eq=False)
class Matched:
    """Persons who are annotated and found, n of them, with K keypoints each.

    Attributes:
        persons: ``(n,)``, image id and annotation index, which identify a person across results.
        found: ``(n, K, 2)``, x, y of the poses in pixels.
        wanted: ``(n, K, 2)``, x, y of the annotations in pixels.
        visibility: ``(n, K)`` as annotated, 0 where no keypoint is labelled.
        areas: ``(n,)``, in square pixels.
        sigmas: ``(K,)``, OKS's constants.
    """

    persons: list[tuple[int, int]]
    found: FloatArray
    wanted: FloatArray
    visibility: FloatArray
    areas: FloatArray
    sigmas: FloatArray

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """``(n, K)``: which keypoints are annotated."""
        return np.asarray(self.visibility > 0)

    @cached_property
    def similarity(self) -> FloatArray:
        """``(n, K)`` in [0, 1]: OKS's term of each keypoint."""
        return self._similarity(self.found, self.sigmas)

    def _similarity(self, found: FloatArray, sigmas: FloatArray) -> FloatArray:
        squared = ((found - self.wanted) ** 2).sum(axis=2)
        scale = 2 * self.areas[:, None] * (2 * sigmas) ** 2
        return np.asarray(np.exp(-squared / np.maximum(scale, 1e-9)))

    @cached_property
    def confusion(self) -> FloatArray:
        """``(K, K)``: how similar the found keypoint i is to the annotated keypoint k, on average.

        NaN in columns of keypoints that are never labelled.
        """
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
        """OKS of each person who has labelled keypoints."""
        rows = zip(self.persons, self.similarity, self.labelled, strict=True)
        return {person: float(values[has].mean()) for person, values, has in rows if has.any()}

    @property
    def well_placed(self) -> NDArray[np.bool_]:
        """``(n, K)``: visible keypoints that are on the right spot."""
        return np.asarray((self.visibility == 2) & (self.similarity > _WELL_PLACED))


class AnnotatedSubject:
    """What the checks on annotated images share.

    Args:
        method: the method, with its network.
        dataset: opened with ground-truth boxes, with the method's keypoints.
        limit: images with labelled persons that are looked at, from the split's start.

    Raises:
        SettingsError: there is nothing to compare with.
    """

    def __init__(self, method: MethodSubject, dataset: Dataset, limit: int = LIMIT) -> None:
        if not dataset.has_annotations:
            raise SettingsError(f"{dataset.name} {dataset.split} has no annotations to compare poses with.")
        self.method = method
        self.dataset = dataset
        self.limit = limit

    def require_trained(self) -> None:
        """Go on only where a network has been trained.

        Raises:
            NotApplicable: its weights are random.
        """
        if isinstance(self.method.method, NetworkMethod) and self.method.weights is None:
            raise NotApplicable(
                "with random weights there is nothing to see: pass --weights published or FILE"
            )

    @cached_property
    def samples(self) -> list[Sample]:
        """The images that are looked at: those with labelled persons."""
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
        """The persons found, beside their annotations.

        Raises:
            NotApplicable: too few are found for anything to be said.
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
        """The same of the same images, their red and blue exchanged."""
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
    """Without the columns of keypoints that are never labelled."""
    return confusion[:, ~np.isnan(confusion).all(axis=0)]


def _pairs(sample: Sample, poses: Sequence[Pose]) -> list[tuple[int, FloatArray]]:
    """Which annotated person each pose is of: by its box or its extent, whatever keypoints are called."""
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
