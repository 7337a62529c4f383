"""The section "Implausible results" of docs/bad-input.md."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.bad_input_cases import Cases

from crowdbench.api.types import FloatArray
from crowdbench_datasets.keypoint_sets import COCO_17

case = Cases("Implausible results")
IMAGES = 40


def score(folder: Path, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> list[str]:
    """The command for the results of a fair method, after a change; a person an image."""
    rng = np.random.default_rng(3)
    persons, entries = [], []
    for number in range(1, IMAGES + 1):
        corner, side = rng.uniform(30, 300, 2), rng.uniform(90, 150)
        points = corner + rng.uniform(0, side, (17, 2))
        error = rng.uniform(1, 12)
        common = {"image_id": number, "category_id": 1, "bbox": [*corner.tolist(), side, side]}
        labelled = np.column_stack([points, np.full(17, 2.0)]).ravel().tolist()
        counted = {"id": number, "iscrowd": 0, "num_keypoints": 17, "area": 0.6 * side**2}
        persons.append({**common, **counted, "keypoints": labelled})
        found = np.column_stack([points + rng.normal(0, error, (17, 2)), np.ones(17)])
        entries.append({**common, "keypoints": found.ravel().tolist(), "score": 1 / (1 + error)})
    images = [{"id": n, "file_name": f"{n}.jpg", "width": 640, "height": 480} for n in range(1, IMAGES + 1)]
    truth = {"images": images, "annotations": persons, "categories": [{"id": 1, "name": "person"}]}
    (folder / "truth.json").write_text(json.dumps(truth))
    (folder / "results.json").write_text(json.dumps(change(entries)))
    return ["score", "results.json", "coco", "--annotations", "truth.json"]


def moved(folder: Path, change: Callable[[FloatArray], FloatArray]) -> list[str]:
    """The command for keypoints in another frame; ``change`` gets and gives ``(17, 2)``."""

    def each(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for entry in entries:
            points = np.reshape(entry["keypoints"], (17, 3))
            entry["keypoints"] = np.column_stack([change(points[:, :2]), points[:, 2]]).ravel().tolist()
        return entries

    return score(folder, each)


@case("x-and-y-exchanged")
def _(folder: Path) -> list[str]:
    return moved(folder, lambda points: points[:, ::-1])


@case("keypoints-normalized")
def _(folder: Path) -> list[str]:
    return moved(folder, lambda points: points / (640, 480))


@case("keypoints-of-a-larger-picture")
def _(folder: Path) -> list[str]:
    return moved(folder, lambda points: 3 * points)


@case("keypoints-all-zero")
def _(folder: Path) -> list[str]:
    return moved(folder, lambda points: 0 * points)


@case("left-for-right")
def _(folder: Path) -> list[str]:
    mirror = np.arange(17)
    for left, right in COCO_17.flip_pairs:
        mirror[[left, right]] = right, left
    return moved(folder, lambda points: points[mirror])


@case("scores-negated")
def _(folder: Path) -> list[str]:
    return score(folder, lambda entries: [{**e, "score": -e["score"]} for e in entries])


@case("scores-all-equal")
def _(folder: Path) -> list[str]:
    def equal(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        doubled = [{**e, "image_id": e["image_id"] % IMAGES + 1} for e in entries]
        return [{**e, "score": 1} for e in [*entries, *doubled]]

    return score(folder, equal)


@case("boxes-as-corners")
def _(folder: Path) -> list[str]:
    def corners(x: float, y: float, width: float, height: float) -> list[float]:
        return [x, y, x + width, y + height]

    return score(folder, lambda entries: [{**e, "bbox": corners(*e["bbox"])} for e in entries])


@case("predictions-for-few-images")
def _(folder: Path) -> list[str]:
    return score(folder, lambda entries: entries[::10])


def test_every_row_has_a_case() -> None:
    case.check_complete()


@pytest.mark.parametrize("name", case.makers)
def test_the_command_says_what_the_page_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = case.check(name, tmp_path, monkeypatch, capsys)
    assert "scored by hotcoco" in said
