"""The contents of a report, as plain data from `crowdbench.report.collect` for `report.page`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from crowdbench.api.types import FloatArray, KeypointSet

KINDS = ("good", "jitter", "inversion", "swap", "miss")
"""What a predicted keypoint of a matched person can be; see docs/analysis.md."""

ERRORS = KINDS[1:]


@dataclass(frozen=True)
class Line:
    """One run's line in a chart.

    Attributes:
        run: the run, by position.
        x, y: of equal length; a NaN in y leaves a gap.
    """

    run: int
    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True)
class Chart:
    """Lines over a common axis.

    Attributes:
        title, x_label, y_label: what stands there.
        lines: at most one a run.
        x_range: of the axis; y goes from 0 to `y_top`.
        y_top: the upper end of the y axis.
        x_ticks: where the axis is labelled, and with what.
        dots: whether the points themselves are drawn: they are few, and the lines only lead the eye.
        note: a sentence below.
    """

    title: str
    x_label: str
    y_label: str
    lines: tuple[Line, ...]
    x_range: tuple[float, float]
    y_top: float
    x_ticks: tuple[tuple[float, str], ...]
    dots: bool = False
    note: str = ""


@dataclass(frozen=True)
class Errors:
    """Where one run loses AP.

    Attributes:
        keypoints: keypoints of matched persons, by kind.
        by_keypoint: the same for every keypoint of the set, by its name.
        alone: AP gained if a kind were corrected, and no other; in percent points, by the kind's name.
        together: AP gained if a kind were corrected after those before it; in their order.
        false_positives: unmatched predictions.
        false_negatives: persons whom no prediction matches.
        advice: what there is most to gain from, in a sentence.
    """

    keypoints: Mapping[str, int]
    by_keypoint: Mapping[str, Mapping[str, int]]
    alone: Mapping[str, float] = field(default_factory=dict)
    together: Mapping[str, float] = field(default_factory=dict)
    false_positives: int | None = None
    false_negatives: int | None = None
    advice: str = ""


@dataclass(frozen=True)
class RunPart:
    """One run.

    Attributes:
        method, id: of the record.
        directory: where it lies.
        scores: statistics by name, in [0, 1]; negative where there was nothing to count.
        interval: bounds of the 95 % interval of AP, in [0, 1].
        protocol: in sentences, what is said of this run and not of all.
        speed: what, and how much.
        provenance: what, and the value.
        errors: None where they were not analysed.
        warnings: of scoring.
    """

    method: str
    id: str
    directory: str
    scores: Mapping[str, float]
    interval: tuple[float, float] | None = None
    protocol: tuple[str, ...] = ()
    speed: tuple[tuple[str, str], ...] = ()
    provenance: tuple[tuple[str, str], ...] = ()
    errors: Errors | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class DrawnPose:
    """A predicted person of an image.

    Attributes:
        keypoints: ``(K, 3)``, in pixels of the original image.
        person: the number of the matched person, equal in all panels of an image; None for false positives.
        kinds: of the K keypoints, one of `KINDS` or "" where there is nothing to compare with.
    """

    keypoints: FloatArray
    person: int | None = None
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True)
class Panel:
    """One run's predictions in one image.

    Attributes:
        run: the run, by position.
        words: their quality, in a few words.
        poses: the persons.
    """

    run: int
    words: str
    poses: tuple[DrawnPose, ...]


@dataclass(frozen=True)
class GalleryImage:
    """An image of the gallery.

    Attributes:
        image_id: as in the annotation file.
        name: the file's.
        width, height: in pixels.
        words: what is to be known of the image.
        read: gives ``(H, W, 3)`` uint8 RGB, or raises a CrowdbenchError.
        truth: ``(K, 3)`` of every annotated person.
        panels: one a run, in their order.
    """

    image_id: int | str
    name: str
    width: int
    height: int
    words: str
    read: Callable[[], NDArray[np.uint8]]
    truth: tuple[FloatArray, ...]
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Section:
    """A part of the gallery: its heading, how its images were chosen, and they."""

    title: str
    words: str
    pictures: tuple[GalleryImage, ...]


@dataclass(frozen=True)
class PageData:
    """All that a report shows.

    Attributes:
        dataset, split: what was measured on.
        extent: which part of the split, in words; empty for all of it.
        keypoints: the set of keypoints.
        runs: at least one, in the order of the command line.
        protocol: in sentences, what is true of all runs.
        notes: what a reader must know before comparing.
        notes_against_ranking: why these runs may not be ranked against each other; empty if they may.
        charts: the curves.
        gallery: its parts.
        made_by: this program and its version.
        command: that made the page.
    """

    dataset: str
    split: str
    keypoints: KeypointSet
    runs: tuple[RunPart, ...]
    protocol: tuple[str, ...] = ()
    extent: str = ""
    notes: tuple[str, ...] = ()
    notes_against_ranking: tuple[str, ...] = ()
    charts: tuple[Chart, ...] = ()
    gallery: tuple[Section, ...] = ()
    made_by: str = ""
    command: str = ""
