"""A COCO-format annotation file, read into columns; what can be put right is, and is said."""

from collections.abc import Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from crowdbench.errors import AnnotationError
from crowdbench.system.reading import not_json, read_bytes
from crowdbench.types import FloatArray

T = TypeVar("T", bound=Hashable)
N = TypeVar("N")

# Whole numbers that every scoring engine keeps apart.
Id = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]
Size = Annotated[int, msgspec.Meta(ge=1)]


class ImageEntry(msgspec.Struct, rename={"crowd_index": "crowdIndex"}, gc=False):
    """An entry of ``images``."""

    id: Id
    file_name: str
    width: Size
    height: Size
    crowd_index: float | None = None


class _Person(msgspec.Struct, Generic[N], gc=False):
    """An entry of ``annotations``; the rest is skipped while parsing, and segmentations are left unread."""

    id: Id
    image_id: Id
    bbox: tuple[float, float, float, float]
    keypoints: list[N]
    iscrowd: int = 0
    area: float | None = None
    segmentation: msgspec.Raw = msgspec.Raw()


class _File(msgspec.Struct, Generic[N]):
    images: list[ImageEntry]
    annotations: list[_Person[N]] | None = None


@dataclass(frozen=True, eq=False)
class Persons:
    """The annotated persons of the listed images, by image and within an image in file order.

    Attributes:
        ids: ``(n,)`` int64, the annotations' ids.
        boxes_xywh: ``(n, 4)`` float64, as annotated, in image pixels.
        keypoints: ``(n, K, 3)`` float64, x, y in image pixels and visibility.
        areas: ``(n,)`` float64, the ``area`` field in square pixels; NaN where there is none.
        iscrowd: ``(n,)`` bool.
        segmentations: n JSON texts, of those who are a crowd or without a labelled keypoint; of the others,
            whose keypoints tell where they are, and where the file has none, an empty one.
        starts: ``(images + 1,)`` int64; the persons of image i are the rows ``starts[i]:starts[i + 1]``.
    """

    ids: NDArray[np.int64]
    boxes_xywh: FloatArray
    keypoints: FloatArray
    areas: FloatArray
    iscrowd: NDArray[np.bool_]
    segmentations: Sequence[bytes]
    starts: NDArray[np.int64]

    def of(self, image: int) -> slice:
        """The rows of an image, by the image's position in the file."""
        return slice(int(self.starts[image]), int(self.starts[image + 1]))


@dataclass(frozen=True, eq=False)
class AnnotationFile:
    """What the bench reads of an annotation file.

    Attributes:
        images: in file order.
        persons: empty where the split has no ground truth.
        corrections: what was put right, in sentences.
    """

    images: list[ImageEntry]
    persons: Persons
    corrections: tuple[str, ...]


def read_annotation_file(path: Path, keypoints: int, *, annotated: bool = True) -> AnnotationFile:
    """Read an annotation file, plain or gzipped.

    Args:
        path: the file.
        keypoints: K, how many keypoints a person has.
        annotated: whether the file must have annotations; files of splits without ground truth list images.

    Raises:
        MissingDataError: the file cannot be read.
        AnnotationError: it is no JSON, a field is missing or of the wrong kind, an id stands twice, a list of
            keypoints has another length or holds what is no number, a file name leads out of the dataset's
            folder; says where.
    """
    images, entries, strings = _parse(path)
    if entries is None and annotated:
        raise AnnotationError(
            f"{path}: there is no list of annotations, so nothing can be scored.\n"
            "Is this a file of images only? Fetch the annotations from the dataset's page."
        )
    entries = entries or []
    _refuse_doubles(images, entries, path)
    for image in images:
        if leads_out(image.file_name):
            raise AnnotationError(
                f"{path}: image {image.id}: file_name {image.file_name!r} points outside the dataset's "
                "folder; refused."
            )
    positions = {image.id: position for position, image in enumerate(images)}
    known = [entry for entry in entries if entry.image_id in positions]
    corrections = []
    if strings:
        corrections.append(f"{path.name}: the keypoints of {strings} persons are strings; read as numbers.")
    if len(known) < len(entries):
        strangers = len(entries) - len(known)
        corrections.append(f"{path.name}: {strangers} annotations belong to no listed image; left out.")
    at = np.array([positions[entry.image_id] for entry in known], dtype=np.int64)
    return AnnotationFile(images, _columns(known, at, len(images), keypoints, path), tuple(corrections))


def leads_out(file_name: str) -> bool:
    """Whether an image's file name names no place under the dataset's folder."""
    parts = file_name.split("/")
    return not parts[0] or ".." in parts or parts[-1] in ("", ".") or "\0" in file_name


def _parse(path: Path) -> tuple[list[ImageEntry], list[_Person[float]] | None, int]:
    """Images, persons, and of how many persons the keypoints had to be read from strings."""
    data = read_bytes(path, "annotations", error=AnnotationError)
    try:
        images, persons, strings = _decoded(data, path)
    except msgspec.ValidationError as error:
        raise AnnotationError(f"{path}: {error}. `crowdbench data check` lists all faults.") from error
    except RecursionError as error:
        raise AnnotationError(f"{path}: lists or objects are nested too deeply.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise AnnotationError(f"{path}: not annotations: {not_json(data, error)}") from error
    for person in persons or ():
        person.segmentation = _needed_segmentation(person)
    return images, persons, strings


def _needed_segmentation(person: _Person[float]) -> msgspec.Raw:
    """A copy, for what was parsed is a view that keeps the whole file in memory."""
    if not person.iscrowd and max(person.keypoints[2::3], default=0) > 0:
        return msgspec.Raw()
    text = bytes(person.segmentation)
    return msgspec.Raw() if text in (b"null", b"[]") else msgspec.Raw(text)


def _decoded(data: bytes, path: Path) -> tuple[list[ImageEntry], list[_Person[float]] | None, int]:
    try:
        content = msgspec.json.decode(data, type=_File[float])
        return content.images, content.annotations, 0
    except msgspec.ValidationError:
        # Either a fault, which is met again, or strings for numbers, which have been seen in OCHuman files.
        # They are rare, and allowing for them nearly doubles the time of parsing.
        tolerant = msgspec.json.decode(data, type=_File[float | str])
    persons = [_with_numbers(person, path) for person in tolerant.annotations or ()]
    return tolerant.images, [person for person, _ in persons], sum(strings for _, strings in persons)


def _with_numbers(person: _Person[float | str], path: Path) -> tuple[_Person[float], bool]:
    try:
        numbers = [float(value) for value in person.keypoints]
    except ValueError as error:
        raise AnnotationError(
            f"{path}: annotation {person.id}: a keypoint is no number ({error})."
        ) from error
    strings = any(isinstance(value, str) for value in person.keypoints)
    return (
        _Person(
            person.id,
            person.image_id,
            person.bbox,
            numbers,
            person.iscrowd,
            person.area,
            person.segmentation,
        ),
        strings,
    )


def _refuse_doubles(images: Sequence[ImageEntry], entries: Sequence[_Person[float]], path: Path) -> None:
    for identity in _doubles([image.id for image in images]):
        raise AnnotationError(
            f"{path}: image id {identity} stands twice in images. An id must name one image."
        )
    for identity in _doubles([entry.id for entry in entries]):
        raise AnnotationError(
            f"{path}: annotation id {identity} stands twice. Number them anew: every scoring tool confuses "
            "persons that share an id."
        )


def _doubles(ids: Collection[T]) -> Iterator[T]:
    if len(set(ids)) == len(ids):
        return
    seen: set[T] = set()
    for identity in ids:
        if identity in seen:
            yield identity
        seen.add(identity)


def _columns(
    entries: Sequence[_Person[float]], at: NDArray[np.int64], images: int, count: int, path: Path
) -> Persons:
    for entry in entries:
        if len(entry.keypoints) != 3 * count:
            raise AnnotationError(
                f"{path}: annotation {entry.id} has {len(entry.keypoints)} keypoint numbers, not {3 * count} "
                f"({count} keypoints of x, y, v). Is this the annotation file of another dataset?"
            )

    def column(values: list[Any], dtype: type[Any], shape: tuple[int, ...] = ()) -> NDArray[Any]:
        return np.array(values, dtype=dtype).reshape(len(entries), *shape)

    keypoints = column([entry.keypoints for entry in entries], np.float64, (count, 3))
    finite = np.isfinite(keypoints).all(axis=(1, 2))
    if not finite.all():
        entry = entries[int(finite.argmin())]
        raise AnnotationError(f"{path}: annotation {entry.id}: a keypoint is NaN or infinite.")
    order = np.argsort(at, kind="stable")
    return Persons(
        ids=column([entry.id for entry in entries], np.int64)[order],
        boxes_xywh=column([entry.bbox for entry in entries], np.float64, (4,))[order],
        keypoints=keypoints[order],
        areas=column([entry.area for entry in entries], np.float64)[order],
        iscrowd=column([bool(entry.iscrowd) for entry in entries], np.bool_)[order],
        segmentations=[bytes(entries[i].segmentation) for i in order.tolist()],
        starts=np.searchsorted(at[order], np.arange(images + 1)),
    )
