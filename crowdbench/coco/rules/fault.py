"""A fault of an annotation file, and many of them in one message."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crowdbench.coco.rules.values import shown
from crowdbench.errors import AnnotationError, DataError

PUBLISHED = "Use the annotation file as its authors publish it; no engine has a right value for this."
# Ids of entries with the same fault, and faults, that a message names.
_NAMED = 5
_KINDS = 12


@dataclass(frozen=True)
class Fault:
    """What is wrong at one place.

    Attributes:
        rule: the same for faults of one sort.
        place: as ``annotations[3]``; empty for the whole file.
        what: the fault, without a full stop.
        remedy: what to do.
        identity: the entry's id, whatever it is.
        shows_identity: false where `what` says it.
    """

    rule: str
    place: str
    what: str
    remedy: str
    identity: Any = None
    shows_identity: bool = True

    @property
    def part(self) -> str:
        """The list that the entry is in, as `place` names it; empty for the whole file."""
        return re.split(r"[\[\d]", self.place, maxsplit=1)[0]

    def sentence(self) -> str:
        """Place and fault."""
        if not self.place:
            return self.what
        where = f" (id {shown(self.identity)})" if self.shows_identity and self.identity is not None else ""
        joint = " " if self.what.startswith(("must", "has")) else ": "
        return f"{self.place}{where}{joint}{self.what}"


def refusal(
    path: Path, faults: Iterable[Fault], error: type[DataError] = AnnotationError
) -> DataError | None:
    """One error that tells all faults of a file, each sort once; None if there are none.

    Args:
        path: the file.
        faults: all of them.
        error: of which kind.
    """
    sorts: dict[tuple[str, str], list[Fault]] = {}
    for fault in faults:
        sorts.setdefault((fault.part, fault.rule), []).append(fault)
    told = [_told(of_one_sort) for of_one_sort in sorts.values()]
    if not told:
        return None
    if len(told) == 1:
        sentence, remedy = told[0]
        return error(f"{path}: {sentence}\n{remedy}")
    lines = [f"- {sentence} {remedy}" for sentence, remedy in told[:_KINDS]]
    if len(told) > _KINDS:
        lines.append(f"- and faults of {len(told) - _KINDS} more kinds")
    listing = "\n".join(lines)
    every = "\n`crowdbench data check` lists every one." if error is AnnotationError else ""
    return error(f"{path}: faults of {len(told)} kinds:\n{listing}{every}")


def _told(faults: list[Fault]) -> tuple[str, str]:
    first, others = faults[0], faults[1:]
    more = ""
    if others:
        ids = ", ".join(shown(fault.identity) for fault in others[:_NAMED] if fault.identity is not None)
        dots = ", ..." if len(others) > _NAMED else ""
        more = f" The same holds for {len(others)} more" + (f" (ids {ids}{dots})." if ids else ".")
    return f"{first.sentence()}.{more}", first.remedy
