"""Content that is allowed but implausible."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Implausible:
    """An implausible property of a file.

    Attributes:
        kind: the kind of finding.
        what: one sentence with the numbers, without a period.
        remedy: what to do.
        severity: ``error`` if the content is certainly in another convention.
    """

    kind: str
    what: str
    remedy: str
    severity: Literal["error", "warning"] = "warning"

    @property
    def sentence(self) -> str:
        """Finding and remedy, for a warning."""
        return f"{self.what}. {self.remedy}"
