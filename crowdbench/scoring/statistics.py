"""Compute the published statistics from precision and recall curves."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from crowdbench.api.scoring_protocol import ScoringProtocol
from crowdbench.api.types import FloatArray

if TYPE_CHECKING:
    from crowdbench.scoring.problem import Problem
from crowdbench.api.types import IntArray

THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""OKS thresholds of COCO (cocodataset.org/#keypoints-eval)."""
MAX_DETECTIONS = 20
"""The best-scored predictions of an image that count (same page)."""
SPLIT_DECIMALS = 4
"""CrowdPose's tool rounds the AP of a crowding split to four decimals; published numbers are of that kind."""


@dataclass(frozen=True, eq=False)
class Curves:
    """An engine's results on a set of images, for A area ranges: "all", then the protocol's.

    Attributes:
        precision: ``(10, 101, A)`` float64 at OKS thresholds .5, .55, ... .95 and recalls 0, .01, ... 1;
            -1 where there is no person to find.
        recall: ``(10, A)`` float64, likewise.
    """

    precision: FloatArray
    recall: FloatArray


@dataclass(frozen=True)
class Statistic:
    """The meaning of a statistic's name.

    Attributes:
        measure: average precision, or average recall.
        threshold: one OKS threshold; None averages over all.
        area: position in the curves' area ranges.
        split: the crowding split that it is restricted to.
    """

    measure: Literal["AP", "AR"]
    threshold: float | None = None
    area: int = 0
    split: str | None = None


def statistic(name: str, protocol: ScoringProtocol) -> Statistic:
    """Read a name: ``AP``, ``AR75``, ``AP_<crowding split>``, ``AR_<area range>_area``."""
    head, _, tail = name.partition("_")
    measure: Literal["AP", "AR"] = "AP" if head.startswith("AP") else "AR"
    digits = head.removeprefix(measure)
    threshold = int(digits) / 100 if digits else None
    areas = ["", *(f"{range_name}_area" for range_name, _, _ in protocol.area_ranges)]
    if tail in areas:
        return Statistic(measure, threshold, area=areas.index(tail))
    if tail not in [split for split, _, _ in protocol.crowding_splits]:
        raise ValueError(f"{protocol.name}: {name} names neither an area range nor a crowding split of it")
    return Statistic(measure, threshold, split=tail)


def area_bounds(protocol: ScoringProtocol) -> list[tuple[float, float]]:
    """Bounds in square pixels, both inclusive: of "all" (0 to 1e5 squared, COCO's), then the protocol's."""
    return [(0.0, 1e10), *((low, high) for _, low, high in protocol.area_ranges)]


def value(curves: Curves, what: Statistic) -> float:
    """Average a curve as COCO's summary does; -1 where there is no person to find."""
    table = curves.precision[..., what.area] if what.measure == "AP" else curves.recall[:, what.area]
    if what.threshold is not None:
        table = table[np.isclose(THRESHOLDS, what.threshold)]
    counted: NDArray[np.float64] = table[table > -1]
    return float(counted.mean()) if counted.size else -1.0


def trivial_curves(problem: "Problem", images: "IntArray") -> Curves | None:
    """The curves of images without predictions or without persons, where engines fail or disagree."""
    of_images = np.isin(problem.person_images, images) & problem.counted
    if of_images.any() and np.isin(problem.prediction_images, images).any():
        return None
    bounds = area_bounds(problem.protocol)
    areas = problem.persons.areas[of_images]
    found = [0.0 if ((areas >= low) & (areas <= high)).any() else -1.0 for low, high in bounds]
    shape = (len(THRESHOLDS), 101, len(bounds))
    return Curves(np.broadcast_to(found, shape), np.broadcast_to(found, (shape[0], shape[2])))


def images_of(what: Statistic, problem: "Problem") -> "IntArray":
    """The images that a statistic is computed on."""
    return problem.split(what.split) if what.split else np.arange(1, len(problem.images.ids) + 1)


def trivial_statistics(problem: "Problem") -> dict[str, float]:
    """The statistics of a problem without predictions: 0, or -1 where there is no person to find."""
    found = {}
    for name in problem.protocol.statistics:
        what = statistic(name, problem.protocol)
        curves = trivial_curves(problem, images_of(what, problem))
        assert curves is not None
        found[name] = value(curves, what)
    return found


def rounded(name: str, number: float, protocol: ScoringProtocol) -> float:
    """The official form of a statistic: the AP of a crowding split has four decimals."""
    return round(number, SPLIT_DECIMALS) if statistic(name, protocol).split else number
