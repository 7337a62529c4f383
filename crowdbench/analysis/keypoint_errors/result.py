"""The result of an analysis, as stored in ``analysis.json``."""

from pathlib import Path
from typing import Literal

import msgspec

from crowdbench.analysis.keypoint_errors.error_types import KINDS, LETTERS
from crowdbench.errors import DataError
from crowdbench.system.files.reading import LARGEST_DATA, read_json
from crowdbench.system.files.writing import write_whole

RULES = 1
"""Incremented when the rules change, so that older results are ignored as stale."""

Outcome = Literal["matched", "ignored", "background", "surplus"]


class PredictedPerson(msgspec.Struct, frozen=True, gc=False):
    """The outcome of one prediction.

    Attributes:
        image_id: as the ground truth has it.
        prediction: its position among the scored predictions, in file order.
        score: that the method gave it.
        outcome: ``matched`` with a person that counts; ``ignored``: with a person that scoring ignores;
            ``background``: unmatched; ``surplus``: not among the 20 best of the image.
        person: the id of the annotation that it is matched with.
        oks: with that person; None without one.
        kinds: a letter for each keypoint (`crowdbench.analysis.LETTERS`: g, j, i, s, m for good, jitter,
            inversion, swap, miss), ``-`` where it is not labelled; empty unless the outcome is ``matched``.
    """

    image_id: int | str
    prediction: int
    score: float
    outcome: Outcome
    person: int | str | None = None
    oks: float | None = None
    kinds: str = ""

    def kind(self, keypoint: int) -> str | None:
        """The kind of a keypoint, by its index; None where it has none."""
        letter = self.kinds[keypoint] if self.kinds else "-"
        return None if letter == "-" else KINDS[LETTERS.index(letter)]

    def count(self, kind: str) -> int:
        """How many of its keypoints are of a kind."""
        return self.kinds.count(LETTERS[KINDS.index(kind)])


class ErrorSummary(msgspec.Struct, frozen=True):
    """The errors on a group of images.

    Attributes:
        name: ``all``, a level's name, or the bounds of the measure of crowding.
        low, high: those bounds, ``low <= measure < high``; None where there is none.
        images: how many.
        persons: that count.
        not_found: of those, the ones that no prediction is matched with.
        predictions: among the 20 best of their image.
        background: of those, the unmatched ones.
        ignored: those that are matched with a person that scoring ignores.
        kinds: how many keypoints of matched persons are of each kind; a number for every keypoint.
        ap: in [0, 1], or -1 where there is no person to find.
        alone: AP if one thing were corrected, by its name (`crowdbench.analysis.CORRECTIONS`).
        cumulative: AP if a kind and those before it were corrected (`crowdbench.analysis.CUMULATIVE`).
    """

    name: str
    low: float | None
    high: float | None
    images: int
    persons: int
    not_found: int
    predictions: int
    background: int
    ignored: int
    kinds: dict[str, list[int]]
    ap: float
    alone: dict[str, float]
    cumulative: dict[str, float]

    @property
    def labelled(self) -> int:
        """Labelled keypoints of matched persons."""
        return sum(map(sum, self.kinds.values()))

    def total(self, kind: str) -> int:
        """Keypoints of a kind."""
        return sum(self.kinds[kind])

    def share(self, kind: str) -> float | None:
        """Part of the labelled keypoints, in [0, 1]; None where none is labelled."""
        return self.total(kind) / self.labelled if self.labelled else None

    def gain(self, correction: str) -> float | None:
        """AP gained if one thing were corrected alone; None where there is no AP."""
        return None if self.ap < 0 or self.alone[correction] < 0 else self.alone[correction] - self.ap


class Analysis(msgspec.Struct, frozen=True):
    """The result of an error analysis.

    Attributes:
        protocol: the scoring protocol's name.
        keypoints: names, in the order of all counts.
        measure: of crowding: ``crowdIndex`` or ``max IoU``.
        whole: what is found on all images.
        levels: the same by level of crowding.
        bins: the same by tenths of the measure.
        instances: every prediction, in file order.
        not_found: image id and annotation id of persons that count and that no prediction is matched with.
        advice: one sentence naming the correction that gains most.
        warnings: of reading predictions and ground truth.
        engine: name and version of what computed AP and matches.
        predictions_sha256, annotations_sha256: the files that were analysed.
        rules: by which rules.
    """

    protocol: str
    keypoints: list[str]
    measure: str
    whole: ErrorSummary
    levels: list[ErrorSummary]
    bins: list[ErrorSummary]
    advice: str
    warnings: list[str]
    engine: str
    predictions_sha256: str
    annotations_sha256: str
    rules: int
    not_found: list[tuple[int | str, int | str]]
    instances: list[PredictedPerson]

    def write(self, path: Path) -> None:
        """Write as JSON, atomically."""
        write_whole(path, self.encoded())

    def encoded(self) -> bytes:
        """Encode as one line of JSON."""
        return msgspec.json.encode(self) + b"\n"


def is_analysis(content: bytes) -> bool:
    """Whether a file's content is what `Analysis.write` writes, of this version or another."""
    return content.startswith(b"{") and all(mark in content for mark in (b'"predictions_sha256"', b'"rules"'))


def read_analysis(path: Path) -> Analysis | None:
    """Read a stored analysis; None if it is missing or unreadable."""
    try:
        return read_json(path, Analysis, "an analysis", limit=LARGEST_DATA)
    except DataError:
        return None
