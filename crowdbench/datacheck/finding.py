"""One thing that a check found."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class DataIssue:
    """What is wrong, where, and what to do.

    Attributes:
        severity: ``error``: results on these data would be wrong or impossible; ``warning``: results are
            right because crowdbench allows for it, or it matters in some uses; ``note``: a fact.
        kind: the same for findings of one sort.
        file: the file it is about.
        where: the entry in the file, as ``image 17`` or ``annotation 3``; empty for the whole file.
        what: one sentence.
        remedy: what to do; empty for notes.
    """

    severity: Severity
    kind: str
    file: str
    where: str
    what: str
    remedy: str = ""

    def line(self) -> str:
        """One line of text."""
        place = f"{self.file}: {self.where}" if self.where else self.file
        return f"{self.severity}: {place}: {self.what}" + (f" → {self.remedy}" if self.remedy else "")
