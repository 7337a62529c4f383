"""synthcrowd as a dataset."""

import logging
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Self

from crowdbench.api.boxes import BoxSource
from crowdbench.api.dataset import split_at_crowding
from crowdbench.api.extent import SplitFacts
from crowdbench.coco.dataset import CocoFormatDataset
from crowdbench.errors import DataError
from crowdbench.system.files import cache
from crowdbench.system.files.reading import LARGEST_DATA, read_json
from crowdbench_datasets.keypoint_sets import COCO_17, CROWDPOSE_14
from crowdbench_datasets.scoring_protocols import crowd_protocol
from crowdbench_datasets.synthcrowd.export import generate, is_whole, recipe_of
from crowdbench_datasets.synthcrowd.recipe import SPLITS, Recipe, standard

log = logging.getLogger("crowdbench")

# Between two lines that say how far the drawing is.
REPORT_EVERY_S = 5.0


def cache_folder() -> Path:
    """The folder of generated sets, in the user's cache; raises MissingDataError if there is no cache."""
    return cache.cache_folder() / "synthcrowd"


class SynthCrowd(CocoFormatDataset):
    """Crowds of drawn people, generated on the machine; scored by CrowdPose's rules.

    Without a root, the standard set of the split is generated into the user's cache on first use. With a
    root, the set that ``crowdbench data synth`` wrote there is read, with 14 or with 17 keypoints.
    """

    name = "synthcrowd"
    splits = SPLITS
    default_split = "test"
    keypoints = CROWDPOSE_14
    protocol = crowd_protocol("synthcrowd", CROWDPOSE_14)
    annotation_files = {split: (f"json/synthcrowd_{split}.json",) for split in splits}  # noqa: RUF012

    def __init__(self, split: str, root: Path, annotation_file: Path, boxes: BoxSource) -> None:
        if _labels_17(annotation_file):
            self.protocol = crowd_protocol("synthcrowd-17", COCO_17)
        super().__init__(split, root, annotation_file, boxes)

    @classmethod
    def open(cls, split: str, root: Path | None, boxes: BoxSource, annotations: Path | None = None) -> Self:
        """Open a set, generating the standard one if it is not there yet."""
        if root is None and annotations is None:
            root = in_cache(standard(split))
        return super().open(split, root, boxes, annotations)

    @classmethod
    def at_crowding(cls, level: float, split: str, boxes: BoxSource) -> Self:
        """Open the split's scenes and people at one level of crowding, drawing them if need be."""
        dataset = cls.open(split, in_cache(standard(split, crowding=level)), boxes)
        dataset.split = split_at_crowding(split, level)
        return dataset

    @classmethod
    def facts(cls, split: str, annotations: Path) -> SplitFacts:
        """A set drawn by the standard recipe is the split itself; all others are custom."""
        found = recipe_of(annotations)
        if found is None or found.split not in cls.splits:
            return SplitFacts(is_own=True)
        whole = standard(found.split, found.crowding)
        called = whole.split if whole.crowding is None else split_at_crowding(whole.split, whole.crowding)
        return SplitFacts(whole.images, is_own=found != whole or called != split)

    @classmethod
    def roots(cls, root: Path | None) -> list[Path]:
        """The given folder, or the cache."""
        if root is not None:
            return [root]
        return [cache_folder() / standard(split).name for split in cls.splits]


def in_cache(recipe: Recipe) -> Path:
    """The folder of a set in the cache; drawn if need be, safely by many processes at once."""
    folder = cache_folder() / recipe.name
    if not is_whole(recipe, folder):
        generate(recipe, folder, _now_and_then(recipe.images), on_begin=partial(_say, recipe, folder))
    return folder


def _say(recipe: Recipe, folder: Path) -> None:
    log.info("synthcrowd: drawing %d images, once, into %s", recipe.images, folder)


def _now_and_then(images: int) -> Callable[[], None]:
    done, said = 0, time.monotonic()
    begun = said

    def report() -> None:
        nonlocal done, said
        done += 1
        if done == images:
            log.info("synthcrowd: drew %d images in %.0f s", images, time.monotonic() - begun)
        elif time.monotonic() - said > REPORT_EVERY_S:
            log.info("synthcrowd: %d of %d images", done, images)
            said = time.monotonic()

    return report


def _labels_17(annotation_file: Path) -> bool:
    # A broken file is the reader's to complain about.
    try:
        content = read_json(annotation_file, dict[str, Any], "annotations", limit=LARGEST_DATA)
        return len(content["categories"][0]["keypoints"]) == COCO_17.count
    except (DataError, KeyError, IndexError, TypeError):
        return False
