"""Where boxes come from: ground truth, a detector's results file, or nowhere."""

from dataclasses import dataclass
from pathlib import Path

from crowdbench.hashing import file_digest


@dataclass(frozen=True)
class GroundTruthBoxes:
    """The annotated boxes of the persons that count (see `crowdbench.coco_format`)."""

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
    """

    path: Path

    @property
    def label(self) -> str:
        """How records name this source: two runs share boxes only if the files' contents are equal."""
        return f"detector:{file_digest(self.path)[:16]}"


BoxSource = GroundTruthBoxes | NoBoxes | DetectorBoxes


def box_source(value: str | Path | BoxSource) -> BoxSource:
    """Read the ``--boxes`` option: ``gt``, ``none`` or a file."""
    if isinstance(value, GroundTruthBoxes | NoBoxes | DetectorBoxes):
        return value
    if value == "gt":
        return GroundTruthBoxes()
    if value == "none":
        return NoBoxes()
    return DetectorBoxes(Path(value))
