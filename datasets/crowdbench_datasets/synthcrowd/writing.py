"""A set of crowds on disk, in CrowdPose's format."""

import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2

from crowdbench.errors import DataError
from crowdbench.files import write_whole
from crowdbench.system.reading import LARGEST_DATA, read_json
from crowdbench.types import KeypointSet
from crowdbench_datasets.synthcrowd.parallel import draw_all
from crowdbench_datasets.synthcrowd.recipe import GENERATOR_VERSION, Recipe

# Six digits, and a range for each split: one folder can hold all of them.
FIRST_IMAGE_IDS = {"test": 100001, "val": 200001, "train": 300001}


def generate(
    recipe: Recipe,
    folder: Path,
    on_image: Callable[[], None] = lambda: None,
    *,
    workers: int | None = None,
) -> None:
    """Write a set: ``images/<id>.jpg`` and ``json/synthcrowd_<split>.json``, in CrowdPose's format.

    A new folder appears whole or not at all: it is filled beside its place and renamed. When another process
    was faster, its folder stands; both hold the same. To a folder with other splits the set is added, its
    annotation file last.

    Args:
        recipe: which set.
        folder: where; not there yet, or see `has_room`.
        on_image: called after every image.
        workers: processes that draw; see `parallel.draw_all`. Their number changes no byte.

    Raises:
        OSError: the disk is full or not writable.
        RunError: a process that draws died.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = folder.with_name(f".{folder.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        _fill(recipe, unfinished, on_image, workers)
        if has_room(recipe, folder):
            _add(unfinished, folder)
            return
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
        path = annotation_path(recipe, folder)
        info = read_json(path, dict[str, Any], "annotations", limit=LARGEST_DATA)["info"]
    except (DataError, KeyError):
        return False
    return bool(info == _info(recipe))


def has_room(recipe: Recipe, folder: Path) -> bool:
    """Whether a folder holds other splits of drawn crowds, and nothing else."""
    if not folder.is_dir() or {path.name for path in folder.iterdir()} != {"images", "json"}:
        return False
    others = {f"synthcrowd_{split}.json" for split in FIRST_IMAGE_IDS if split != recipe.split}
    held = {path.name for path in (folder / "json").iterdir()}
    return bool(held) and held <= others


def _add(unfinished: Path, folder: Path) -> None:
    for kind in ("images", "json"):
        for path in (unfinished / kind).iterdir():
            path.rename(folder / kind / path.name)


def _info(recipe: Recipe) -> dict[str, Any]:
    return {
        "description": "synthcrowd",
        "generator": GENERATOR_VERSION,
        "opencv": cv2.__version__,
        **asdict(recipe),
    }


def _fill(recipe: Recipe, folder: Path, on_image: Callable[[], None], workers: int | None) -> None:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    (folder / "images").mkdir(parents=True)
    # Closed here and now if the disk fills up: no process goes on drawing what nobody takes.
    with closing(draw_all(recipe, workers)) as pictures:
        for image_id, picture in enumerate(pictures, FIRST_IMAGE_IDS[recipe.split]):
            file_name = f"{image_id}.jpg"
            (folder / "images" / file_name).write_bytes(picture.jpeg)
            images.append(
                {
                    "id": image_id,
                    "file_name": file_name,
                    "width": recipe.width,
                    "height": recipe.height,
                    "crowdIndex": picture.crowd_index,
                }
            )
            for label in picture.labels:
                annotations.append({**label, "id": len(annotations) + 1, "image_id": image_id})
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
