"""Which set of crowds: a few numbers that determine every pixel."""

from dataclasses import dataclass

import cv2
import numpy as np

from crowdbench.api.dataset import level_name
from crowdbench.api.types import KeypointSet
from crowdbench.errors import SettingsError, UnknownNameError
from crowdbench_datasets.keypoint_sets import COCO_17, CROWDPOSE_14
from crowdbench_datasets.synthcrowd.render import Crowd, render

# Raised whenever any pixel or label changes: sets of another version are never mixed up with these.
GENERATOR_VERSION = 2
SPLITS = ("train", "val", "test")
KEYPOINT_SETS = {14: CROWDPOSE_14, 17: COCO_17}
MOST_PEOPLE = 10
# The standard sets: enough to train a small network on, and to score it without waiting.
STANDARD_IMAGES = {"train": 2000, "val": 100, "test": 200}
# Of each level of controlled crowding.
IMAGES_AT_A_LEVEL = 100


@dataclass(frozen=True)
class Recipe:
    """What determines a set.

    Attributes:
        split: train, val and test never share an image.
        images: how many; `standard` knows the usual numbers. The first images of a larger set are those of a
            smaller one.
        crowding: 0 (everyone apart) to 1; None draws a level for each image.
        people: figures in an image; None draws 2 to 10, 6 on average.
        keypoints: 14 (CrowdPose's) or 17 (COCO's).
        width, height: of the images, in pixels.
        seed: any non-negative integer.
    """

    split: str = "test"
    images: int = STANDARD_IMAGES["test"]
    crowding: float | None = None
    people: int | None = None
    keypoints: int = 14
    width: int = 512
    height: int = 384
    seed: int = 0

    def __post_init__(self) -> None:
        faults = {
            "split is one of train, val, test": self.split in SPLITS,
            "images is at least 1": self.images >= 1,
            "crowding lies in 0..1": self.crowding is None or 0 <= self.crowding <= 1,
            "people lies in 1..60": self.people is None or 1 <= self.people <= 60,
            "keypoints is 14 or 17": self.keypoints in KEYPOINT_SETS,
            "width and height lie in 64..4096": 64
            <= min(self.width, self.height)
            <= max(self.width, self.height)
            <= 4096,
            "seed is not negative": self.seed >= 0,
        }
        for rule, holds in faults.items():
            if not holds:
                raise SettingsError(f"synthcrowd: {rule}; got {self}.")

    @property
    def keypoint_set(self) -> KeypointSet:
        """The set that is labelled."""
        return KEYPOINT_SETS[self.keypoints]

    @property
    def name(self) -> str:
        """A folder's name: equal for equal sets only."""
        crowding = "mixed" if self.crowding is None else level_name(self.crowding)
        people = "2-10" if self.people is None else str(self.people)
        return (
            f"v{GENERATOR_VERSION}-cv{cv2.__version__}-{self.split}-n{self.images}-c{crowding}-p{people}"
            f"-k{self.keypoints}-{self.width}x{self.height}-s{self.seed}"
        )

    def crowd(self, index: int) -> Crowd:
        """Image number ``index``, from 0: the same whichever images were drawn before."""
        entropy = (self.seed, SPLITS.index(self.split), index)
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))
        drawn_people, drawn_crowding = 2 + int(rng.binomial(MOST_PEOPLE - 2, 0.5)), float(rng.random())
        return render(
            rng,
            (self.width, self.height),
            drawn_people if self.people is None else self.people,
            drawn_crowding if self.crowding is None else self.crowding,
        )


def standard(split: str, crowding: float | None = None) -> Recipe:
    """The set that everybody means: of a split as it is, or of a split at one level of crowding.

    A level shows the scenes and the people of the split's first images, placed nearer to or farther from each
    other.

    Raises:
        UnknownNameError: no such split.
        SettingsError: the level is not in 0..1.
    """
    if split not in SPLITS:
        raise UnknownNameError("split of synthcrowd", split, SPLITS)
    if crowding is None:
        return Recipe(split=split, images=STANDARD_IMAGES[split])
    # 1, 1.0 and -0.0 would be written in other ways and give files of other hashes.
    return Recipe(split=split, images=IMAGES_AT_A_LEVEL, crowding=float(crowding) + 0.0)
