"""Box sources: ground truth, a detector's results file, or none."""

import math
from dataclasses import dataclass
from pathlib import Path

from crowdbench.errors import SettingsError
from crowdbench.system.files.digests import file_digest

DETECTOR = "detector:"
"""How the label of a detector's boxes begins."""


@dataclass(frozen=True)
class GroundTruthBoxes:
    """The annotated boxes of the persons that count (see `crowdbench.coco.dataset`)."""

    @property
    def label(self) -> str:
        """How records name this source."""
        return "gt"


@dataclass(frozen=True)
class NoBoxes:
    """No boxes: for methods that find the persons themselves."""

    @property
    def label(self) -> str:
        """How records name this source."""
        return "none"


@dataclass(frozen=True)
class DetectorBoxes:
    """The boxes of a detector's results file in COCO detection format.

    Attributes:
        path: a JSON list of ``{image_id, category_id, bbox [x, y, w, h], score}``.
        least_score: boxes with a lower score are left out; None keeps all.
    """

    path: Path
    least_score: float | None = None

    def __post_init__(self) -> None:
        if self.least_score is not None and not math.isfinite(self.least_score):
            raise SettingsError(f"the least score of boxes must be a finite number, got {self.least_score}.")

    @property
    def label(self) -> str:
        """How records name this source: runs share boxes only if contents and least scores are equal."""
        floor = "" if self.least_score is None else f">={self.least_score + 0.0!r}"
        return f"{DETECTOR}{file_digest(self.path)[:16]}{floor}"


BoxSource = GroundTruthBoxes | NoBoxes | DetectorBoxes


def box_source(value: str | Path | BoxSource, least_score: float | None = None) -> BoxSource:
    """Parse ``--boxes`` (``gt``, ``none``, a file) and ``--box-score``; SettingsError if none has a score."""
    if isinstance(value, GroundTruthBoxes | NoBoxes | DetectorBoxes):
        return value
    if value in ("gt", "none"):
        if least_score is not None:
            raise SettingsError(
                "a least score is for a detector's boxes: name its file with --boxes FILE, or leave "
                "--box-score out."
            )
        return GroundTruthBoxes() if value == "gt" else NoBoxes()
    return DetectorBoxes(Path(value), least_score)
