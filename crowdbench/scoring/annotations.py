"""A ground-truth file in COCO format, checked against the rules of a scoring protocol."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, compress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from crowdbench.errors import AnnotationError, InputError
from crowdbench.scoring import columns
from crowdbench.scoring.documents import read_document
from crowdbench.scoring.image_names import ImageNames
from crowdbench.scoring.protocol import ScoringProtocol
from crowdbench.types import FloatArray

_RESTORE = "Use the annotation file as its authors publish it; no engine has a right value for this."
_DESCRIBES = ("file_name", "width", "height", "crowdIndex")


class _Image(msgspec.Struct, gc=False):
    id: int
    file_name: str | None = None
    width: float | None = None
    height: float | None = None
    crowdIndex: float | None = None


class _Annotation(msgspec.Struct, gc=False):
    id: int
    image_id: int
    category_id: int
    iscrowd: int
    num_keypoints: int
    keypoints: list[float]
    bbox: list[float]
    area: float | None = None


class _File(msgspec.Struct, gc=False):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[dict[str, Any]]


_DECODER = msgspec.json.Decoder(_File)


@dataclass(frozen=True, eq=False)
class Images:
    """The images that are scored, by ascending id.

    Attributes:
        ids: M ids, as the file has them.
        crowd_index: ``(M,)`` float64; None where the protocol has no crowding splits.
        sizes: ``(M, 2)`` float64, width and height in pixels as the file has them, NaN where it has none;
            None if not even that is known.
    """

    ids: list[int | str]
    crowd_index: FloatArray | None
    sizes: FloatArray | None = None


@dataclass(frozen=True, eq=False)
class Persons:
    """N annotated persons in file order.

    Attributes:
        image_ids: N ids, as the file has them.
        keypoints: N rows of 3 K numbers, x, y in image pixels and visibility v in {0, 1, 2}.
        boxes: N rows of x, y, width, height in image pixels.
        areas: ``(N,)`` float64, square pixels, as the protocol counts them.
        num_keypoints: ``(N,)`` int64, the field; 0 means that the person is ignored.
        is_crowd: ``(N,)`` bool.
    """

    image_ids: list[int | str]
    keypoints: columns.Rows
    boxes: columns.Rows
    areas: FloatArray
    num_keypoints: NDArray[np.int64]
    is_crowd: NDArray[np.bool_]

    def of(self, keep: Sequence[bool]) -> "Persons":
        """The persons that are to be kept."""
        mask = np.array(keep, dtype=bool)
        return Persons(
            list(compress(self.image_ids, keep)),
            list(compress(self.keypoints, keep)),
            list(compress(self.boxes, keep)),
            self.areas[mask],
            self.num_keypoints[mask],
            self.is_crowd[mask],
        )


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """What predictions are scored against.

    Attributes:
        source: the file, for messages.
        listed: the ids of all images of the file.
        images: those that are scored.
        persons: the persons on them.
        category_id: the file's one category.
        warnings: what is legal but probably not meant.
        names: the file names of all images of the file.
    """

    source: str
    listed: frozenset[int | str]
    images: Images
    persons: Persons
    category_id: int
    warnings: tuple[str, ...]
    names: ImageNames


def read_annotations(
    path: Path, protocol: ScoringProtocol, image_ids: Collection[int | str] | None = None
) -> GroundTruth:
    """Read and check ground truth.

    Args:
        path: a ``.json`` or ``.json.gz`` file in COCO format.
        protocol: which fields are needed, and how area is counted.
        image_ids: restricts the ground truth to these images.

    Raises:
        MissingDataError: there is no such file.
        AnnotationError: the file cannot be scored against; names the file, the entry and the remedy.
        InputError: `image_ids` names images that the file does not list.
    """
    document, source = read_document(path, AnnotationError, _DECODER), str(path)
    if isinstance(document, _File):
        document = msgspec.structs.asdict(document)
    if not isinstance(document, Mapping):
        raise AnnotationError(
            f"{source}: a ground-truth file is an object with images, annotations and categories, "
            f"found {columns.kind(document)}.\n"
            "A list is a results file; were the two files exchanged?"
        )
    category_id = _category(_part(document, "categories", source, "name"), protocol)
    table = _part(document, "images", source, "id")
    images, warnings = _images(table, protocol)
    names = ImageNames(tuple(zip(table.column("id"), table.column("file_name"), strict=True)))
    listed = frozenset(images.ids)
    persons, more = _persons(_part(document, "annotations", source, "id"), protocol, category_id, listed)
    if image_ids is not None:
        images, persons = _restricted(images, persons, frozenset(image_ids), source)
    return GroundTruth(source, listed, images, persons, category_id, (*warnings, *more), names)


def _part(document: Mapping[str, Any], name: str, source: str, identity: str) -> columns.Table:
    if name not in document:
        raise AnnotationError(f"{source}: {name!r} is missing; a file in COCO format has it.\n{_RESTORE}")
    return columns.table(document[name], source, name, AnnotationError, identity)


def _category(table: columns.Table, protocol: ScoringProtocol) -> int:
    if len(table.records) != 1:
        raise AnnotationError(
            f"{table.source}: the file must have one category, the person; it has {len(table.records)}.\n"
            f"{_RESTORE}"
        )
    category_id = columns.integers(table, "id", _RESTORE)[0]
    names = table.records[0].get("keypoints")
    if isinstance(names, list) and len(names) != protocol.keypoints.count:
        raise AnnotationError(
            f"{table.source}: the category has {len(names)} keypoints, but {protocol.name} is scored on "
            f"{protocol.keypoints.count}.\nThe file belongs to another dataset: check both names."
        )
    return category_id


def _images(table: columns.Table, protocol: ScoringProtocol) -> tuple[Images, list[str]]:
    ids = columns.identifiers(table, "id", _RESTORE)
    if len(set(map(type, ids))) > 1:
        raise AnnotationError(
            f"{table.source}: some image ids are numbers and some are strings; they cannot be put in order.\n"
            f"{_RESTORE}"
        )
    first: dict[int | str, int] = {}
    repeats = [(i, first[v]) for i, v in enumerate(ids) if first.setdefault(v, i) != i]
    for index, original in repeats:
        described = {field: table.column(field) for field in _DESCRIBES}
        differs = [field for field, column in described.items() if column[index] != column[original]]
        if differs:
            raise table.fail(
                [index],
                f"image id {ids[index]!r} stands already at images[{original}], "
                f"with another {columns.quoted(differs)}",
                "Two files were joined whose ids collide: give the images ids of their own.",
            )
    warnings = [f"{len(repeats)} image entries are listed twice; each is counted once"] if repeats else []
    order = sorted(first.items())  # of one type, as checked above
    crowd_index = None
    if protocol.crowding_splits:
        crowd_index = _crowd_index(table)[[position for _, position in order]]
    sizes = _sizes(table)[[position for _, position in order]]
    return Images([image_id for image_id, _ in order], crowd_index, sizes), warnings


def _sizes(table: columns.Table) -> FloatArray:
    """``(n, 2)``, NaN where a size is missing or no number: scores do not depend on it."""
    pairs = zip(table.column("width"), table.column("height"), strict=True)
    return np.array([[_size(w), _size(h)] for w, h in pairs], dtype=np.float64).reshape(-1, 2)


def _size(value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 < value < 1e9 else np.nan


def _crowd_index(table: columns.Table) -> FloatArray:
    remedy = "The crowding splits need every image's crowdIndex. Use the file as its authors publish it."
    crowd_index = columns.numbers(table, "crowdIndex", remedy)
    table.require(crowd_index >= 0, lambda i: f"crowdIndex is {crowd_index[i]}, below 0", remedy)
    return crowd_index


def _persons(
    table: columns.Table, protocol: ScoringProtocol, category_id: int, listed: frozenset[int | str]
) -> tuple[Persons, list[str]]:
    count = protocol.keypoints.count
    if not table.records:
        nobody = Persons([], [], [], np.empty(0), np.empty(0, np.int64), np.empty(0, np.bool_))
        return nobody, ["there are no annotations: every statistic is -1"]
    _check_ids(table)
    image_ids = columns.identifiers(table, "image_id", _RESTORE)
    _check_categories(table, category_id)
    unit = f"{count} keypoints x (x, y, visibility)"
    keypoints = columns.rows(table, "keypoints", 3 * count, unit, _RESTORE, strings=True)
    _check_visibility(table, keypoints)
    boxes = columns.rows(table, "bbox", 4, "x, y, width, height", _RESTORE)
    table.require(
        (box[2] >= 0 and box[3] >= 0 for box in boxes),
        lambda i: f"bbox {boxes[i]} has a negative width or height",
        "A box is x, y, width, height, not two corners.",
    )
    persons = Persons(
        image_ids, keypoints, boxes, _areas(table, boxes, protocol), _num_keypoints(table), _is_crowd(table)
    )
    warnings = []
    if columns.have_strings(table, "keypoints"):
        warnings.append("some keypoints of the ground truth are written as strings; they are read as numbers")
    known = [image_id in listed for image_id in image_ids]
    if not all(known):
        lost = sorted({repr(i) for i, is_known in zip(image_ids, known, strict=True) if not is_known})
        warnings.append(
            f"{known.count(False)} annotations belong to images that the file does not list (the first: "
            f"image_id {lost[0]}); they are left out, as in the official tools"
        )
        persons = persons.of(known)
    return persons, warnings


def _check_ids(table: columns.Table) -> None:
    ids = columns.identifiers(table, "id", _RESTORE)
    if len(set(ids)) == len(ids):
        return
    first: dict[int | str, int] = {}
    table.require(
        [first.setdefault(value, index) == index for index, value in enumerate(ids)],
        lambda i: f"id {ids[i]!r} stands already at annotations[{first[ids[i]]}]",
        "Engines score almost 0 when ids repeat: give every annotation an id of its own.",
    )


def _check_categories(table: columns.Table, category_id: int) -> None:
    ids = columns.integers(table, "category_id", _RESTORE)
    table.require(
        [found == category_id for found in ids],
        lambda i: f"category_id is {ids[i]}, but the file's category has id {category_id}",
        "Only persons are scored; leave other annotations out of the file.",
    )


def _check_visibility(table: columns.Table, keypoints: columns.Rows) -> None:
    allowed = {0, 1, 2}
    if set(chain.from_iterable(row[2::3] for row in keypoints)) <= allowed:
        return
    table.require(
        (set(row[2::3]) <= allowed for row in keypoints),
        lambda i: f"a keypoint has visibility {min(set(keypoints[i][2::3]) - allowed):g}, not 0, 1 or 2",
        "0 is not labelled, 1 hidden, 2 visible. Files in another convention must be converted.",
    )


def _areas(table: columns.Table, boxes: columns.Rows, protocol: ScoringProtocol) -> FloatArray:
    if protocol.box_area_factor is not None:
        return np.array([width * height * protocol.box_area_factor for _, _, width, height in boxes])
    areas = columns.numbers(table, "area", _RESTORE)
    table.require(areas >= 0, lambda i: f"area is {areas[i]}, below 0", _RESTORE)
    return areas


def _num_keypoints(table: columns.Table) -> NDArray[np.int64]:
    remedy = "It decides which persons count and must not be recounted: use the authors' own file."
    counts = columns.integers(table, "num_keypoints", remedy)
    table.require([0 <= n < 2**31 for n in counts], lambda i: f"num_keypoints is {counts[i]}", remedy)
    return np.array(counts, dtype=np.int64)


def _is_crowd(table: columns.Table) -> NDArray[np.bool_]:
    remedy = "It must be 1 for an annotation of a group and 0 for one person; guessing it moves the score."
    flags = columns.values(table, "iscrowd", remedy)
    table.require(
        [isinstance(f, int | float) and f in (0, 1) for f in flags],
        lambda i: f"iscrowd is {flags[i]!r}, not 0 or 1",
        remedy,
    )
    return np.array(flags, dtype=bool)


def _restricted(
    images: Images, persons: Persons, wanted: frozenset[int | str], source: str
) -> tuple[Images, Persons]:
    keep = [image_id in wanted for image_id in images.ids]
    if sum(keep) < len(wanted):
        unknown = columns.quoted(sorted(map(str, wanted - set(images.ids))))
        raise InputError(f"image_ids names images that {source} does not list: {unknown}.\nCheck the split.")
    kept = Images(
        [image_id for image_id, is_kept in zip(images.ids, keep, strict=True) if is_kept],
        None if images.crowd_index is None else images.crowd_index[np.array(keep, dtype=bool)],
        None if images.sizes is None else images.sizes[np.array(keep, dtype=bool)],
    )
    return kept, persons.of([image_id in wanted for image_id in persons.image_ids])
