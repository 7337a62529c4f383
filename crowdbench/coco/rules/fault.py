"""Faults of an annotation file, and one message for many of them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crowdbench.coco.rules.values import shown
from crowdbench.errors import AnnotationError, DataError

PUBLISHED = "Use the annotation file as its authors publish it; no engine has a right value for this."
# The most ids per fault and the most kinds of fault that a message lists.
_NAMED = 5
_KINDS = 12


@dataclass(frozen=True)
class Fault:
    """A fault at one place.

    Attributes:
        rule: the kind of fault.
        place: as ``annotations[3]``; empty for the whole file.
        what: the fault, without a period.
        remedy: what to do.
        identity: the entry's id, unchecked.
        shows_identity: false if `what` contains the id.
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
        """The place and the fault."""
        if not self.place:
            return self.what
        where = f" (id {shown(self.identity)})" if self.shows_identity and self.identity is not None else ""
        joint = " " if self.what.startswith(("must", "has")) else ": "
        return f"{self.place}{where}{joint}{self.what}"


def refusal(
    path: Path, faults: Iterable[Fault], error: type[DataError] = AnnotationError
) -> DataError | None:
    """Return one error for all faults of a file, each kind once; None if there are none.

    Args:
        path: the file.
        faults: all faults of the file.
        error: the exception type.
    """
    kinds: dict[tuple[str, str], list[Fault]] = {}
    for fault in faults:
        kinds.setdefault((fault.part, fault.rule), []).append(fault)
    summaries = [_summary(of_one_kind) for of_one_kind in kinds.values()]
    if not summaries:
        return None
    if len(summaries) == 1:
        sentence, remedy = summaries[0]
        return error(f"{path}: {sentence}\n{remedy}")
    lines = [f"- {sentence} {remedy}" for sentence, remedy in summaries[:_KINDS]]
    if len(summaries) > _KINDS:
        lines.append(f"- and faults of {len(summaries) - _KINDS} more kinds")
    listing = "\n".join(lines)
    every = "\n`crowdbench data check` lists every one." if error is AnnotationError else ""
    return error(f"{path}: faults of {len(summaries)} kinds:\n{listing}{every}")


def _summary(faults: list[Fault]) -> tuple[str, str]:
    first, others = faults[0], faults[1:]
    more = ""
    if others:
        ids = ", ".join(shown(fault.identity) for fault in others[:_NAMED] if fault.identity is not None)
        dots = ", ..." if len(others) > _NAMED else ""
        more = f" The same holds for {len(others)} more" + (f" (ids {ids}{dots})." if ids else ".")
    return f"{first.sentence()}.{more}", first.remedy
