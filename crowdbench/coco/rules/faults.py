"""Faults of annotation files: one set of rules for loading, scoring and checking.

The fast reader (`crowdbench.coco.reading`) accepts only files in which these rules find no fault.
"""

from collections.abc import Iterator, Mapping

from crowdbench.coco.categories import Category, category_faults, person_category
from crowdbench.coco.raw import Entry, RawFile
from crowdbench.coco.rules.entries import (
    IMAGE_RULES,
    PERSON_RULES,
    FieldFault,
    Rules,
    category_id_fault,
    id_fault,
    is_identity,
)
from crowdbench.coco.rules.fault import PUBLISHED, Fault
from crowdbench.coco.rules.values import identifier, kind

_FORMAT = "docs/metrics.md describes the format."


def faults(raw: RawFile, rules: Rules) -> Iterator[Fault]:
    """Yield every fault of a file, in file order.

    Args:
        raw: the file.
        rules: the requirements.
    """
    if raw.parts is None:
        yield Fault(
            "document",
            "",
            "a ground-truth file is an object with images, annotations and categories, "
            f"found {kind(raw.document)}",
            "A list is a results file; were the two files exchanged?",
        )
        return
    for part in ("categories", "images", "annotations") if rules.annotated else ("images",):
        yield from _no_list(raw, part)
    if rules.annotated and isinstance(raw.parts.get("categories"), list):
        yield from category_faults(list(raw.entries("categories")), rules.protocol)
    yield from _image_faults(raw, rules)
    if rules.annotated:
        yield from _annotation_faults(raw, rules)


def _no_list(raw: RawFile, part: str) -> Iterator[Fault]:
    assert raw.parts is not None
    if part not in raw.parts:
        what = f"{part!r} is missing: there is no list of {part}, and a file in COCO format has it"
        yield Fault(f"no {part}", "", what, PUBLISHED)
    elif not isinstance(raw.parts[part], list):
        value = next(iter(raw.entries(part)), raw.parts[part])
        yield Fault(f"no {part}", "", f"{part} must be a list of objects, found {kind(value)}", _FORMAT)


def _objects(raw: RawFile, part: str) -> Iterator[tuple[int, Entry | Fault]]:
    for index, entry in enumerate(raw.entries(part)):
        if isinstance(entry, Mapping):
            yield index, entry
        else:
            yield (
                index,
                Fault(
                    f"{part} entry", f"{part}[{index}]", f"must be an object, found {kind(entry)}", _FORMAT
                ),
            )


def _image_faults(raw: RawFile, rules: Rules) -> Iterator[Fault]:
    seen: dict[int | str, tuple[int, Entry]] = {}
    kinds: set[type] = set()
    for index, image in _objects(raw, "images"):
        if isinstance(image, Fault):
            yield image
            continue
        name = image.get("id")
        good = is_identity(name, rules)
        if not good:
            yield _of(image, "images", index, id_fault("id", name, rules))
        else:
            key = identifier(name)
            kinds.add(type(key))
            if key in seen:
                yield from _doubled_image(image, index, *seen[key], rules)
            seen.setdefault(key, (index, image))
        for rule in IMAGE_RULES:
            fault = rule(image, rules)
            if fault is not None:
                yield _of(image, "images", index, fault)
    if len(kinds) > 1:
        what = "some image ids are numbers and some are strings; they cannot be put in order"
        yield Fault("image ids", "", what, PUBLISHED)


def _doubled_image(image: Entry, index: int, first: int, other: Entry, rules: Rules) -> Iterator[Fault]:
    described = ("file_name", "width", "height", "crowdIndex")
    differs = [field for field in described if image.get(field) != other.get(field)]
    place, identity = f"images[{index}]", image["id"]
    if differs:
        names = ", ".join(map(repr, differs))
        what = f"image id {identity!r} stands already at images[{first}], with another {names}"
        remedy = "Two files were joined whose ids collide: give the images ids of their own."
        yield Fault("double image", place, what, remedy, identity, shows_identity=False)
    elif rules.loaded:
        what = f"image id {identity!r} stands already at images[{first}]"
        yield Fault("double image", place, what, "List each image once.", identity, shows_identity=False)


def _annotation_faults(raw: RawFile, rules: Rules) -> Iterator[Fault]:
    person = person_category(list(raw.entries("categories")), rules.protocol)
    seen: dict[int | str, int] = {}
    for index, entry in _objects(raw, "annotations"):
        if isinstance(entry, Fault):
            yield entry
            continue
        if isinstance(person, Category) and person.leaves_out(entry.get("category_id")):
            continue
        name = entry.get("id")
        if not is_identity(name, rules):
            yield _of(entry, "annotations", index, id_fault("id", name, rules))
        else:
            key = identifier(name)
            if seen.setdefault(key, index) != index:
                yield Fault(
                    "double annotation",
                    f"annotations[{index}]",
                    f"id {name!r} stands already at annotations[{seen[key]}]",
                    "Engines score almost 0 when ids repeat: give every annotation an id of its own.",
                    name,
                    shows_identity=False,
                )
        if not is_identity(entry.get("image_id"), rules):
            yield _of(entry, "annotations", index, id_fault("image_id", entry.get("image_id"), rules))
        fault = category_id_fault(entry, person)
        if fault is not None:
            yield _of(entry, "annotations", index, fault)
        for rule in PERSON_RULES:
            fault = rule(entry, rules)
            if fault is not None:
                yield _of(entry, "annotations", index, fault)


def _of(entry: Entry, part: str, index: int, fault: FieldFault) -> Fault:
    rule, what, remedy = fault
    return Fault(rule, f"{part}[{index}]", what, remedy, entry.get("id"))
