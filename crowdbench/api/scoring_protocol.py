"""How a dataset is scored, as data that adapters provide and scoring engines follow."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from crowdbench.api.types import KeypointSet


@dataclass(frozen=True)
class ScoringProtocol:
    """The rules by which OKS-based AP is counted on a dataset.

    Attributes:
        name: the protocol's name in records and messages.
        keypoints: the keypoint set, with the sigmas of OKS.
        box_area_factor: the area of a person is this factor times box width times height; None takes the
            annotation's ``area`` field.
        area_ranges: name and bounds in square pixels, both inclusive, of the ranges scored besides "all".
        crowding_splits: name and bounds ``[low, high)`` on the images' crowdIndex, for ``AP_<name>``.
        statistics: names of the statistics, in the order of the official tool.
        labelled: the keypoints that annotation files label, where `keypoints` are only some of them.
    """

    name: str
    keypoints: KeypointSet
    statistics: tuple[str, ...]
    box_area_factor: float | None = None
    area_ranges: tuple[tuple[str, float, float], ...] = ()
    crowding_splits: tuple[tuple[str, float, float], ...] = ()
    labelled: KeypointSet | None = None

    @property
    def annotated(self) -> KeypointSet:
        """The keypoints that annotation files label."""
        return self.keypoints if self.labelled is None else self.labelled

    def on_keypoints(self, names: Sequence[str]) -> "ScoringProtocol":
        """The same rules on some of the keypoints: the ground truth is read as if the others had no label.

        A person of whom none of these is labelled does not count.
        """
        kept = self.annotated.only(names)
        name = f"{self.name}, {kept.count} of {self.annotated.count} keypoints"
        return replace(self, name=name, keypoints=kept, labelled=self.annotated)
