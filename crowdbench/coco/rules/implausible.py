"""Something that is allowed, but hardly ever meant."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Implausible:
    """What is implausible about a file.

    Attributes:
        kind: the same for findings of one sort.
        severity: ``error`` where what is meant is certainly something else.
        what: one sentence without a full stop, with the figures.
        remedy: what to do.
    """

    kind: str
    severity: Literal["error", "warning"]
    what: str
    remedy: str

    @property
    def sentence(self) -> str:
        """Both, for a warning."""
        return f"{self.what}. {self.remedy}"
