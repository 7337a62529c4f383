"""Check an annotation file, reading tolerantly: what the loader refuses is what must be named here."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from crowdbench.coco_format import CocoFormatDataset, PublishedCounts
from crowdbench.datacheck.finding import Finding
from crowdbench.errors import MissingDataError
from crowdbench.files import read_maybe_gzipped
from crowdbench.hashing import file_digest

FETCH = "fetch the file again from the dataset's page"


def read_raw(path: Path) -> tuple[dict[str, Any] | None, list[Finding]]:
    """The file's content as it is, and what is wrong with it as a whole."""
    try:
        content = msgspec.json.decode(read_maybe_gzipped(path))
    except (OSError, EOFError) as error:
        raise MissingDataError(f"{path}: cannot read the annotations ({error}).") from error
    except msgspec.DecodeError as error:
        return None, [Finding("error", "json", str(path), "", f"not whole JSON ({error})", FETCH)]
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        return None, [Finding("error", "json", str(path), "", "no object with a list of images", FETCH)]
    return content, []


def check_annotations(cls: type[CocoFormatDataset], split: str, path: Path) -> Iterator[Finding]:
    """Everything that can be seen without looking at images."""
    file = str(path)
    yield Finding(
        "note", "hash", file, "", f"sha256 {file_digest(path)} (no hash is published to compare with)"
    )
    content, findings = read_raw(path)
    yield from findings
    if content is None:
        return
    images = [image for image in content["images"] if isinstance(image, dict)]
    raw = content.get("annotations", [])
    annotations = [entry for entry in raw if isinstance(entry, dict)] if isinstance(raw, list) else []
    yield from _counts(file, cls.published.get(split, PublishedCounts()), len(images), len(annotations))
    yield from _doubles(file, "image", images)
    yield from _doubles(file, "annotation", annotations)
    sizes = {image.get("id"): (image.get("width"), image.get("height")) for image in images}
    for image in images:
        yield from _image(file, image, bool(cls.protocol.crowding_splits))
    for entry in annotations:
        yield from _annotation(file, entry, cls, sizes)


def _counts(file: str, published: PublishedCounts, images: int, annotations: int) -> Iterator[Finding]:
    for what, have, want in (
        ("images", images, published.images),
        ("annotated persons", annotations, published.annotations),
    ):
        if want is None:
            yield Finding("note", "count", file, "", f"{have} {what}; the published number is not known")
        elif have == want:
            yield Finding("note", "count", file, "", f"{have} {what}, as published ({published.source})")
        else:
            yield Finding(
                "error",
                "count",
                file,
                "",
                f"{have} {what}, published are {want} ({published.source})",
                "scores on a part of the split cannot be compared with anybody's; use the whole file",
            )


def _doubles(file: str, kind: str, entries: list[dict[str, Any]]) -> Iterator[Finding]:
    counts = Counter(str(entry.get("id")) for entry in entries)
    for identity, count in counts.items():
        if count > 1:
            yield Finding(
                "error",
                "double id",
                file,
                f"{kind} {identity}",
                f"the id stands {count} times",
                "number them anew",
            )


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _image(file: str, image: Mapping[str, Any], needs_crowd_index: bool) -> Iterator[Finding]:
    where = f"image {image.get('id')}"
    if not isinstance(image.get("file_name"), str):
        yield Finding("error", "field", file, where, "has no file_name", FETCH)
    if not (_number(image.get("width")) and _number(image.get("height"))):
        yield Finding("error", "field", file, where, "has no width and height", FETCH)
    if needs_crowd_index and not _number(image.get("crowdIndex")):
        yield Finding(
            "error", "field", file, where, "has no crowdIndex, which decides its crowding level", FETCH
        )


def _annotation(
    file: str, entry: Mapping[str, Any], cls: type[CocoFormatDataset], sizes: Mapping[Any, tuple[Any, Any]]
) -> Iterator[Finding]:
    where = f"annotation {entry.get('id')}"
    if entry.get("image_id") not in sizes:
        image = entry.get("image_id")
        yield Finding(
            "warning", "stranger", file, where, f"its image {image} is not listed", "it is left out"
        )
    box = entry.get("bbox")
    if not (isinstance(box, list) and len(box) == 4 and all(map(_number, box))):
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
    if cls.protocol.box_area_factor is None and not _number(entry.get("area")):
        yield Finding("error", "field", file, where, "has no area, which scoring needs", FETCH)
    yield from _keypoints(
        file, where, entry.get("keypoints"), cls.keypoints.count, sizes.get(entry.get("image_id"))
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
    except (TypeError, ValueError):
        yield Finding("error", "keypoints", file, where, "a keypoint is no number", FETCH)
        return
    if not all(map(math.isfinite, values)):
        yield Finding("error", "keypoints", file, where, "a keypoint is NaN or infinite", FETCH)
        return
    if any(isinstance(value, str) for value in keypoints):
        yield Finding("warning", "string", file, where, "keypoints are strings", "they are read as numbers")
    if size is None or not all(map(_number, size)):
        return
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
