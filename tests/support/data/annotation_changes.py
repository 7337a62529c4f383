"""Changes to small annotation files, and commands that read them, for the cases of docs/bad-input.md."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from crowdbench_datasets.keypoint_sets import COCO_17, CROWDPOSE_14
from support.data import coco_files

Content = dict[str, Any]
Change = Callable[[Content], object]
PEOPLE = 24


def person(content: Content, at: int = 0) -> Content:
    found: Content = content["annotations"][at]
    return found


def images(content: Content, **fields: Any) -> None:
    for image in content["images"]:
        image.update(fields)


def persons(content: Content, **fields: Any) -> None:
    for entry in content["annotations"]:
        entry.update(fields)


def crowd(content: Content) -> None:
    """Two dozen different persons, in boxes all over images of 640x480."""
    draw = np.random.default_rng(1)
    images(content, width=640, height=480)
    count = len(content["annotations"][0]["keypoints"]) // 3
    content["annotations"] = []
    for number in range(PEOPLE):
        size = draw.uniform(60, 200, 2)
        corner = draw.uniform(0, 1, 2) * ([640, 480] - size)
        points = corner + draw.uniform(0, 1, (count, 2)) * size
        entry = coco_files.person(100 + number, 1 + number % len(content["images"]), count)
        entry["bbox"] = [round(float(v), 1) for v in (*corner, *size)]
        entry["keypoints"] = [v for x, y in points.tolist() for v in (round(x, 1), round(y, 1), 2)]
        entry["area"] = float(size.prod()) / 2
        content["annotations"].append(entry)


def named(content: Content) -> Content:
    """The category, with the names of its keypoints."""
    count = len(content["annotations"][0]["keypoints"]) // 3
    names = CROWDPOSE_14.keypoints if count == CROWDPOSE_14.count else COCO_17.keypoints
    category: Content = content["categories"][0]
    category["keypoints"] = list(names)
    return category


def crowdpose(folder: Path, change: Change) -> None:
    coco_files.write(folder / "data", "json/crowdpose_test.json", change=change)


def coco(folder: Path, change: Change) -> None:
    path = "annotations/person_keypoints_val2017.json"
    coco_files.write(folder / "data", path, "images/val2017", 17, change=change)


def run(dataset: str, *more: str) -> list[str]:
    return ["run", "hrnet-tiny", dataset, "--root", "data", "--weights", "none", "--workers", "0", *more]


def check(dataset: str, *more: str) -> list[str]:
    split = "test" if dataset == "crowdpose" else "val2017"
    return ["data", "check", dataset, "--root", "data", "--split", split, "--no-images", *more]


def score(dataset: str, folder: Path) -> list[str]:
    """Score predictions that are the annotated persons themselves."""
    (path,) = list((folder / "data").rglob("*.json"))
    entries = [
        {
            "image_id": entry["image_id"],
            "category_id": entry["category_id"],
            "keypoints": entry["keypoints"],
            "score": 0.5 + 0.001 * number,
        }
        for number, entry in enumerate(json.loads(path.read_text())["annotations"])
    ]
    (folder / "predictions.json").write_text(json.dumps(entries))
    return ["score", "predictions.json", dataset, "--annotations", str(path)]


def as_text(folder: Path, before: str, after: str) -> None:
    """Change the text of the annotation file, where JSON cannot say it."""
    (path,) = list((folder / "data").rglob("*.json"))
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))
