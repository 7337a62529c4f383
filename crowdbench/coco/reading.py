"""Read an annotation file: fast if it is valid, otherwise with all its faults in one error.

Datasets and scoring share this reader, so both see the same persons, category and keypoint order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from crowdbench.api.types import FloatArray
from crowdbench.coco.categories import Category, person_category
from crowdbench.coco.raw import Entry, raw_file
from crowdbench.coco.rules.entries import Rules, leads_out
from crowdbench.coco.rules.fault import refusal
from crowdbench.coco.rules.faults import faults
from crowdbench.coco.rules.foreign_formats import foreign_format
from crowdbench.coco.rules.values import (
    LARGEST_AREA_PX,
    LARGEST_ID,
    LARGEST_PX,
    identifier,
    is_number,
    number_in,
)
from crowdbench.errors import AnnotationError
from crowdbench.system.files.reading import read_bytes

# Integers that every scoring engine distinguishes.
Id = Annotated[int, msgspec.Meta(ge=-LARGEST_ID, le=LARGEST_ID)]
Size = Annotated[int, msgspec.Meta(ge=1, le=int(LARGEST_PX))]
Count = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
Flag = Annotated[int, msgspec.Meta(ge=0, le=1)]
Pixels = Annotated[float, msgspec.Meta(ge=-LARGEST_PX, le=LARGEST_PX)]
Box = Annotated[list[Pixels], msgspec.Meta(min_length=4, max_length=4)]


class ImageEntry(msgspec.Struct, rename={"crowd_index": "crowdIndex"}, gc=False):
    """An entry of ``images``; in a file read for scoring only, the id may be a string and the rest None."""

    id: Id
    file_name: str
    width: Size
    height: Size
    crowd_index: float | None = None


class PersonEntry(msgspec.Struct, gc=False):
    """An entry of ``annotations``; other fields are skipped, and segmentations are kept as JSON text."""

    id: Id
    image_id: Id
    category_id: Id
    bbox: Box
    keypoints: list[Pixels]
    num_keypoints: Count
    iscrowd: Flag
    area: float | None = None
    segmentation: msgspec.Raw = msgspec.Raw()


class _Category(msgspec.Struct):
    id: Id
    name: str = ""
    keypoints: list[str] = []


class _File(msgspec.Struct):
    images: list[ImageEntry]
    annotations: list[PersonEntry] | None = None
    categories: list[_Category] | None = None


_DECODER = msgspec.json.Decoder(_File)


@dataclass(frozen=True, eq=False)
class CocoFile:
    """A valid annotation file.

    Attributes:
        path: the file.
        images: in file order.
        entries: the persons in file order, including those on unlisted images, with keypoints in the
            protocol's order; empty if the split has no ground truth.
        count: K, the number of keypoints.
        category: the person category, with the file's keypoint order.
        corrections: what was corrected, in sentences.
    """

    path: Path
    images: list[ImageEntry]
    entries: list[PersonEntry]
    count: int
    category: Category
    corrections: tuple[str, ...]

    @cached_property
    def keypoints(self) -> FloatArray:
        """``(n, K, 3)`` float64, the persons' x, y in image pixels and visibility."""
        return _as_array([entry.keypoints for entry in self.entries], 3 * self.count).reshape(
            len(self.entries), self.count, 3
        )

    @cached_property
    def boxes(self) -> FloatArray:
        """``(n, 4)`` float64, x, y, width, height in image pixels."""
        return _as_array([entry.bbox for entry in self.entries], 4)

    @cached_property
    def image_positions(self) -> NDArray[np.int64]:
        """``(n,)``, the index in `images` of each person's image; -1 if it is not listed."""
        positions = {image.id: at for at, image in enumerate(self.images)}
        return np.array([positions.get(entry.image_id, -1) for entry in self.entries], dtype=np.int64)

    def sample(self, persons: int) -> "CocoFile":
        """Sample about this many persons from evenly spaced images; the file itself if it has no more."""
        step = -(-len(self.entries) // persons)
        if step <= 1:
            return self
        images = self.images[::step]
        chosen = {image.id for image in images}
        entries = [entry for entry in self.entries if entry.image_id in chosen]
        return CocoFile(self.path, images, entries, self.count, self.category, self.corrections)


def _as_array(rows: Sequence[Sequence[float]], length: int) -> FloatArray:
    """Convert rows of equal length; faster than np.array, which inspects the shape of each list."""
    flat = np.fromiter(chain.from_iterable(rows), dtype=np.float64, count=len(rows) * length)
    return flat.reshape(len(rows), length)


def read_coco(path: Path, rules: Rules) -> CocoFile:
    """Read an annotation file, plain or gzipped.

    Args:
        path: the file.
        rules: the requirements.

    Raises:
        MissingDataError: the file cannot be read.
        AnnotationError: it is not an annotation file, or it breaks rules; lists all faults.
    """
    data = read_bytes(path, "annotations", error=AnnotationError)
    try:
        content = _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _read_slowly(data, path, rules)
    entries = (content.annotations or []) if rules.annotated else []
    category = _category(content, rules)
    if (
        category is None
        or not _are_sound(content.images, rules)
        or (rules.annotated and content.annotations is None)
    ):
        return _read_slowly(data, path, rules)
    kept = [entry for entry in entries if entry.category_id not in category.others]
    if not _are_of_persons(kept, category, rules):
        return _read_slowly(data, path, rules)
    file = _whole(path, content.images, kept, category, rules, len(entries) - len(kept), 0)
    return file if _have_sound_numbers(file, rules) else _read_slowly(data, path, rules)


def _category(content: _File, rules: Rules) -> Category | None:
    if not rules.annotated:
        return Category(1)
    return person_category([msgspec.structs.asdict(c) for c in content.categories or ()], rules.protocol)


def _are_sound(images: Sequence[ImageEntry], rules: Rules) -> bool:
    """Whether images of the right types pass `crowdbench.coco.rules.faults`."""
    if len({image.id for image in images}) < len(images):
        return False
    if rules.protocol.crowding_splits and any(i.crowd_index is None or i.crowd_index < 0 for i in images):
        return False
    return not rules.loaded or not any(leads_out(image.file_name) for image in images)


def _are_of_persons(entries: Sequence[PersonEntry], category: Category, rules: Rules) -> bool:
    """Whether ids, categories and keypoint counts pass the rules."""
    return (
        len({entry.id for entry in entries}) == len(entries)
        and {entry.category_id for entry in entries} <= {category.id}
        and {len(entry.keypoints) for entry in entries} <= {3 * rules.protocol.annotated.count}
    )


def _have_sound_numbers(file: CocoFile, rules: Rules) -> bool:
    """Whether the persons' numbers pass the rules."""
    entries = file.entries
    if rules.loaded:
        is_negative = bool((file.boxes[:, 2:] < 0).any())
    else:  # arrays are avoided here: building one costs as much as parsing
        is_negative = any(entry.bbox[2] < 0 or entry.bbox[3] < 0 for entry in entries)
    visibility = set(chain.from_iterable([entry.keypoints[2::3] for entry in entries]))
    if is_negative or not visibility <= {0, 1, 2}:
        return False
    if rules.protocol.box_area_factor is not None:
        return True
    return all(entry.area is not None and 0 <= entry.area <= LARGEST_AREA_PX for entry in entries)


def _read_slowly(data: bytes, path: Path, rules: Rules) -> CocoFile:
    """Read unusual but valid files, such as numbers in strings, or raise with every fault."""
    raw = raw_file(data, path)
    foreign = foreign_format(raw)
    if foreign is not None:
        raise AnnotationError(f"{path}: {foreign}")
    error = refusal(path, faults(raw, rules))
    if error is not None:
        raise error
    if not rules.annotated:
        return _whole(path, [_image(i) for i in raw.images], [], Category(1), rules, 0, 0)
    category = person_category(list(raw.entries("categories")), rules.protocol)
    assert category is not None  # or there would have been faults
    entries, strings, others = [], 0, 0
    for annotation in raw.objects("annotations"):
        if category.leaves_out(annotation.get("category_id")):
            others += 1
            continue
        strings += any(isinstance(value, str) for value in annotation["keypoints"])
        entries.append(_person(annotation))
    return _whole(path, [_image(i) for i in raw.images], entries, category, rules, others, strings)


def _image(entry: Entry) -> ImageEntry:
    name, crowding = entry.get("file_name"), entry.get("crowdIndex")
    return ImageEntry(
        identifier(entry["id"]),  # type: ignore[arg-type]  # a string, for scoring only
        name if isinstance(name, str) else None,  # type: ignore[arg-type]  # as are the next ones
        _pixels(entry.get("width")),  # type: ignore[arg-type]
        _pixels(entry.get("height")),  # type: ignore[arg-type]
        crowding if is_number(crowding) else None,
    )


def _pixels(value: object) -> int | None:
    return int(value) if is_number(value) and 1 <= value <= LARGEST_PX else None


def _person(entry: Mapping[str, Any]) -> PersonEntry:
    area, segmentation = entry.get("area"), entry.get("segmentation")
    return PersonEntry(
        identifier(entry["id"]),  # type: ignore[arg-type]
        identifier(entry["image_id"]),  # type: ignore[arg-type]
        int(entry["category_id"]),
        [float(value) for value in entry["bbox"]],
        [number for value in entry["keypoints"] if (number := number_in(value)) is not None],
        int(entry["num_keypoints"]),
        int(entry["iscrowd"]),
        number_in(area) if not isinstance(area, str) else None,
        msgspec.Raw(msgspec.json.encode(segmentation)) if segmentation is not None else msgspec.Raw(),
    )


def _whole(
    path: Path,
    images: list[ImageEntry],
    entries: list[PersonEntry],
    category: Category,
    rules: Rules,
    others: int,
    strings: int,
) -> CocoFile:
    corrections = []
    if strings:
        corrections.append(f"the keypoints of {strings} persons are strings; read as numbers")
    if others:
        corrections.append(f"annotations of other categories than the person left out: {others}")
    if category.order is not None:
        corrections.append(
            f"the file names its {len(category.order)} keypoints in another order than "
            f"{rules.protocol.name}; put in order by name"
        )
        picked = [3 * place + part for place in category.order for part in range(3)]
        for entry in entries:
            entry.keypoints = [entry.keypoints[index] for index in picked]
    count = rules.protocol.annotated.count
    return CocoFile(path, images, entries, count, category, tuple(f"{path.name}: {s}." for s in corrections))


def needed_segmentations(file: CocoFile) -> list[bytes]:
    """Return the segmentations of crowds and of persons without a labelled keypoint; empty for others.

    Copies, because a parsed `msgspec.Raw` keeps the whole file in memory.
    """
    crowds = np.array([entry.iscrowd for entry in file.entries], dtype=np.bool_)
    needed = crowds | ~(file.keypoints[:, :, 2] > 0).any(axis=1)
    texts = [b""] * len(file.entries)
    for at in np.flatnonzero(needed).tolist():
        text = bytes(file.entries[at].segmentation)
        texts[at] = b"" if text in (b"null", b"[]") else text
    return texts
