"""Boxes for pictures: from a file that names them, or the whole picture."""

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
    """A picture whose boxes are wanted.

    Attributes:
        path: of the picture, or of the video.
        width, height: in pixels.
        frame: of a video; None for pictures.
    """

    path: Path
    width: int
    height: int
    frame: int | None = None


@dataclass(frozen=True)
class ImageBoxes:
    """What is known of a picture's persons.

    Attributes:
        instances: with their boxes.
        source: see `crowdbench.api.types.Sample`.
        image_id: that the file of boxes gives the picture; None if it gives none.
    """

    instances: tuple[Instance, ...] = ()
    source: Literal["gt", "detector", "none"] = "none"
    image_id: int | None = None


class BoxProvider(ABC):
    """Where the boxes of pictures come from."""

    @abstractmethod
    def of(self, asked: ImageQuery) -> ImageBoxes:
        """The boxes of a picture.

        Raises:
            DataError: nothing is known of this picture.
        """


class NoBoxProvider(BoxProvider):
    """For methods that find the persons themselves."""

    def of(self, asked: ImageQuery) -> ImageBoxes:
        """Nobody."""
        return ImageBoxes()


class WholeImageBoxes(BoxProvider):
    """The whole picture is one person's box."""

    def __init__(self, keypoints: int) -> None:
        self.keypoints = keypoints

    def of(self, asked: ImageQuery) -> ImageBoxes:
        """One person."""
        box = (0.0, 0.0, float(asked.width), float(asked.height))
        return ImageBoxes(_instances([box], self.keypoints), "gt")


class NamedBoxes(BoxProvider):
    """A file of ``{"file name": [[x, y, width, height], ...]}``; taken for true, not for a detector's."""

    def __init__(self, path: Path, boxes: Mapping[str, Boxes], paths: Sequence[Path], keypoints: int) -> None:
        self.keypoints = keypoints
        for name, of_name in boxes.items():
            _check_boxes(of_name, f"{path}: {name!r}")
        self.names = ImageNameIndex(path, boxes, paths)
        found = self.names.found()
        _require_plausible(path, [(size_in_header(picture), of) for picture, of in found.items()])

    def of(self, asked: ImageQuery) -> ImageBoxes:
        """The boxes by the picture's name; of a video, the same for all of its frames."""
        boxes = self.names.of(asked.path)
        cleaned, keep = clean_boxes(boxes, asked.width, asked.height)
        if not keep.all():
            raise DataError(
                f"{asked.path}: the box {list(boxes[int(keep.argmin())])} in {self.names.file} lies outside "
                f"the picture, which is {asked.width}x{asked.height} (width x height)."
            )
        return ImageBoxes(_instances(cleaned.tolist(), self.keypoints), "gt")


class DatasetBoxes(BoxProvider):
    """An annotation file that the dataset reads itself: the persons that a run would predict."""

    def __init__(
        self, path: Path, dataset: Dataset, images: Sequence[ImageEntry], paths: Sequence[Path]
    ) -> None:
        self.dataset = dataset
        self.names = ImageNameIndex(path, {image.file_name: at for at, image in enumerate(images)}, paths)

    def of(self, asked: ImageQuery) -> ImageBoxes:
        """The boxes of the annotated image of this name."""
        _refuse_videos(asked)
        sample = self.dataset[self.names.of(asked.path)]
        _check_size(asked, sample.width, sample.height, self.names.file)
        return ImageBoxes(sample.instances, "gt", sample.image_id)


class AnnotatedBoxes(BoxProvider):
    """An annotation file with other keypoints than the dataset's, or with none: its persons' boxes only."""

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

    def of(self, asked: ImageQuery) -> ImageBoxes:
        """The boxes of the annotated image of this name."""
        _refuse_videos(asked)
        image = self.names.of(asked.path)
        _check_size(asked, image.width, image.height, self.names.file)
        boxes, keep = clean_boxes(self.boxes.get(image.id, []), image.width, image.height)
        return ImageBoxes(_instances(boxes[keep].tolist(), self.keypoints), "gt", image.id)


class DetectedBoxes(BoxProvider):
    """A detector's results file. Which pictures its image ids are, `ids` tells."""

    def __init__(
        self, path: Path, ids: Mapping[Path, int], keypoints: int, least_score: float | None = None
    ) -> None:
        self.path = path
        self.ids = ids
        self.keypoints = keypoints
        found = {image_id: size_in_header(picture) for picture, image_id in ids.items()}
        sizes = {image_id: size for image_id, size in found.items() if size is not None}
        detections = Detections.read(path, set(ids.values()), category_id=None, sizes=sizes)
        self.detections = detections.at_least(least_score)
        for warning in detections.warnings:
            log.warning("%s", warning)

    def of(self, asked: ImageQuery) -> ImageBoxes:
        """The persons that were detected in the image of this id."""
        _refuse_videos(asked)
        if asked.path not in self.ids:
            raise DataError(f"{asked.path}: nothing says which image of {self.path} this picture is.")
        image_id = self.ids[asked.path]
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
    asked: str | Path,
    paths: Sequence[Path],
    dataset: str,
    ids: "ImageIds",
    least_score: float | None = None,
) -> BoxProvider:
    """Read the ``--boxes`` option of a prediction.

    Args:
        asked: ``"whole"``, or a file: COCO annotations, a detector's results in COCO format, or ``{"file
            name": [[x, y, width, height], ...]}``.
        paths: of all pictures and videos.
        dataset: whose keypoints are predicted.
        ids: tells which images a detector's results are of, where their entries have no ``file_name``.
        least_score: a detector's boxes with a lower score are left out.

    Raises:
        SettingsError: a least score for boxes that have no scores.
        MissingDataError: the file cannot be read.
        DataError: it is none of these, or it is of other pictures.
    """
    cls = dataset_class(dataset)
    if least_score is not None and (asked == WHOLE or not isinstance(_document(Path(asked)), list)):
        raise SettingsError(
            "a least score is for a detector's boxes; these have no scores. Leave --box-score out."
        )
    if asked == WHOLE:
        return WholeImageBoxes(cls.keypoints.count)
    file = Path(asked)
    content = _document(file)
    if isinstance(content, list):
        named = _named_ids(file, content, paths)
        told = named if named is not None else ids.told(file)
        return DetectedBoxes(file, told, cls.keypoints.count, least_score)
    if isinstance(content.get("images"), list):
        return _annotated(file, content, cls, paths)
    return NamedBoxes(file, _converted(content, dict[str, Boxes], file), paths, cls.keypoints.count)


def _annotated(path: Path, content: Any, cls: type[Dataset], paths: Sequence[Path]) -> BoxProvider:
    """As the dataset reads them, so that a run's poses come out; else their boxes."""
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
            log.info("read for its boxes only: %s", error)
            break
        return DatasetBoxes(path, dataset, annotations.images, paths)
    return AnnotatedBoxes(path, annotations, paths, cls.keypoints.count)


def _named_ids(path: Path, content: Any, paths: Sequence[Path]) -> dict[Path, int] | None:
    """The image id of each picture, if the detections say what their pictures are called."""
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
            raise DataError(f"{where}: a box is not finite, or its size is negative: {list(box)}.")
        if np.abs(box).max() > LARGEST_PX:
            raise DataError(f"{where}: a box is larger than any picture: {list(box)}.")


def _require_plausible(path: Path, boxes: Sequence[tuple[tuple[int, int] | None, Boxes]]) -> None:
    """Refuse boxes that certainly are not x, y, width, height in pixels, and say what they hardly are.

    Args:
        path: of the boxes.
        boxes: by picture, with its width and height; None where they are not known.
    """
    rows = [(*box, *size) for size, of_picture in boxes if size is not None for box in of_picture]
    numbers = np.array(rows, dtype=np.float64).reshape(-1, 6)
    for finding in implausible_boxes(numbers[:, :4], numbers[:, 4], numbers[:, 5]):
        if finding.severity == "error":
            raise DataError(f"{path}: {finding.what}.\n{finding.remedy}")
        log.warning("%s: %s", path.name, finding.sentence)


def _check_size(asked: ImageQuery, width: int, height: int, file: Path) -> None:
    if (asked.width, asked.height) != (width, height):
        raise ImageError(
            f"{asked.path}: the picture is {asked.width}x{asked.height} (width x height), but {file} says "
            f"{width}x{height}: its boxes would be cut wrongly."
        )


def _refuse_videos(asked: ImageQuery) -> None:
    if asked.frame is not None:
        raise DataError(
            f"{asked.path}: boxes of a video are --boxes {WHOLE}, or a file of boxes by name, for all of its "
            "frames. A method that needs no boxes finds the persons of each frame."
        )
