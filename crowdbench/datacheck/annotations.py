"""Check an annotation file, without looking at images."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from crowdbench.annotation_file import leads_out
from crowdbench.coco_format import PublishedCounts
from crowdbench.datacheck.finding import Finding
from crowdbench.datacheck.raw import FETCH, Entry, RawFile, is_id, is_number
from crowdbench.scoring.protocol import ScoringProtocol


def check_annotations(
    raw: RawFile, protocol: ScoringProtocol, published: PublishedCounts, *, annotated: bool
) -> Iterator[Finding]:
    """Everything that can be seen in the file alone.

    Args:
        raw: the file.
        protocol: says which fields are needed.
        published: how much should be in the file.
        annotated: whether the split has ground truth.
    """
    file = str(raw.path)
    yield from compare_counts(file, "images", len(raw.images), published.images, published.source)
    for image in raw.images:
        yield from _image(file, image, bool(protocol.crowding_splits))
    yield from _doubles(file, "image", Counter(str(image.get("id")) for image in raw.images))
    yield from _double_files(file, Counter(str(image.get("file_name")) for image in raw.images))
    sizes = {
        image["id"]: (image.get("width"), image.get("height"))
        for image in raw.images
        if is_id(image.get("id"))
    }
    ids: Counter[str] = Counter()
    for entry in raw.annotations():
        ids[str(entry.get("id"))] += 1
        yield from _annotation(file, entry, protocol, sizes)
    yield from _doubles(file, "annotation", ids)
    if annotated:
        persons = ids.total()
        yield from compare_counts(file, "annotated persons", persons, published.annotations, published.source)
    yield from raw.findings


def compare_counts(file: str, what: str, have: int, want: int | None, source: str) -> Iterator[Finding]:
    """One finding about a number; an error where it is not the published one."""
    if want is None:
        yield Finding("note", "count", file, "", f"{have} {what}; the published number is not known")
    elif have == want:
        yield Finding("note", "count", file, "", f"{have} {what}, as published ({source})")
    else:
        yield Finding(
            "error",
            "count",
            file,
            "",
            f"{have} {what}, published are {want} ({source})",
            "scores on another set cannot be compared with anybody's; use the published file, whole",
        )


def _doubles(file: str, kind: str, ids: Counter[str]) -> Iterator[Finding]:
    for identity, count in ids.items():
        if count > 1:
            what = f"the id stands {count} times"
            yield Finding("error", "double id", file, f"{kind} {identity}", what, "number them anew")


def _double_files(file: str, names: Counter[str]) -> Iterator[Finding]:
    for name, count in names.items():
        if count > 1:
            what = f"{count} images have this file_name"
            yield Finding("warning", "double file", file, name, what, "it is scored once for each")


def _image(file: str, image: Entry, needs_crowd_index: bool) -> Iterator[Finding]:
    where = f"image {image.get('id')}"
    if not is_id(image.get("id")):
        yield Finding("error", "field", file, where, "its id is no whole number", FETCH)
    name = image.get("file_name")
    if not isinstance(name, str):
        yield Finding("error", "field", file, where, "has no file_name", FETCH)
    elif leads_out(name):
        what = f"file_name {name!r} points outside the dataset's folder"
        yield Finding("error", "path", file, where, what, "do not use this file unless you trust its origin")
    if not (is_number(image.get("width")) and is_number(image.get("height"))):
        yield Finding("error", "field", file, where, "has no width and height", FETCH)
    if needs_crowd_index and not is_number(image.get("crowdIndex")):
        what = "has no crowdIndex, which decides its crowding level"
        yield Finding("error", "field", file, where, what, FETCH)


def _annotation(
    file: str, entry: Entry, protocol: ScoringProtocol, sizes: Mapping[int, tuple[Any, Any]]
) -> Iterator[Finding]:
    where, image = f"annotation {entry.get('id')}", entry.get("image_id")
    if not is_id(entry.get("id")):
        yield Finding("error", "field", file, where, "its id is no whole number", FETCH)
    size = sizes.get(image) if is_id(image) else None
    if not is_id(image):
        yield Finding("error", "field", file, where, "its image_id is no whole number", FETCH)
    elif size is None:
        what = f"its image {image} is not listed"
        yield Finding("warning", "stranger", file, where, what, "it is left out")
    yield from _box(file, where, entry)
    if protocol.box_area_factor is None and not is_number(entry.get("area")):
        yield Finding("error", "field", file, where, "has no area, which scoring needs", FETCH)
    yield from _keypoints(file, where, entry.get("keypoints"), protocol.keypoints.count, size)


def _box(file: str, where: str, entry: Entry) -> Iterator[Finding]:
    box = entry.get("bbox")
    if not (isinstance(box, list) and len(box) == 4 and all(map(is_number, box))):
        yield Finding("error", "box", file, where, f"its box is not four numbers: {str(box)[:60]}", FETCH)
    elif box[2] <= 0 or box[3] <= 0:
        crowd = bool(entry.get("iscrowd"))
        yield Finding(
            "note" if crowd else "warning",
            "box",
            file,
            where,
            f"its box has no area: {box}",
            "a person without a box cannot be predicted with ground-truth boxes",
        )


def _keypoints(
    file: str, where: str, keypoints: object, count: int, size: tuple[Any, Any] | None
) -> Iterator[Finding]:
    if not isinstance(keypoints, list) or len(keypoints) != 3 * count:
        have = len(keypoints) if isinstance(keypoints, list) else "no"
        yield Finding("error", "keypoints", file, where, f"{have} keypoint numbers, not {3 * count}", FETCH)
        return
    try:
        values = [float(value) for value in keypoints]
    except (TypeError, ValueError, OverflowError):
        yield Finding("error", "keypoints", file, where, "a keypoint is no number", FETCH)
        return
    if not all(map(math.isfinite, values)):
        yield Finding("error", "keypoints", file, where, "a keypoint is NaN or infinite", FETCH)
        return
    if any(isinstance(value, str) for value in keypoints):
        yield Finding("warning", "string", file, where, "keypoints are strings", "they are read as numbers")
    if size is not None and all(map(is_number, size)):
        yield from _outside(file, where, values, size)


def _outside(file: str, where: str, values: list[float], size: tuple[float, float]) -> Iterator[Finding]:
    width, height = size
    labelled = [(values[i], values[i + 1]) for i in range(0, len(values), 3) if values[i + 2] > 0]
    outside = [(x, y) for x, y in labelled if not (0 <= x <= width and 0 <= y <= height)]
    if outside:
        x, y = outside[0]
        yield Finding(
            "warning",
            "outside",
            file,
            where,
            f"{len(outside)} labelled keypoints outside the {width}x{height} image, first at ({x:g}, {y:g})",
            "check width and height of the image; scored as annotated",
        )
