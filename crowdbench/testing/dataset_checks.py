"""Conformance checks for datasets."""

import pickle
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import combinations
from pathlib import Path

import numpy as np

from crowdbench.api.boxes import NoBoxes
from crowdbench.api.dataset import Dataset
from crowdbench.api.types import Instance, Sample
from crowdbench.coco.dataset import CocoFormatDataset
from crowdbench.errors import CrowdbenchError, MissingDataError
from crowdbench.testing.equality import difference
from crowdbench.testing.outcome import Check, Failed, Inapplicable, NotApplicable, Outcome, Passed, described

# The number of images that are decoded, evenly spaced.
_READ = 12
# The numbers of images whose annotations are checked and scored.
_LOOKED_AT, _SCORED = 20_000, 500
_LISTED = 5

_WHY_IDS = "predictions are matched with annotations by id; of two with one id, one is scored as the other."
_WHY_ORDER = "a run that is continued takes the n-th image to be what it was before."
_WHY_INSTANCES = "methods cut boxes out of images and training draws targets at keypoints."
_WHY_IMAGES = "a run over the split ends at the first image that cannot be read."
_WHY_NAMES = "flip tests and mirrored training images exchange what flip_pairs says."
_WHY_SCORES = "if the annotations themselves do not score 1, no method can be measured by them."
_WHY_SPLITS = "a network that has seen its test images in training is not being tested."
_WHY_PICKLE = "samples are sent to loader workers, which are other processes."
_WHY_BOXES = "a method that finds persons by itself would receive their locations."


class DatasetSubject:
    """State shared by the checks of a dataset.

    Args:
        open: opens the dataset; every call returns a new object.
        root: its folder, for its other splits; None for the dataset's default location.
    """

    def __init__(self, open: Callable[[], Dataset], root: Path | None = None) -> None:
        self.open = open
        self.root = root

    @cached_property
    def dataset(self) -> Dataset:
        """The opened split."""
        return self.open()

    @cached_property
    def samples(self) -> list[Sample]:
        """The samples of the split; at most 20,000, evenly spaced."""
        count = len(self.dataset)
        return [self.dataset[index] for index in _evenly(count, _LOOKED_AT)]

    def require_persons(self) -> None:
        """Raise NotApplicable if the samples have no instances."""
        if not any(sample.instances for sample in self.samples):
            raise NotApplicable("there are no persons in the split, or no boxes were asked for")


def _evenly(count: int, most: int) -> list[int]:
    return sorted({int(index) for index in np.linspace(0, count - 1, min(count, most))}) if count else []


def check_images(subject: DatasetSubject) -> Outcome:
    """Check that some images decode and have the annotated size."""
    if not subject.samples:
        return Failed("a split with images", "a length of 0", _WHY_IMAGES)
    chosen = [subject.samples[index] for index in _evenly(len(subject.samples), _READ)]
    for sample in chosen:
        try:
            sample.read()
        except CrowdbenchError as error:
            return Failed(
                f"image {sample.image_id} in {sample.width}x{sample.height} (width x height)",
                described(error),
                _WHY_IMAGES,
            )
    return Passed(f"{len(chosen)} of {len(subject.dataset)} images read")


def check_order(subject: DatasetSubject) -> Outcome:
    """Check that the split is the same when indexed again, iterated over and reopened."""
    first = [subject.dataset[index] for index in _evenly(len(subject.dataset), _SCORED)]
    again = [subject.dataset[index] for index in _evenly(len(subject.dataset), _SCORED)]
    reopened = subject.open()
    ways = {
        "asked a second time": (first, again),
        "iterated over": (
            list(_first_of(subject.dataset, _SCORED)),
            [subject.dataset[i] for i in range(min(_SCORED, len(subject.dataset)))],
        ),
        "opened again": (first, [reopened[index] for index in _evenly(len(reopened), _SCORED)]),
    }
    for way, (one, other) in ways.items():
        found = difference(one, other, "the samples")
        if found:
            return Failed(f"the same samples in the same order when {way}", found, _WHY_ORDER)
    return Passed()


def _first_of(samples: Dataset, count: int) -> Iterator[Sample]:
    return (sample for sample, _ in zip(samples, range(count), strict=False))


def check_ids(subject: DatasetSubject) -> Outcome:
    """Check that the ids of images and of persons are unique."""
    images = [sample.image_id for sample in subject.samples]
    persons = [instance.id for sample in subject.samples for instance in sample.instances]
    for what, ids in (("image", images), ("person", persons)):
        doubles = [identity for identity, times in Counter(ids).items() if times > 1]
        if doubles:
            shown = ", ".join(map(str, doubles[:_LISTED]))
            return Failed(f"every {what} id once", f"{len(doubles)} are given more often: {shown}", _WHY_IDS)
    return Passed(f"{len(images)} images, {len(persons)} persons")


def check_instances(subject: DatasetSubject) -> Outcome:
    """Check keypoint counts, boxes, visibilities and crowd indices.

    Boxes and keypoints must be finite, boxes must have an area and touch the image, and visibilities must be
    0, 1 or 2.
    """
    subject.require_persons()
    count = subject.dataset.keypoints.count
    for sample in subject.samples:
        for instance in sample.instances:
            trouble = _trouble(instance, sample, count)
            if trouble:
                where = f"person {instance.id} of image {sample.image_id}: "
                return Failed(trouble[0], where + trouble[1], _WHY_INSTANCES)
        # It may exceed 1, because keypoints of several other persons can lie in one box.
        if sample.crowd_index is not None and not 0 <= sample.crowd_index < np.inf:
            return Failed(
                "a crowd index of 0 or more",
                f"image {sample.image_id}: {sample.crowd_index}",
                "images are sorted into easy, medium and hard by it.",
            )
    return Passed()


def _trouble(instance: Instance, sample: Sample, count: int) -> tuple[str, str] | None:
    x, y, width, height = instance.box_xywh
    keypoints = instance.keypoints
    if len(keypoints) != count:
        return f"{count} keypoints, as the dataset's keypoint set has", f"{len(keypoints)}"
    if not (np.isfinite(instance.box_xywh).all() and np.isfinite(keypoints).all()):
        return "finite boxes and keypoints", "NaN or infinity"
    if width <= 0 or height <= 0:
        return "boxes of some width and height", f"a box of {width:g}x{height:g}"
    if x + width <= 0 or y + height <= 0 or x >= sample.width or y >= sample.height:
        return "boxes that touch their image", f"box {instance.box_xywh.tolist()} wholly outside"
    if not np.isin(keypoints[:, 2], (0, 1, 2)).all():
        return "visibilities 0, 1 and 2", f"{sorted(set(keypoints[:, 2].tolist()))}"
    return None


def check_keypoint_names(subject: DatasetSubject) -> Outcome:
    """Check that names are unique, ``left_x`` is paired with ``right_x`` and sigmas are positive.

    The evaluation protocol must use the same keypoint set.
    """
    own = subject.dataset.keypoints
    if len(set(own.keypoints)) != own.count:
        return Failed("keypoint names that differ", f"{', '.join(own.keypoints)}", _WHY_NAMES)
    pairs = {frozenset(own.keypoints[i] for i in pair) for pair in own.flip_pairs}
    wanted = {
        frozenset((name, name.replace("left", "right")))
        for name in own.keypoints
        if "left" in name and name.replace("left", "right") in own.keypoints
    }
    if wanted and pairs != wanted:
        wrong = ", ".join(sorted(" and ".join(sorted(pair)) for pair in pairs ^ wanted))
        return Failed(
            "flip pairs of a left keypoint and the right one of its name", f"other: {wrong}", _WHY_NAMES
        )
    if not all(0 < sigma < np.inf for sigma in own.sigmas):
        return Failed("positive sigmas", f"{own.sigmas}", "OKS divides by them.")
    if subject.dataset.protocol.keypoints != own:
        return Failed(
            "one keypoint set for samples and scoring",
            f"{own.name} and {subject.dataset.protocol.keypoints.name}",
            "predictions would be scored by other sigmas, or refused.",
        )
    return Passed(f"{own.count} keypoints, {len(pairs)} pairs")


def check_scoring(subject: DatasetSubject) -> Outcome:
    """Check that the annotations, scored as predictions, reach an AP of at least 0.99."""
    from crowdbench.scoring.score import score_files

    dataset = subject.dataset
    if not dataset.has_annotations:
        return Inapplicable("the split's ground truth is kept on a server")
    subject.require_persons()
    chosen = [sample for sample in subject.samples if sample.instances][:_SCORED]
    predictions = [
        {
            "image_id": sample.image_id,
            "category_id": 1,
            "keypoints": instance.keypoints.ravel().tolist(),
            "score": 1.0,
        }
        for sample in chosen
        for instance in sample.instances
        if (instance.keypoints[:, 2] > 0).any()
    ]
    if not predictions:
        return Inapplicable("no person has a labelled keypoint")
    scores = score_files(
        predictions,
        dataset.annotation_file,
        dataset.protocol,
        image_ids=[sample.image_id for sample in chosen],
    )
    if not scores.values["AP"] >= 0.99:
        return Failed(
            "an AP of at least 0.99 for the annotations themselves",
            f"an AP of {scores.values['AP']:.3f} for {len(predictions)} persons of {len(chosen)} images",
            _WHY_SCORES,
        )
    return Passed(f"AP {scores.values['AP']:.3f} for {len(predictions)} persons")


def check_splits(subject: DatasetSubject) -> Outcome:
    """Check that splits share no image file, unless one split's name contains the other's ("trainval")."""
    dataset = subject.dataset
    cls = type(dataset)
    if cls.default_split not in cls.splits:
        return Failed(f"a default split among {', '.join(cls.splits)}", cls.default_split, _WHY_SPLITS)
    files = {dataset.split: {sample.path.resolve() for sample in subject.samples}}
    for split in cls.splits:
        found = None if split == dataset.split else _other_split(cls, split, subject.root)
        if found is not None:
            files[split] = {sample.path.resolve() for sample in found}
    for one, other in combinations(files, 2):
        shared = files[one] & files[other]
        if shared and one not in other and other not in one:
            names = ", ".join(sorted(path.name for path in shared)[:_LISTED])
            return Failed(
                "splits without a common image",
                f"{len(shared)} of {one} are in {other} too: {names}",
                _WHY_SPLITS,
            )
    if len(files) == 1:
        return Inapplicable("no other split is here")
    return Passed(", ".join(files))


def _other_split(cls: type[Dataset], split: str, root: Path | None) -> Dataset | None:
    """Open another split without boxes; None if its files are missing. Synthetic data is not generated."""
    try:
        if issubclass(cls, CocoFormatDataset):
            root, _ = cls.find(split, root)
        return cls.open(split, root, NoBoxes())
    except MissingDataError:
        return None


def check_boxes(subject: DatasetSubject) -> Outcome:
    """Check that the samples of a split opened without boxes have no instances."""
    dataset = subject.dataset
    opened = _other_split(type(dataset), dataset.split, subject.root)
    if opened is None:
        return Inapplicable(f"the split {dataset.split} cannot be opened by its name alone")
    with_instances = [s for s in (opened[i] for i in _evenly(len(opened), _SCORED)) if s.instances]
    if with_instances:
        return Failed(
            "no instances in samples of a split opened with --boxes none",
            f"{len(with_instances)} samples have some, image {with_instances[0].image_id} for one",
            _WHY_BOXES,
        )
    return Passed()


def check_pickling(subject: DatasetSubject) -> Outcome:
    """Check that a sample and the opened split survive pickling."""
    things: Sequence[tuple[str, object]] = (
        ("sample", subject.dataset[0]),
        ("opened split", subject.dataset),
    )
    for what, thing in things:
        try:
            copy = pickle.loads(pickle.dumps(thing))  # noqa: S301  (written a moment ago, here)
        except Exception as error:
            return Failed(f"a {what} that can be pickled and read back", described(error), _WHY_PICKLE)
        sample = copy if isinstance(copy, Sample) else copy[0]
        found = difference(subject.dataset[0], sample, "the first sample")
        if found:
            return Failed(f"the same first sample from a pickled {what}", found, _WHY_PICKLE)
    return Passed()


DATASET_CHECKS: tuple[Check[DatasetSubject], ...] = (
    Check("images", "can images be read, in the annotated size?", check_images, _WHY_IMAGES),
    Check("order", "is the split the same every time?", check_order, _WHY_ORDER),
    Check("ids", "are ids given once?", check_ids, _WHY_IDS),
    Check("instances", "are boxes and keypoints what they should be?", check_instances, _WHY_INSTANCES),
    Check("keypoint_names", "do names, flip pairs and sigmas fit?", check_keypoint_names, _WHY_NAMES),
    Check("scoring", "do the annotations score 1 by their own rules?", check_scoring, _WHY_SCORES),
    Check("splits", "do splits share no image?", check_splits, _WHY_SPLITS),
    Check("boxes", "does --boxes none hide the boxes?", check_boxes, _WHY_BOXES),
    Check("pickling", "can samples and the split be pickled?", check_pickling, _WHY_PICKLE),
)
