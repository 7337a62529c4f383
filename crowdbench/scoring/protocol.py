"""How a dataset is scored, as data: adapters state it, engines obey it."""

from dataclasses import dataclass

from crowdbench.types import KeypointSet


@dataclass(frozen=True)
class ScoringProtocol:
    """The rules by which OKS-based AP is counted on a dataset.

    Attributes:
        name: names the protocol in records and messages.
        keypoints: the keypoint set, with the sigmas of OKS.
        box_area_factor: the area of a person is this factor times box width times height; None takes the
            annotation's ``area`` field.
        area_ranges: name and bounds in square pixels, both inclusive, of the ranges scored beside "all".
        crowding_splits: name and bounds ``[low, high)`` on the images' crowdIndex, for ``AP_<name>``.
        statistics: names of the statistics, in the order of the official tool.
    """

    name: str
    keypoints: KeypointSet
    statistics: tuple[str, ...]
    box_area_factor: float | None = None
    area_ranges: tuple[tuple[str, float, float], ...] = ()
    crowding_splits: tuple[tuple[str, float, float], ...] = ()
