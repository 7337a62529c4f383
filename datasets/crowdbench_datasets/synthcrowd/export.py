"""A set of crowds on disk, in CrowdPose's format."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2

from crowdbench.api.types import KeypointSet
from crowdbench.errors import CrowdbenchError, DataError
from crowdbench.run_store.lease import Lease, Waiting, in_turn
from crowdbench.run_store.wait_notice import WaitNotice
from crowdbench.system.files.leftovers import is_temporary, remove_leftovers
from crowdbench.system.files.os_errors import writing
from crowdbench.system.files.reading import LARGEST_DATA, read_bytes, read_json
from crowdbench.system.files.writing import temporary_beside, write_whole
from crowdbench_datasets.synthcrowd.parallel import draw_all
from crowdbench_datasets.synthcrowd.recipe import GENERATOR_VERSION, Recipe

# Six digits, and a range for each split: one folder can hold all of them.
_KEEPING = ".drawing"  # a folder in which the one that draws shows signs of life
FIRST_IMAGE_IDS = {"test": 100001, "val": 200001, "train": 300001}


def generate(
    recipe: Recipe,
    folder: Path,
    on_image: Callable[[], None] = lambda: None,
    *,
    workers: int | None = None,
    on_begin: Callable[[], None] = lambda: None,
) -> None:
    """Write a set: ``images/<id>.jpg`` and ``json/synthcrowd_<split>.json``, in CrowdPose's format.

    One process draws at a time: a second one waits for the first, and says so. A new folder appears whole or
    not at all: it is filled beside its place and renamed. To a folder that is there the set is added, its
    annotation file last.

    Args:
        recipe: which set.
        folder: where; not there yet, empty, or see `has_room`.
        on_image: called after every image.
        workers: processes that draw; see `parallel.draw_all`. Their number changes no byte.
        on_begin: called if this process draws it.

    Raises:
        DataError: something else is there.
        MachineError: the disk is full or not writable.
        RunError: a process that draws died.
    """
    folder = folder.absolute()
    keeping = folder / _KEEPING if folder.is_dir() else folder.with_name(f".{folder.name}{_KEEPING}")
    waiting = Waiting(lambda: is_whole(recipe, folder), WaitNotice("set of images"))
    try:
        with in_turn(keeping, waiting) as writer:
            if writer is None or is_whole(recipe, folder):
                return
            on_begin()
            _draw(recipe, folder, writer, on_image, workers)
    finally:
        with suppress(OSError):  # the next one is using it
            keeping.rmdir()


def _draw(
    recipe: Recipe, folder: Path, writer: Lease, on_image: Callable[[], None], workers: int | None
) -> None:
    require_room(recipe, folder)
    # On the file system of the set, and where this process may write: beside a folder it may not.
    unfinished = temporary_beside(folder / recipe.name if folder.is_dir() else folder)
    remove_leftovers(unfinished.parent)
    drawn = 0

    def report() -> None:
        nonlocal drawn
        drawn += 1
        writer.report(drawn, recipe.images, "images")
        on_image()

    try:
        _fill(recipe, unfinished, report, workers)
        writer.check_held()
        with writing(folder):
            if folder.is_dir():
                _add(unfinished, folder)
            else:
                unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def require_room(recipe: Recipe, folder: Path) -> None:
    """Raise DataError if the folder is neither empty nor has room for the set; see `has_room`."""
    try:
        is_free = not folder.exists() or (
            folder.is_dir() and (all(map(_is_own, folder.iterdir())) or has_room(recipe, folder))
        )
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be looked into ({error.strerror}). Name another folder."
        ) from error
    if not is_free:
        raise DataError(f"{folder}: something else is there. Name a new folder, or remove this one.")


def _is_own(path: Path) -> bool:
    return path.name == _KEEPING or is_temporary(path)


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


def recipe_of(annotations: Path) -> Recipe | None:
    """What a set was drawn by, with this version of the generator; None if the file does not say."""
    try:
        info = dict(json.loads(read_bytes(annotations, "annotations"))["info"])
        if info.pop("generator", None) != GENERATOR_VERSION:
            return None
        return Recipe(
            **{name: value for name, value in info.items() if name not in ("description", "opencv")}
        )
    except (CrowdbenchError, ValueError, KeyError, TypeError, RecursionError):
        return None


def has_room(recipe: Recipe, folder: Path) -> bool:
    """Whether a folder holds other splits of drawn crowds, and nothing else."""
    if not folder.is_dir():
        return False
    if {path.name for path in folder.iterdir() if not _is_own(path)} != {"images", "json"}:
        return False
    others = {f"synthcrowd_{split}.json" for split in FIRST_IMAGE_IDS if split != recipe.split}
    held = {path.name for path in (folder / "json").iterdir()}
    return bool(held) and held <= others


def _add(unfinished: Path, folder: Path) -> None:
    for kind in ("images", "json"):
        (folder / kind).mkdir(exist_ok=True)
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
    with writing(folder):
        (folder / "images").mkdir(parents=True)
    # Closed at once if the disk fills up, so that no worker keeps drawing.
    with closing(draw_all(recipe, workers)) as pictures:
        for image_id, picture in enumerate(pictures, FIRST_IMAGE_IDS[recipe.split]):
            file_name = f"{image_id}.jpg"
            with writing(folder / "images" / file_name):
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
