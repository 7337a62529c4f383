"""synthcrowd as a dataset."""

import json
import os
from pathlib import Path
from typing import Self

import platformdirs

from crowdbench.boxes import BoxSource
from crowdbench.coco_format import CocoFormatDataset
from crowdbench_datasets.keypoint_sets import COCO_17, CROWDPOSE_14
from crowdbench_datasets.protocols import crowd_protocol
from crowdbench_datasets.synthcrowd.recipe import SPLITS, Recipe, annotation_path, generate, is_whole


def cache_folder() -> Path:
    """Where sets are kept: ``$CROWDBENCH_CACHE``, or the user's cache."""
    chosen = os.environ.get("CROWDBENCH_CACHE")
    return (Path(chosen) if chosen else platformdirs.user_cache_path("crowdbench")) / "synthcrowd"


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
            root = standard_set(split)
        return super().open(split, root, boxes, annotations)

    @classmethod
    def roots(cls, root: Path | None) -> list[Path]:
        """The given folder, or the cache."""
        if root is not None:
            return [root]
        return [cache_folder() / Recipe(split=split).name for split in cls.splits]


def standard_set(split: str) -> Path:
    """The folder of a split's standard set; generated if need be, safely by many processes at once."""
    recipe = Recipe(split=split)
    folder = cache_folder() / recipe.name
    if not is_whole(recipe, folder):
        generate(recipe, folder)
    assert annotation_path(recipe, folder).is_file()
    return folder


def _labels_17(annotation_file: Path) -> bool:
    # A broken file is the reader's to complain about.
    try:
        categories = json.loads(annotation_file.read_bytes())["categories"]
        return len(categories[0]["keypoints"]) == COCO_17.count
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return False
