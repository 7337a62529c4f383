"""Which set of crowds: a few numbers that determine every pixel, and the files they make."""

import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from crowdbench.errors import SettingsError
from crowdbench.files import write_whole
from crowdbench.types import KeypointSet
from crowdbench_datasets.keypoint_sets import COCO_17, CROWDPOSE_14
from crowdbench_datasets.synthcrowd.annotation import annotate
from crowdbench_datasets.synthcrowd.render import Crowd, render

# Raised whenever any pixel or label changes: sets of another version are never mixed up with these.
GENERATOR_VERSION = 1
SPLITS = ("train", "val", "test")
KEYPOINT_SETS = {14: CROWDPOSE_14, 17: COCO_17}
FIRST_IMAGE_ID = 100001
JPEG_QUALITY = 95
MOST_PEOPLE = 10


@dataclass(frozen=True)
class Recipe:
    """What determines a set.

    Attributes:
        split: train, val and test never share an image.
        images: how many. The first images of a larger set are those of a smaller one.
        crowding: 0 (everyone apart) to 1; None draws a level for each image.
        people: figures in an image; None draws 2 to 10, 6 on average.
        keypoints: 14 (CrowdPose's) or 17 (COCO's).
        width, height: of the images, in pixels.
        seed: any non-negative integer.
    """

    split: str = "test"
    images: int = 64
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
        crowding = "mixed" if self.crowding is None else f"{self.crowding:g}"
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


def generate(recipe: Recipe, folder: Path, on_image: Callable[[], None] = lambda: None) -> None:
    """Write a set: ``images/<id>.jpg`` and ``json/synthcrowd_<split>.json``, in CrowdPose's format.

    The folder appears whole or not at all: it is filled beside its place and renamed. When another process
    was faster, its folder stands; both hold the same.

    Raises:
        OSError: the disk is full or not writable.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = folder.with_name(f".{folder.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        _fill(recipe, unfinished, on_image)
        try:
            unfinished.rename(folder)
        except OSError:
            if not is_whole(recipe, folder):
                raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def annotation_path(recipe: Recipe, folder: Path) -> Path:
    """The annotation file of a set in a folder."""
    return folder / "json" / f"synthcrowd_{recipe.split}.json"


def is_whole(recipe: Recipe, folder: Path) -> bool:
    """Whether a folder holds exactly this set. The annotation file is written last."""
    try:
        info = json.loads(annotation_path(recipe, folder).read_bytes())["info"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return bool(info == _info(recipe))


def _info(recipe: Recipe) -> dict[str, Any]:
    return {
        "description": "synthcrowd",
        "generator": GENERATOR_VERSION,
        "opencv": cv2.__version__,
        **asdict(recipe),
    }


def _fill(recipe: Recipe, folder: Path, on_image: Callable[[], None]) -> None:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    (folder / "images").mkdir(parents=True)
    for index in range(recipe.images):
        image_id = FIRST_IMAGE_ID + index
        crowd = recipe.crowd(index)
        file_name = f"{image_id}.jpg"
        index_of_crowd, labels = annotate(crowd, recipe.keypoint_set, image_id, len(annotations) + 1)
        encoded = cv2.imencode(".jpg", crowd.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
        (folder / "images" / file_name).write_bytes(encoded.tobytes())
        images.append(
            {
                "id": image_id,
                "file_name": file_name,
                "width": recipe.width,
                "height": recipe.height,
                "crowdIndex": index_of_crowd,
            }
        )
        annotations += labels
        on_image()
    content = {
        "info": _info(recipe),
        "images": images,
        "annotations": annotations,
        "categories": [_category(recipe.keypoint_set)],
    }
    write_whole(annotation_path(recipe, folder), json.dumps(content).encode())


def _category(keypoints: KeypointSet) -> dict[str, Any]:
    skeleton: Iterator[list[int]] = ([first + 1, second + 1] for first, second in keypoints.skeleton)
    return {
        "id": 1,
        "name": "person",
        "supercategory": "person",
        "keypoints": list(keypoints.keypoints),
        "skeleton": list(skeleton),
    }
