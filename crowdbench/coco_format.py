"""Datasets whose annotations are in COCO's format: adapters declare where files are, this reads them."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar, Self

import msgspec
import numpy as np

from crowdbench.boxes import BoxSource, DetectorBoxes, GroundTruthBoxes
from crowdbench.dataset import Dataset
from crowdbench.detections import Detections
from crowdbench.errors import AnnotationError, MissingDataError
from crowdbench.files import read_maybe_gzipped
from crowdbench.geometry import clean_boxes
from crowdbench.types import FloatArray, Instance, Sample

log = logging.getLogger("crowdbench")


class ImageEntry(msgspec.Struct, rename={"crowd_index": "crowdIndex"}):
    """An entry of ``images``."""

    id: int
    file_name: str
    width: int
    height: int
    crowd_index: float | None = None


class AnnotationEntry(msgspec.Struct):
    """An entry of ``annotations``."""

    id: int
    image_id: int
    bbox: tuple[float, float, float, float]
    keypoints: list[float | str]
    iscrowd: int = 0
    area: float | None = None


class AnnotationFile(msgspec.Struct):
    """What is read of an annotation file; the rest (segmentations, licences) is skipped while parsing."""

    images: list[ImageEntry]
    annotations: list[AnnotationEntry] = []


@dataclass(frozen=True)
class PublishedCounts:
    """How large a split is said to be; None where no source tells."""

    images: int | None = None
    annotations: int | None = None
    source: str = ""


class CocoFormatDataset(Dataset):
    """A split read from a COCO-format annotation file.

    With ground-truth boxes a sample holds the persons that the published top-down pipelines predict: not
    iscrowd, a keypoint list that is not all zero, a positive annotated area (where the protocol takes areas
    from the annotations), and a box of which something is left after it is cut to the image. Their boxes
    are the cut ones. ``num_keypoints`` is not consulted.

    Class attributes:
        annotation_files: for each split the places of its annotation file under the root, the usual first.
        image_folders: where images may be under the root; ``{split}`` stands for the split.
        unannotated_splits: splits whose file lists images only.
        published: how many images and annotations each split is said to have.

    Attributes:
        root: the dataset's folder.
        corrections: what was put right on reading, in sentences, for the record.
    """

    annotation_files: ClassVar[Mapping[str, Sequence[str]]]
    image_folders: ClassVar[Sequence[str]] = ("images", "images/{split}", "{split}")
    unannotated_splits: ClassVar[frozenset[str]] = frozenset()
    published: ClassVar[Mapping[str, PublishedCounts]] = {}

    def __init__(self, split: str, root: Path, annotation_file: Path, boxes: BoxSource) -> None:
        self.split = split
        self.root = root
        self.annotation_file = annotation_file
        self.boxes = boxes
        self.has_annotations = split not in self.unannotated_splits
        self.keypoints = self.protocol.keypoints
        content = read_annotations(annotation_file)
        self._images = content.images
        self._annotations: dict[int, list[tuple[AnnotationEntry, FloatArray]]] = {
            i.id: [] for i in self._images
        }
        if len(self._annotations) < len(self._images):
            raise AnnotationError(
                f"{annotation_file}: image id {_first_double([i.id for i in self._images])} stands twice in "
                "images. An id must name one image."
            )
        for image in self._images:
            _refuse_escape(image.file_name, annotation_file)
        self.corrections = (*self._take_annotations(content.annotations), *self._mend_swapped_sizes())
        for correction in self.corrections:
            log.warning("%s", correction)
        self._detections = (
            Detections.read(boxes.path, self._annotations) if isinstance(boxes, DetectorBoxes) else None
        )
        if isinstance(boxes, GroundTruthBoxes) and not self.has_annotations:
            log.info("%s %s has no ground truth: boxes must come from a detector's file", self.name, split)

    @classmethod
    def open(cls, split: str, root: Path | None, boxes: BoxSource, annotations: Path | None = None) -> Self:
        """Find the split's annotation file in the layouts in common use, and read it."""
        if split in cls.unannotated_splits and isinstance(boxes, GroundTruthBoxes):
            raise MissingDataError(
                f"{cls.name} {split} has no ground truth, so there are no ground-truth boxes.\n"
                "Pass --boxes FILE with a detector's results, or --boxes none to a method that needs none."
            )
        if annotations is not None:
            roots = cls.roots(root)
            return cls(split, next((r for r in roots if r.is_dir()), roots[0]), annotations, boxes)
        home, path = cls.find(split, root)
        return cls(split, home, path, boxes)

    @classmethod
    def find(cls, split: str, root: Path | None) -> tuple[Path, Path]:
        """The dataset's folder and the split's annotation file, in the layouts in common use.

        Raises:
            MissingDataError: lists the places that were looked at.
        """
        roots = cls.roots(root)
        for candidate in roots:
            for place in cls.annotation_files[split]:
                for path in (candidate / place, candidate / f"{place}.gz"):
                    if path.is_file():
                        return candidate, path
        raise MissingDataError(cls._not_found(split, roots))

    @classmethod
    def roots(cls, root: Path | None) -> list[Path]:
        """The folders that may hold the dataset, in order."""
        if root is not None:
            return [root]
        variable = os.environ.get("CROWDBENCH_DATA")
        places = [Path(variable) / cls.name, Path(variable)] if variable else []
        return [*places, Path("data") / cls.name]

    @classmethod
    def _not_found(cls, split: str, roots: Sequence[Path]) -> str:
        looked = [str(root / place) for root in roots for place in cls.annotation_files[split]]
        lines = [
            f"{cls.name}: no annotations of the split {split}. Looked for",
            *(f"  {path}" for path in looked),
        ]
        others = [
            other
            for other, places in cls.annotation_files.items()
            if other != split and any((root / place).is_file() for root in roots for place in places)
        ]
        if others:
            lines.append(f"There are annotations of {', '.join(others)}: pass --split {others[0]}.")
        else:
            lines.append("Set CROWDBENCH_DATA, or pass --root with the dataset's folder.")
        return "\n".join(lines)

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Sample:
        image = self._images[index]
        if self._detections is not None:
            instances, source = self._detections.of(image.id, self.keypoints.count), "detector"
        elif isinstance(self.boxes, GroundTruthBoxes):
            instances, source = self._persons(image), "gt"
        else:
            instances, source = (), "none"
        return Sample(
            image_id=image.id,
            path=self.image_path(self.root, self.split, image.file_name),
            width=image.width,
            height=image.height,
            instances=instances,
            crowd_index=image.crowd_index,
            box_source=source,  # type: ignore[arg-type]  # one of the three literals above
        )

    def _persons(self, image: ImageEntry) -> tuple[Instance, ...]:
        entries = self._annotations[image.id]
        if not entries:
            return ()
        boxes, keep = clean_boxes([entry.bbox for entry, _ in entries], image.width, image.height)
        persons = []
        for (entry, keypoints), box, fits in zip(entries, boxes, keep, strict=True):
            area = self._area(entry)
            counts = self.protocol.box_area_factor is not None or area > 0
            if fits and counts and not entry.iscrowd and keypoints.any():
                persons.append(Instance(box, keypoints, area, id=entry.id))
        return tuple(persons)

    def _area(self, entry: AnnotationEntry) -> float:
        if self.protocol.box_area_factor is not None:
            return self.protocol.box_area_factor * entry.bbox[2] * entry.bbox[3]
        if entry.area is None:
            raise AnnotationError(
                f"{self.annotation_file}: annotation {entry.id} has no area, which scoring {self.name} "
                "needs. Use the dataset's own file, or add the field."
            )
        return entry.area

    def _take_annotations(self, annotations: Sequence[AnnotationEntry]) -> Iterator[str]:
        ids = [entry.id for entry in annotations]
        if len(set(ids)) < len(ids):
            raise AnnotationError(
                f"{self.annotation_file}: annotation id {_first_double(ids)} stands twice. Number them anew: "
                "every scoring tool confuses persons that share an id."
            )
        strings = strangers = 0
        for entry in annotations:
            keypoints, from_strings = _keypoints(entry, self.keypoints.count, self.annotation_file)
            strings += from_strings
            if entry.image_id in self._annotations:
                self._annotations[entry.image_id].append((entry, keypoints))
            else:
                strangers += 1
        name = self.annotation_file.name
        if strings:
            yield f"{name}: the keypoints of {strings} persons are strings; read as numbers."
        if strangers:
            yield f"{name}: {strangers} annotations belong to no listed image; left out."

    def _mend_swapped_sizes(self) -> Iterator[str]:
        """Some releases of CrowdPose's files have width and height swapped; extents of the labels tell."""
        outside = swapped_outside = 0
        for image in self._images:
            points = [k[k[:, 2] > 0, :2] for _, k in self._annotations[image.id]]
            if not points or image.width == image.height:
                continue
            x, y = np.concatenate(points).reshape(-1, 2).max(axis=0, initial=0.0)
            outside += x > image.width or y > image.height
            swapped_outside += x > image.height or y > image.width
        if outside > 2 * swapped_outside:
            for image in self._images:
                image.width, image.height = image.height, image.width
            yield (
                f"{self.annotation_file.name}: width and height are swapped ({outside} images have keypoints "
                f"outside as written, {swapped_outside} when swapped); read the other way round."
            )

    @classmethod
    def image_path(cls, root: Path, split: str, file_name: str) -> Path:
        """Where an image is: in the first of the split's folders that has it."""
        folders = [root / place.format(split=split) for place in cls.image_folders]
        for folder in folders:
            if (folder / file_name).is_file():
                return folder / file_name
        return next((folder for folder in folders if folder.is_dir()), folders[0]) / file_name


def read_annotations(path: Path) -> AnnotationFile:
    """Parse an annotation file, plain or gzipped.

    Raises:
        MissingDataError: the file cannot be read.
        AnnotationError: it is no JSON, or a field is missing or of the wrong kind; says where.
    """
    try:
        return msgspec.json.decode(read_maybe_gzipped(path), type=AnnotationFile)
    except (OSError, EOFError) as error:
        raise MissingDataError(f"{path}: cannot read the annotations ({error}).") from error
    except msgspec.ValidationError as error:
        raise AnnotationError(f"{path}: {error}. `crowdbench data check` lists all faults.") from error
    except msgspec.DecodeError as error:
        raise AnnotationError(f"{path}: not whole JSON ({error}). Fetch the file again.") from error


def _keypoints(entry: AnnotationEntry, count: int, path: Path) -> tuple[FloatArray, bool]:
    """``(K, 3)`` float64, and whether strings had to be read as numbers."""
    if len(entry.keypoints) != 3 * count:
        raise AnnotationError(
            f"{path}: annotation {entry.id} has {len(entry.keypoints)} keypoint numbers, not {3 * count} "
            f"({count} keypoints of x, y, v). Is this the annotation file of another dataset?"
        )
    try:
        values = np.array([float(value) for value in entry.keypoints])
    except ValueError as error:
        raise AnnotationError(f"{path}: annotation {entry.id}: a keypoint is no number ({error}).") from error
    if not np.isfinite(values).all():
        raise AnnotationError(f"{path}: annotation {entry.id}: a keypoint is NaN or infinite.")
    return values.reshape(-1, 3), any(isinstance(value, str) for value in entry.keypoints)


def _first_double(ids: Sequence[int]) -> int:
    seen: set[int] = set()
    for identity in ids:
        if identity in seen:
            return identity
        seen.add(identity)
    raise ValueError("no id stands twice")


def _refuse_escape(file_name: str, path: Path) -> None:
    parts = PurePosixPath(file_name)
    if parts.is_absolute() or ".." in parts.parts or not file_name:
        raise AnnotationError(
            f"{path}: file_name {file_name!r} points outside the dataset's folder; refused."
        )
