"""Datasets in COCO format. Adapters declare where the files are; this base class reads them."""

import hashlib
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from crowdbench.api.boxes import BoxSource, DetectorBoxes, GroundTruthBoxes
from crowdbench.api.dataset import Dataset
from crowdbench.api.extent import Extent, SplitFacts, extent_of
from crowdbench.api.segmentation import Segmentation
from crowdbench.api.types import FloatArray, Instance, Sample
from crowdbench.coco.annotations import ImageEntry, read_annotation_file
from crowdbench.coco.detections import Detections
from crowdbench.coco.swapped_sizes import SizesByImage
from crowdbench.errors import MissingDataError
from crowdbench.system.files.digests import file_digest
from crowdbench.vision.geometry import clean_boxes

log = logging.getLogger("crowdbench")
_WORTH_LISTING = 100  # from this many images, listing the folder is cheaper than one stat per image


@dataclass(frozen=True)
class PublishedCounts:
    """The published size of a split; None where no source states it.

    Attributes:
        images, annotations: counts.
        source: where the counts are published.
        files: SHA-256 of known published annotation files, mapped to their origin.
    """

    images: int | None = None
    annotations: int | None = None
    source: str = ""
    files: Mapping[str, str] = field(default_factory=dict)


class CocoFormatDataset(Dataset):
    """A split read from a COCO-format annotation file.

    With ground-truth boxes a sample holds the persons that the published top-down pipelines predict: not
    iscrowd, a keypoint list whose largest number is not 0, a positive annotated area (where the
    protocol takes areas from the annotations), and a box that is not empty after clipping to the image.
    The clipped boxes are used. ``num_keypoints`` is not consulted.

    Class attributes:
        annotation_files: candidate paths of each split's annotation file under the root, the usual first.
        image_folders: where images may be under the root; ``{split}`` is replaced by the split's name.
        unannotated_splits: splits whose file lists images only.
        published: the published counts of each split.
        published_together: the published counts of all splits together.

    Attributes:
        root: the dataset's folder.
        corrections: what was corrected while reading, in sentences, for the record.
    """

    annotation_files: ClassVar[Mapping[str, Sequence[str]]]
    image_folders: ClassVar[Sequence[str]] = ("images", "images/{split}", "{split}")
    unannotated_splits: ClassVar[frozenset[str]] = frozenset()
    published: ClassVar[Mapping[str, PublishedCounts]] = {}
    published_together: ClassVar[PublishedCounts] = PublishedCounts()

    def __init__(self, split: str, root: Path, annotation_file: Path, boxes: BoxSource) -> None:
        self.split = split
        self.root = root
        self.annotation_file = annotation_file
        self.boxes = boxes
        self.has_annotations = split not in self.unannotated_splits
        self.keypoints = self.protocol.keypoints
        content = read_annotation_file(annotation_file, self.protocol, annotated=self.has_annotations)
        self._images = content.images
        self._persons = content.persons
        self.category_id = content.category_id
        self._sizes = SizesByImage(self._images, self._persons, self._place)
        self._areas = self._counted_areas()
        self._predicted = self._which_are_predicted()
        self._corrected_on_reading = content.corrections
        self.corrections = content.corrections
        self._detections = (
            self.read_detections(boxes.path).at_least(boxes.least_score)
            if isinstance(boxes, DetectorBoxes)
            else None
        )
        self.warnings = (*content.warnings, *(self._detections.warnings if self._detections else ()))
        for sentence in (*self.corrections, *self.warnings):
            log.warning("%s", sentence)

    def read_detections(self, path: Path) -> Detections:
        """Read a detector's results file for this split; raises what `Detections.read` raises."""
        persons = np.diff(self._persons.starts)
        return Detections.read(
            path,
            {image.id for image in self._images},
            category_id=self.category_id,
            sizes={image.id: self._sizes.likely(at) for at, image in enumerate(self._images)},
            with_persons=[i.id for i, count in zip(self._images, persons.tolist(), strict=True) if count],
        )

    @classmethod
    def open(cls, split: str, root: Path | None, boxes: BoxSource, annotations: Path | None = None) -> Self:
        """Find the split's annotation file in the layouts in common use, and read it."""
        if split in cls.unannotated_splits and isinstance(boxes, GroundTruthBoxes):
            raise MissingDataError(
                f"{cls.name} {split} has no ground truth, so there are no ground-truth boxes.\n"
                "Pass --boxes FILE with a detector's results, or --boxes none to a method that needs none."
            )
        if annotations is not None:
            return cls(split, cls._home_of_images(split, root), annotations, boxes)
        home, path = cls.find(split, root)
        return cls(split, home, path, boxes)

    @classmethod
    def find(cls, split: str, root: Path | None) -> tuple[Path, Path]:
        """The dataset's folder and the annotation file; MissingDataError lists the paths that were tried."""
        roots = cls.roots(root)
        for candidate in roots:
            path = cls._first_file(candidate, cls.annotation_files[split])
            if path is not None:
                return candidate, path
        raise MissingDataError(cls._not_found(split, roots))

    @classmethod
    def facts(cls, split: str, annotations: Path) -> SplitFacts:
        """The published counts. A file with an unusual name for the split is the user's own.

        A file with a usual name can only be checked by counting, unless its hash is known.
        """
        known = cls.published.get(split, PublishedCounts())
        is_own = not cls.is_named_like(split, annotations)
        if is_own and known.files:
            is_own = file_digest(annotations) not in known.files
        return SplitFacts(known.images, known.annotations, is_own)

    @classmethod
    def is_named_like(cls, split: str, annotations: Path) -> bool:
        """Whether a file has the name of one of the split's usual places."""
        places = cls.annotation_files.get(split, ())
        return annotations.name.removesuffix(".gz") in {Path(place).name for place in places}

    def extent(self, images: int | None = None) -> Extent:
        """How much of the published split is open, by counting images and annotations."""
        count = len(self) if images is None else images
        return extent_of(
            *(type(self), self.split, self.annotation_file),
            images=count,
            listed=len(self),
            annotated=len(self._persons.ids) if self.has_annotations else None,
        )

    @staticmethod
    def _first_file(root: Path, places: Sequence[str]) -> Path | None:
        candidates = (root / name for place in places for name in (place, f"{place}.gz"))
        return next((path for path in candidates if path.is_file()), None)

    @classmethod
    def roots(cls, root: Path | None) -> list[Path]:
        """The folders that may hold the dataset, in order."""
        if root is not None:
            return [root]
        variable = os.environ.get("CROWDBENCH_DATA")
        places = [Path(variable) / cls.name, Path(variable)] if variable else []
        return [*places, Path("data") / cls.name]

    @classmethod
    def _home_of_images(cls, split: str, root: Path | None) -> Path:
        """The first root that has one of the split's image folders; else the first."""
        roots = cls.roots(root)
        folders = [place.format(split=split) for place in cls.image_folders]
        return next((r for r in roots if any((r / folder).is_dir() for folder in folders)), roots[0])

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
            if other != split and any(cls._first_file(root, places) for root in roots)
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
            instances, source = self._instances(index), "gt"
        else:
            instances, source = (), "none"
        width, height = self._size(index)
        return Sample(
            image_id=image.id,
            path=self._place(image),
            width=width,
            height=height,
            instances=instances,
            crowd_index=image.crowd_index,
            box_source=source,  # type: ignore[arg-type]  # one of the three literals above
            ignored=self._ignored(index) if source == "gt" else (),
        )

    def inputs_digest(self, count: int) -> str:
        """Hash the content of the first samples, except crowdIndex, which only groups them for scoring."""
        images, persons = self._images[:count], self._persons
        digest = hashlib.sha256(f"category {self.category_id}, boxes {self.boxes.label}\n".encode())
        for at, image in enumerate(images):
            digest.update(f"{image.id} {self._sizes.likely(at)} {image.file_name!r}\n".encode())
        if isinstance(self.boxes, GroundTruthBoxes):
            within = slice(0, int(persons.starts[count]))
            asked = self._predicted[within]
            digest.update(persons.starts[: count + 1].tobytes())
            for column in (persons.ids, persons.boxes_xywh, persons.keypoints, self._areas):
                digest.update(np.ascontiguousarray(column[within][asked]).tobytes())
            digest.update(asked.tobytes())
            for text in persons.segmentations[within]:
                digest.update(text + b"\n")
        return digest.hexdigest()

    def _size(self, index: int) -> tuple[int, int]:
        before = self._sizes.swapped
        size = self._sizes.of(index)
        if self._sizes.swapped > before:
            said = f"{self.annotation_file.name}: {self._sizes.correction()}."
            self.corrections = (*self._corrected_on_reading, said)
        return size

    def _instances(self, index: int) -> tuple[Instance, ...]:
        persons = self._persons
        rows = persons.of(index)
        annotated = persons.boxes_xywh[rows]
        boxes, fits = clean_boxes(annotated, *self._size(index))
        box_areas = annotated[:, 2] * annotated[:, 3]
        return tuple(
            Instance(
                box,
                persons.keypoints[row],
                float(self._areas[row]),
                id=int(persons.ids[row]),
                annotated_box_area=float(box_area),
            )
            for row, box, box_area in zip(range(rows.start, rows.stop), boxes, box_areas, strict=True)
            if self._predicted[row] and fits[row - rows.start]
        )

    def _ignored(self, index: int) -> tuple[Segmentation, ...]:
        persons = self._persons
        rows = persons.of(index)
        return tuple(
            Segmentation(text, int(persons.ids[row]))
            for row, text in zip(range(rows.start, rows.stop), persons.segmentations[rows], strict=True)
            if text
        )

    def _counted_areas(self) -> FloatArray:
        """``(n,)``, areas in square pixels as defined by the protocol."""
        factor, persons = self.protocol.box_area_factor, self._persons
        if factor is not None:
            areas: FloatArray = factor * persons.boxes_xywh[:, 2] * persons.boxes_xywh[:, 3]
            return areas
        return persons.areas

    def _which_are_predicted(self) -> NDArray[np.bool_]:
        """``(n,)``, the persons predicted with ground-truth boxes, before empty boxes are removed."""
        some = (self._persons.keypoints.max(axis=(1, 2), initial=-np.inf) != 0) & ~self._persons.iscrowd
        wanted: NDArray[np.bool_] = (
            some & (self._areas > 0) if self.protocol.box_area_factor is None else some
        )
        return wanted

    def _place(self, image: ImageEntry) -> Path:
        return self.image_path(self.root, self.split, image.file_name)

    def image_paths(self, count: int) -> list[str]:
        """The files of the first `count` images, in order, as `image_path` finds them."""
        names = [image.file_name for image in self._images[:count]]
        if len(names) < _WORTH_LISTING:
            return [str(self.image_path(self.root, self.split, name)) for name in names]
        folders = [str(self.root / place.format(split=self.split)) for place in self.image_folders]
        listed = [(folder, _files_in(folder)) for folder in folders]
        found = (
            next((f"{folder}/{name}" for folder, files in listed if name in files), None) for name in names
        )
        return [
            path or str(self.image_path(self.root, self.split, name))
            for name, path in zip(names, found, strict=True)
        ]

    @classmethod
    def image_path(cls, root: Path, split: str, file_name: str) -> Path:
        """The path of an image: in the first of the split's folders that contains it."""
        folders = [root / place.format(split=split) for place in cls.image_folders]
        for folder in folders:
            if (folder / file_name).is_file():
                return folder / file_name
        return next((folder for folder in folders if folder.is_dir()), folders[0]) / file_name


def _files_in(folder: str) -> frozenset[str]:
    try:
        with os.scandir(folder) as entries:
            return frozenset(entry.name for entry in entries if entry.is_file())
    except OSError:
        return frozenset()
