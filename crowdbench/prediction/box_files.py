"""Boxes for images: from a file, or the whole image."""

import logging
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from crowdbench.api.boxes import GroundTruthBoxes
from crowdbench.api.dataset import Dataset, dataset_class
from crowdbench.api.types import Instance
from crowdbench.coco.annotations import ImageEntry
from crowdbench.coco.detections import PERSON, Detections
from crowdbench.coco.rules.foreign_formats import explained
from crowdbench.coco.rules.plausible_boxes import implausible_boxes
from crowdbench.coco.rules.values import LARGEST_PX
from crowdbench.errors import AnnotationError, DataError, ImageError, MissingDataError, SettingsError
from crowdbench.prediction.image_names import WHOLE, ImageIds, ImageNameIndex, _converted, _document
from crowdbench.system.files.image_header import size_in_header
from crowdbench.vision.geometry import clean_boxes

log = logging.getLogger("crowdbench")

Boxes = list[tuple[float, float, float, float]]


@dataclass(frozen=True)
class ImageQuery:
    """An image or video frame whose boxes are requested.

    Attributes:
        path: the image or video file.
        width, height: the size in pixels.
        frame: the frame number in a video; None for images.
    """

    path: Path
    width: int
    height: int
    frame: int | None = None


@dataclass(frozen=True)
class ImageBoxes:
    """The boxes of an image.

    Attributes:
        instances: the persons, with their boxes.
        source: see `crowdbench.api.types.Sample`.
        image_id: the id in the box file; None if it has none.
    """

    instances: tuple[Instance, ...] = ()
    source: Literal["gt", "detector", "none"] = "none"
    image_id: int | None = None


class BoxProvider(ABC):
    """Provides the boxes of images."""

    @abstractmethod
    def of(self, query: ImageQuery) -> ImageBoxes:
        """The boxes of an image; raises DataError if there is no entry, or it does not fit the image."""


class NoBoxProvider(BoxProvider):
    """No boxes, for methods that find the persons themselves."""

    def of(self, query: ImageQuery) -> ImageBoxes:
        """No boxes."""
        return ImageBoxes()


class WholeImageBoxes(BoxProvider):
    """One box that covers the whole image."""

    def __init__(self, keypoints: int) -> None:
        self.keypoints = keypoints

    def of(self, query: ImageQuery) -> ImageBoxes:
        """One instance."""
        box = (0.0, 0.0, float(query.width), float(query.height))
        return ImageBoxes(_instances([box], self.keypoints), "gt")


class NamedBoxes(BoxProvider):
    """A file of ``{"file name": [[x, y, width, height], ...]}``; treated as ground truth."""

    def __init__(self, path: Path, boxes: Mapping[str, Boxes], paths: Sequence[Path], keypoints: int) -> None:
        self.keypoints = keypoints
        for name, of_name in boxes.items():
            _check_boxes(of_name, f"{path}: {name!r}")
        self.names = ImageNameIndex(path, boxes, paths)
        found = self.names.found()
        _require_plausible(path, [(size_in_header(image), of) for image, of in found.items()])

    def of(self, query: ImageQuery) -> ImageBoxes:
        """The boxes of the image's name, clipped to the image; the same for all frames of a video."""
        boxes = self.names.of(query.path)
        cleaned, keep = clean_boxes(boxes, query.width, query.height)
        if not keep.all():
            raise DataError(
                f"{query.path}: the box {list(boxes[int(keep.argmin())])} in {self.names.file} lies outside "
                f"the image, which is {query.width}x{query.height} (width x height)."
            )
        return ImageBoxes(_instances(cleaned.tolist(), self.keypoints), "gt")


class DatasetBoxes(BoxProvider):
    """An annotation file read by the dataset: the persons that a run would predict."""

    def __init__(
        self, path: Path, dataset: Dataset, images: Sequence[ImageEntry], paths: Sequence[Path]
    ) -> None:
        self.dataset = dataset
        self.names = ImageNameIndex(path, {image.file_name: at for at, image in enumerate(images)}, paths)

    def of(self, query: ImageQuery) -> ImageBoxes:
        """The boxes of the annotated image with this name."""
        _refuse_videos(query)
        sample = self.dataset[self.names.of(query.path)]
        _check_size(query, sample.width, sample.height, self.names.file)
        return ImageBoxes(sample.instances, "gt", sample.image_id)


class AnnotatedBoxes(BoxProvider):
    """An annotation file without keypoints, or not the dataset's: only its persons' boxes are used."""

    def __init__(self, path: Path, content: "_Annotations", paths: Sequence[Path], keypoints: int) -> None:
        self.keypoints = keypoints
        listed = {c.id for c in content.categories}
        named = {c.id for c in content.categories if c.name.strip().casefold() == "person"}
        persons = listed if len(listed) == 1 else named or {PERSON}
        self.boxes: dict[int, Boxes] = defaultdict(list)
        for entry in content.annotations:
            unlabelled = entry.keypoints is not None and not any(entry.keypoints)
            if entry.category_id in persons and not entry.iscrowd and not unlabelled:
                self.boxes[entry.image_id].append(entry.bbox)
        for image_id, boxes in self.boxes.items():
            _check_boxes(boxes, f"{path}: image {image_id}")
        self.names = ImageNameIndex(path, {image.file_name: image for image in content.images}, paths)
        sized = [((image.width, image.height), self.boxes.get(image.id, [])) for image in content.images]
        _require_plausible(path, sized)

    def of(self, query: ImageQuery) -> ImageBoxes:
        """The boxes of the annotated image with this name."""
        _refuse_videos(query)
        image = self.names.of(query.path)
        _check_size(query, image.width, image.height, self.names.file)
        boxes, keep = clean_boxes(self.boxes.get(image.id, []), image.width, image.height)
        return ImageBoxes(_instances(boxes[keep].tolist(), self.keypoints), "gt", image.id)


class DetectedBoxes(BoxProvider):
    """A detector's results file; `ids` maps images to its image ids."""

    def __init__(
        self, path: Path, ids: Mapping[Path, int], keypoints: int, least_score: float | None = None
    ) -> None:
        self.path = path
        self.ids = ids
        self.keypoints = keypoints
        found = {image_id: size_in_header(image) for image, image_id in ids.items()}
        sizes = {image_id: size for image_id, size in found.items() if size is not None}
        detections = Detections.read(path, set(ids.values()), category_id=None, sizes=sizes)
        self.detections = detections.at_least(least_score)
        for warning in detections.warnings:
            log.warning("%s", warning)

    def of(self, query: ImageQuery) -> ImageBoxes:
        """The persons detected in the image."""
        _refuse_videos(query)
        if query.path not in self.ids:
            raise DataError(f"{query.path}: its image id in {self.path} is unknown.")
        image_id = self.ids[query.path]
        return ImageBoxes(self.detections.of(image_id, self.keypoints), "detector", image_id)


class _Category(msgspec.Struct):
    id: int
    name: str = ""


class _Annotation(msgspec.Struct):
    image_id: int
    bbox: tuple[float, float, float, float]
    iscrowd: int = 0
    category_id: int = PERSON
    keypoints: list[Any] | None = None


class _Annotations(msgspec.Struct):
    images: list[ImageEntry]
    annotations: list[_Annotation] = []
    categories: list[_Category] = []


class _Detection(msgspec.Struct):
    image_id: int
    file_name: str | None = None


def boxes_for(
    boxes: str | Path,
    paths: Sequence[Path],
    dataset: str,
    ids: "ImageIds",
    least_score: float | None = None,
) -> BoxProvider:
    """Read the ``--boxes`` option of a prediction.

    Args:
        boxes: ``"whole"``, or a file: COCO annotations, a detector's results in COCO format, or ``{"file
            name": [[x, y, width, height], ...]}``.
        paths: the paths of all images and videos.
        dataset: the name of the dataset whose keypoints are predicted.
        ids: image ids, for detections whose entries have no ``file_name``.
        least_score: detections with a lower score are dropped.

    Raises:
        SettingsError: `least_score` is given for boxes without scores.
        MissingDataError: the file cannot be read.
        DataError: the file has none of these formats, or describes other images.
    """
    cls = dataset_class(dataset)
    if least_score is not None and (boxes == WHOLE or not isinstance(_document(Path(boxes)), list)):
        raise SettingsError(
            "a minimum score applies to a detector's boxes; these have no scores. Omit --box-score."
        )
    if boxes == WHOLE:
        return WholeImageBoxes(cls.keypoints.count)
    file = Path(boxes)
    content = _document(file)
    if isinstance(content, list):
        named = _named_ids(file, content, paths)
        known = named if named is not None else ids.for_detections(file)
        return DetectedBoxes(file, known, cls.keypoints.count, least_score)
    if isinstance(content.get("images"), list):
        return _annotated(file, content, cls, paths)
    return NamedBoxes(file, _converted(content, dict[str, Boxes], file), paths, cls.keypoints.count)


def _annotated(path: Path, content: Any, cls: type[Dataset], paths: Sequence[Path]) -> BoxProvider:
    """Read annotations with the dataset, for a run's poses; if it cannot read them, use only their boxes."""
    foreign = None if "annotations" in content else explained(content)
    if foreign is not None:
        raise DataError(f"{path}: {foreign}")
    annotations = _converted(content, _Annotations, path)
    for split in (cls.default_split, *cls.splits):
        try:
            dataset = cls.open(split, None, GroundTruthBoxes(), path)
        except MissingDataError:
            continue  # a split without ground truth
        except AnnotationError as error:
            log.info("only the boxes are used: %s", error)
            break
        return DatasetBoxes(path, dataset, annotations.images, paths)
    return AnnotatedBoxes(path, annotations, paths, cls.keypoints.count)


def _named_ids(path: Path, content: Any, paths: Sequence[Path]) -> dict[Path, int] | None:
    """The image id of each image, if the detections have file names."""
    entries = _converted(content, list[_Detection], path)
    named = {entry.file_name: entry.image_id for entry in entries if entry.file_name is not None}
    return ImageNameIndex(path, named, paths).found() if named else None


def _instances(boxes: Sequence[Sequence[float]], keypoints: int) -> tuple[Instance, ...]:
    return tuple(
        Instance(np.array(box), np.zeros((keypoints, 3)), area=box[2] * box[3], id=number)
        for number, box in enumerate(boxes)
    )


def _check_boxes(boxes: Boxes, where: str) -> None:
    for box in boxes:
        if not np.isfinite(box).all() or box[2] < 0 or box[3] < 0:
            raise DataError(f"{where}: a box is not finite or has a negative size: {list(box)}.")
        if np.abs(box).max() > LARGEST_PX:
            raise DataError(f"{where}: a box is larger than any image: {list(box)}.")


def _require_plausible(path: Path, boxes: Sequence[tuple[tuple[int, int] | None, Boxes]]) -> None:
    """Refuse boxes that cannot be x, y, width, height in pixels, and warn of implausible ones.

    Args:
        path: the box file, for messages.
        boxes: each image's width and height (None if unknown) and boxes.
    """
    rows = [(*box, *size) for size, of_image in boxes if size is not None for box in of_image]
    numbers = np.array(rows, dtype=np.float64).reshape(-1, 6)
    for finding in implausible_boxes(numbers[:, :4], numbers[:, 4], numbers[:, 5]):
        if finding.severity == "error":
            raise DataError(f"{path}: {finding.what}.\n{finding.remedy}")
        log.warning("%s: %s", path.name, finding.sentence)


def _check_size(query: ImageQuery, width: int, height: int, file: Path) -> None:
    if (query.width, query.height) != (width, height):
        raise ImageError(
            f"{query.path}: the image is {query.width}x{query.height} (width x height), but {file} says "
            f"{width}x{height}: the boxes would be in the wrong place."
        )


def _refuse_videos(query: ImageQuery) -> None:
    if query.frame is not None:
        raise DataError(
            f"{query.path}: for a video, use --boxes {WHOLE} or a file of boxes by name, which apply to "
            "all frames, or a method that finds the persons itself."
        )
