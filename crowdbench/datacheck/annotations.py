"""Check an annotation file, without looking at images."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from crowdbench.coco.dataset import PublishedCounts
from crowdbench.coco.raw import Entry, RawFile
from crowdbench.coco.rules.entries import Rules
from crowdbench.coco.rules.fault import Fault
from crowdbench.coco.rules.faults import faults
from crowdbench.coco.rules.foreign_formats import foreign_format
from crowdbench.coco.rules.values import is_id, is_number, number_in, shown
from crowdbench.datacheck.finding import DataIssue

Sizes = Mapping[int, tuple[Any, Any]]
_ENTRIES = {"images": "image", "annotations": "annotation"}


def check_annotations(
    raw: RawFile, rules: Rules, published: PublishedCounts, sizes: Sizes | None = None
) -> Iterator[DataIssue]:
    """Everything that can be seen in the file alone.

    Args:
        raw: the file.
        rules: what loading and scoring ask of it.
        published: how much should be in the file.
        sizes: width and height of the images by id, in pixels, as loaded; None takes them as written.
    """
    file = str(raw.path)
    foreign = foreign_format(raw)
    if foreign is not None:
        what, _, remedy = foreign.partition("\n")
        yield DataIssue("error", "format", file, "", what, remedy)
        return
    yield from compare_counts(file, "images", len(raw.images), published.images, published.source)
    for fault in faults(raw, rules):
        yield _finding(file, fault)
    yield from _double_files(file, Counter(str(image.get("file_name")) for image in raw.images))
    listed = raw.image_ids
    if sizes is None:
        sizes = {i["id"]: (i.get("width"), i.get("height")) for i in raw.images if is_id(i.get("id"))}
    persons = 0
    for entry in raw.objects("annotations"):
        persons += 1
        yield from _annotation(file, entry, listed, sizes)
    if rules.annotated:
        yield from compare_counts(file, "annotated persons", persons, published.annotations, published.source)


def compare_counts(file: str, what: str, have: int, want: int | None, source: str) -> Iterator[DataIssue]:
    """One finding about a number; an error where it is not the published one."""
    if want is None:
        yield DataIssue("note", "count", file, "", f"{have} {what}; the published number is not known")
    elif have == want:
        yield DataIssue("note", "count", file, "", f"{have} {what}, as published ({source})")
    else:
        yield DataIssue(
            "error",
            "count",
            file,
            "",
            f"{have} {what}, published are {want} ({source})",
            "scores on another set are not comparable with published ones; use the complete published file",
        )


def _finding(file: str, fault: Fault) -> DataIssue:
    entry = _ENTRIES.get(fault.part)
    where = fault.place if entry is None or fault.identity is None else f"{entry} {shown(fault.identity)}"
    return DataIssue("error", fault.rule, file, where, fault.what, fault.remedy)


def _double_files(file: str, names: Counter[str]) -> Iterator[DataIssue]:
    for name, count in names.items():
        if count > 1:
            what = f"{count} images have this file_name"
            yield DataIssue("warning", "double file", file, name, what, "it is scored once for each")


def _annotation(file: str, entry: Entry, listed: set[int | str], sizes: Sizes) -> Iterator[DataIssue]:
    where, image = f"annotation {entry.get('id')}", entry.get("image_id")
    if is_id(image) and image not in listed:
        what = f"its image {image} is not listed"
        yield DataIssue("warning", "stranger", file, where, what, "it is left out")
    box = entry.get("bbox")
    if isinstance(box, list) and len(box) == 4 and all(map(is_number, box)) and min(box[2:]) == 0:
        yield DataIssue(
            "note" if entry.get("iscrowd") else "warning",
            "box",
            file,
            where,
            f"its box has no area: {box}",
            "a person without a box cannot be predicted with ground-truth boxes",
        )
    keypoints = entry.get("keypoints")
    if not isinstance(keypoints, list) or len(keypoints) % 3:
        return
    if any(isinstance(value, str) for value in keypoints):
        yield DataIssue("warning", "string", file, where, "keypoints are strings", "they are read as numbers")
    values = [number for value in keypoints if (number := number_in(value)) is not None]
    size = sizes.get(image) if is_id(image) else None  # type: ignore[arg-type]  # it is a number
    if size is not None and all(map(is_number, (*size, *values))) and len(values) == len(keypoints):
        yield from _outside(file, where, values, size)


def _outside(file: str, where: str, values: list[float], size: tuple[float, float]) -> Iterator[DataIssue]:
    width, height = size
    labelled = [(values[i], values[i + 1]) for i in range(0, len(values), 3) if values[i + 2] > 0]
    outside = [(x, y) for x, y in labelled if not (0 <= x <= width and 0 <= y <= height)]
    if outside:
        x, y = outside[0]
        yield DataIssue(
            "warning",
            "outside",
            file,
            where,
            f"{len(outside)} labelled keypoints outside the {width}x{height} image, first at ({x:g}, {y:g})",
            "check width and height of the image; scored as annotated",
        )
