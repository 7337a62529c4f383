"""Find the person category of a file and check its keypoints."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crowdbench.api.scoring_protocol import ScoringProtocol
from crowdbench.coco.keypoint_names import file_order
from crowdbench.coco.rules.fault import PUBLISHED, Fault
from crowdbench.coco.rules.values import is_id, kind, shown


@dataclass(frozen=True)
class Category:
    """The category that is scored.

    Attributes:
        id: the id of the person category.
        others: the ids of the file's other categories, whose annotations are ignored.
        order: the index, in the file's order, of each of the protocol's keypoints; None if the file names no
            keypoints or names them in the protocol's order.
    """

    id: int
    others: frozenset[int] = frozenset()
    order: tuple[int, ...] | None = None

    def leaves_out(self, category_id: object) -> bool:
        """Whether an annotation belongs to another listed category."""
        return isinstance(category_id, int | float) and category_id in self.others


def person_category(entries: Sequence[Any], protocol: ScoringProtocol) -> Category | None:
    """Return the person category: the only category, or the only one named person.

    Args:
        entries: the file's ``categories``, unchecked.
        protocol: defines the keypoints that are scored.

    Returns:
        None if there is no such category, or if it does not fit the protocol (see `category_faults`).
    """
    if any(True for _ in category_faults(entries, protocol)):
        return None
    chosen = _chosen(entries)
    assert chosen is not None
    names = chosen.get("keypoints")
    order = file_order(names, protocol.annotated) if isinstance(names, list) and names else None
    if order == tuple(range(protocol.annotated.count)):
        order = None
    others = frozenset(int(entry["id"]) for entry in entries if entry is not chosen)
    return Category(int(chosen["id"]), others, order)


def category_faults(entries: Sequence[Any], protocol: ScoringProtocol) -> Iterator[Fault]:
    """Yield the faults of a file's categories.

    Args:
        entries: the file's ``categories``, unchecked.
        protocol: defines the keypoints that are scored.
    """
    for index, entry in enumerate(entries):
        place = f"categories[{index}]"
        if not isinstance(entry, Mapping):
            remedy = "docs/metrics.md describes the format."
            yield Fault("category", place, f"must be an object, found {kind(entry)}", remedy)
            return
        identity = entry.get("id")
        if not is_id(identity):
            found = (
                "id is missing or null"
                if identity is None
                else f"id must be a whole number, found {shown(identity)}"
            )
            yield Fault("category id", place, found, PUBLISHED)
            return
    ids = [int(entry["id"]) for entry in entries]
    if len(set(ids)) < len(ids):
        yield Fault("category id", "", "two categories have the same id", PUBLISHED)
        return
    chosen = _chosen(entries)
    if chosen is None:
        named = ", ".join(f"{entry['id']}: {shown(entry.get('name'))}" for entry in entries[:8])
        listed = (
            f" ({named}{', ...' if len(entries) > 8 else ''}), not one of them named 'person'"
            if entries
            else ""
        )
        what = f"the file must have one category, the person; it has {len(entries)}{listed}"
        yield Fault("categories", "", what, PUBLISHED)
        return
    yield from _keypoint_faults(chosen, protocol)


def _chosen(entries: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    if len(entries) == 1:
        return entries[0]
    persons = [entry for entry in entries if str(entry.get("name")).strip().casefold() == "person"]
    return persons[0] if len(persons) == 1 else None


def _keypoint_faults(category: Mapping[str, Any], protocol: ScoringProtocol) -> Iterator[Fault]:
    names, keypoints = category.get("keypoints"), protocol.annotated
    if names is None or names == []:
        return
    if not isinstance(names, list):
        what = f"the category's keypoints must be a list of names, found {shown(names)}"
        yield Fault("keypoint names", "", what, PUBLISHED)
        return
    another = "The file belongs to another dataset: check both names."
    if len(names) != keypoints.count:
        what = f"the category has {len(names)} keypoints, but {protocol.name} is scored on {keypoints.count}"
        yield Fault("keypoint count", "", what, another)
    elif file_order(names, keypoints) is None:
        theirs, ours = ", ".join(map(str, names)), ", ".join(keypoints.keypoints)
        what = f"the category's keypoints are {theirs}, but {protocol.name} is scored on {ours}"
        yield Fault("keypoint names", "", what, another)
