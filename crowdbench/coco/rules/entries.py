"""Rules for each field of an image and of an annotated person."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from crowdbench.api.scoring_protocol import ScoringProtocol
from crowdbench.coco.categories import Category
from crowdbench.coco.raw import Entry
from crowdbench.coco.rules.fault import PUBLISHED
from crowdbench.coco.rules.values import (
    LARGEST_AREA_PX,
    LARGEST_PX,
    is_id,
    is_number,
    is_whole,
    number_in,
    shown,
)

_CORNERS = "A box is x, y, width, height, not two corners."
_NOT_FINITE = "Engines take NaN for a perfect match, or drop it silently. Find out where it comes from."
_RANKS = "Engines disagree on where NaN and infinity rank. Find out where it comes from."
_OVERFLOW = "Areas and distances of such numbers overflow. Find out where it comes from."
# (rule, fault, remedy) for one field of one entry.
FieldFault = tuple[str, str, str]


@dataclass(frozen=True)
class Rules:
    """The requirements for a file.

    Attributes:
        protocol: determines which fields are required.
        annotated: whether annotations are required.
        loaded: whether images will be opened as well. For scoring only, an image needs just an id, which may
            be a string and may be listed twice.
    """

    protocol: ScoringProtocol
    annotated: bool = True
    loaded: bool = True


def _missing(field: str, remedy: str) -> FieldFault:
    return f"{field} missing", f"{field} is missing or null", remedy


def is_identity(value: object, rules: Rules) -> bool:
    """Whether a value can be an id under these rules."""
    if isinstance(value, str):
        return not rules.loaded
    return is_id(value) if rules.loaded else is_whole(value)


def id_fault(field: str, value: object, rules: Rules) -> FieldFault:
    """Describe a value that cannot be an id."""
    if value is None:
        return _missing(field, PUBLISHED)
    wanted = "a whole number up to 2**53" if rules.loaded else "a whole number or a string"
    return f"{field} wrong", f"{field} must be {wanted}, found {shown(value)}", PUBLISHED


def _file_name(image: Entry, rules: Rules) -> FieldFault | None:
    name = image.get("file_name")
    if not rules.loaded:
        return None
    if not isinstance(name, str):
        return "file_name missing", "has no file_name", PUBLISHED
    if leads_out(name):
        what = f"file_name {name!r} points outside the dataset's folder; refused"
        return "path", what, "Do not use this file unless you trust its origin."
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        what = f"file_name {shown(name)} has half of a surrogate pair, which no file's name can have"
        return "file_name wrong", what, PUBLISHED
    return None


def _size(image: Entry, rules: Rules) -> FieldFault | None:
    if not rules.loaded:
        return None
    for field in ("width", "height"):
        value = image.get(field)
        if value is None:
            return _missing(field, PUBLISHED)
        if not is_whole(value) or not 1 <= value <= LARGEST_PX:
            what = f"{field} must be a whole number of pixels, from 1 to {LARGEST_PX:g}, found {shown(value)}"
            return f"{field} wrong", what, PUBLISHED
    return None


def _crowd_index(image: Entry, rules: Rules) -> FieldFault | None:
    if not rules.protocol.crowding_splits:
        return None
    remedy = "The crowding splits need every image's crowdIndex. Use the file as its authors publish it."
    fault = number_fault("crowdIndex", image.get("crowdIndex"), remedy)
    if fault is None and image["crowdIndex"] < 0:
        return "crowdIndex wrong", f"crowdIndex is {image['crowdIndex']}, below 0", remedy
    return fault


def number_fault(field: str, value: object, remedy: str) -> FieldFault | None:
    """Check a field that holds one number; `remedy` is for a missing one."""
    if value is None:
        return _missing(field, remedy)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return (
            f"{field} wrong",
            f"{field} must be a number, found {shown(value)}",
            "Write a plain number, without quotes.",
        )
    if not is_number(value):
        what = f"{field} is {shown(value)}, which is not finite"
        return f"{field} wrong", what, _RANKS
    return None


def category_id_fault(entry: Entry, person: Category | None) -> FieldFault | None:
    """Check the category of an annotation; None if it is valid."""
    found = entry.get("category_id")
    if found is None:
        return _missing("category_id", PUBLISHED)
    if not is_whole(found):
        return "category_id wrong", f"category_id must be a whole number, found {shown(found)}", PUBLISHED
    if person is not None and found != person.id:
        what = f"category_id is {shown(found)}, but the file's category has id {person.id}"
        return "category_id wrong", what, "Only persons are scored; leave other annotations out of the file."
    return None


def _keypoints(entry: Entry, rules: Rules) -> FieldFault | None:
    count = rules.protocol.annotated.count
    fault, values = _numbers(
        "keypoints",
        entry.get("keypoints"),
        3 * count,
        f"{count} keypoints x (x, y, visibility)",
        PUBLISHED,
        strings=True,
    )
    if fault is not None:
        return fault
    odd = set(values[2::3]) - {0.0, 1.0, 2.0}
    if odd:
        return (
            "visibility",
            f"a keypoint has visibility {min(odd):g}, not 0, 1 or 2",
            "0 is not labelled, 1 hidden, 2 visible. Files in another convention must be converted.",
        )
    return None


def _box(entry: Entry, rules: Rules) -> FieldFault | None:
    return box_fault(entry.get("bbox"), PUBLISHED)


def box_fault(value: object, remedy: str) -> FieldFault | None:
    """Check one box of an annotation or a detector; `remedy` is for a value that is not a box."""
    fault, box = _numbers("bbox", value, 4, "x, y, width, height", remedy)
    if fault is None and min(box[2:]) < 0:
        return "negative size", f"bbox {shown(value)} has a negative width or height", _CORNERS
    return fault


def _numbers(
    field: str, value: object, length: int, unit: str, remedy: str, *, strings: bool = False
) -> tuple[FieldFault | None, Sequence[float]]:
    """Check a list of numbers; return the fault and the numbers."""
    if value is None:
        return _missing(field, remedy), ()
    fault: FieldFault | None = None
    if not isinstance(value, list):
        fault = f"{field} wrong", f"{field} must be a list of numbers, found {shown(value)}", remedy
    elif any(isinstance(one, list) for one in value):
        what = f"{field} is a list of lists; it must be flat, with {length} numbers ({unit})"
        fault = f"{field} nested", what, "Write one list of numbers."
    elif len(value) != length:
        what = f"{field} has {len(value)} numbers, needs {length} ({unit})"
        fault = f"{field} length", what, remedy
    if fault is not None or not isinstance(value, list):
        return fault, ()
    numbers = [number_in(one) if strings or not isinstance(one, str) else None for one in value]
    for position, (one, number) in enumerate(zip(value, numbers, strict=True)):
        place = f"{field}[{position}] is"
        if number is None:
            return (f"{field} wrong", f"{place} {shown(one)}, which is not a number", remedy), ()
        if not is_number(number):
            finite = f"{place} {shown(number if isinstance(one, str) else one)}, which is not finite"
            return (f"{field} wrong", finite, _NOT_FINITE), ()
        if abs(number) > LARGEST_PX:
            what = f"{place} {shown(one)}, more pixels than any image has ({LARGEST_PX:g})"
            return (f"{field} too large", what, _OVERFLOW), ()
    return None, [number for number in numbers if number is not None]


def _area(entry: Entry, rules: Rules) -> FieldFault | None:
    if rules.protocol.box_area_factor is not None:
        return None
    area = entry.get("area")
    fault = number_fault("area", area, PUBLISHED)
    if fault is not None:
        return fault
    assert isinstance(area, int | float)
    if area < 0:
        return "area wrong", f"area is {float(area)}, below 0", PUBLISHED
    if area > LARGEST_AREA_PX:
        return "area wrong", f"area is {shown(area)}, more square pixels than any image has", PUBLISHED
    return None


def _num_keypoints(entry: Entry, rules: Rules) -> FieldFault | None:
    remedy = "It decides which persons count and must not be recounted: use the authors' own file."
    value = entry.get("num_keypoints")
    if value is None:
        return _missing("num_keypoints", remedy)
    if not is_whole(value):
        return "num_keypoints wrong", f"num_keypoints must be a whole number, found {shown(value)}", remedy
    if not 0 <= value < 2**31:
        return "num_keypoints wrong", f"num_keypoints is {shown(value)}", remedy
    return None


def _is_crowd(entry: Entry, rules: Rules) -> FieldFault | None:
    remedy = "It must be 1 for an annotation of a group and 0 for one person; guessing it moves the score."
    value = entry.get("iscrowd")
    if value is None:
        return _missing("iscrowd", remedy)
    if not isinstance(value, int | float) or value not in (0, 1):
        return "iscrowd wrong", f"iscrowd is {shown(value)}, not 0 or 1", remedy
    return None


def leads_out(file_name: str) -> bool:
    """Whether an image's file name points outside the dataset's folder."""
    parts = file_name.split("/")
    return not parts[0] or ".." in parts or parts[-1] in ("", ".") or "\0" in file_name


_Rule = Callable[[Entry, Rules], FieldFault | None]
IMAGE_RULES: tuple[_Rule, ...] = (_file_name, _size, _crowd_index)
PERSON_RULES: tuple[_Rule, ...] = (_keypoints, _box, _area, _num_keypoints, _is_crowd)
