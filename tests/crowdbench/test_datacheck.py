"""``crowdbench data check`` finds each fault, names the place, and decides whether the benchmark is wrong."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import coco_files
import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from crowdbench.cli import cli
from crowdbench.coco_format import PublishedCounts
from crowdbench_datasets.crowdpose import CrowdPose

Change = Callable[[dict[str, Any]], object]


@pytest.fixture(autouse=True)
def small_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    """Published counts that a dataset of three images meets."""
    monkeypatch.setattr(CrowdPose, "published", {"test": PublishedCounts(3, None, "a paper")})


def check(root: Path, *more: str) -> Result:
    return CliRunner().invoke(cli, ["data", "check", "crowdpose", "--root", str(root), *more])


def damaged(root: Path, change: Change = lambda _: None) -> Path:
    return coco_files.write(root, "json/crowdpose_test.json", change=change)


def test_a_good_dataset_has_no_error_and_status_0(tmp_path: Path) -> None:
    result = check(damaged(tmp_path))
    assert result.exit_code == 0, result.output
    assert "3 images, as published (a paper)" in result.output
    assert "the published number is not known" in result.output
    assert re.search("sha256 [0-9a-f]{64}", result.output)
    assert result.output.endswith("0 errors, 0 warnings.\n")


def first(content: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = content["annotations"][0]
    return entry


@pytest.mark.parametrize(
    ("change", "sign", "severity"),
    [
        pytest.param(lambda c: c["images"].pop(), "2 images, published are 3", "error", id="too few"),
        pytest.param(
            lambda c: first(c).update(id=12), "annotation 12: the id stands 2 times", "error", id="ids"
        ),
        pytest.param(
            lambda c: c["images"][0].update(id=2), "image 2: the id stands 2 times", "error", id="image ids"
        ),
        pytest.param(
            lambda c: c["images"][0].pop("crowdIndex"), "image 1: has no crowdIndex", "error", id="crowd"
        ),
        pytest.param(
            lambda c: first(c).pop("bbox"), "annotation 11: its box is not four", "error", id="no box"
        ),
        pytest.param(
            lambda c: first(c).update(bbox=[5, 5, 0, 9]),
            "annotation 11: its box has no area",
            "warning",
            id="flat",
        ),
        pytest.param(
            lambda c: first(c).update(keypoints=[str(v) for v in first(c)["keypoints"]]),
            "annotation 11: keypoints are strings",
            "warning",
            id="strings",
        ),
        pytest.param(
            lambda c: first(c).update(keypoints=[1]), "annotation 11: 1 keypoint numbers", "error", id="short"
        ),
        pytest.param(
            lambda c: first(c).update(keypoints=["a"] * 42),
            "annotation 11: a keypoint is no",
            "error",
            id="words",
        ),
        pytest.param(
            lambda c: first(c)["keypoints"].__setitem__(0, 500),
            "1 labelled keypoints outside",
            "warning",
            id="out",
        ),
        pytest.param(
            lambda c: first(c).update(image_id=77),
            "annotation 11: its image 77 is not",
            "warning",
            id="stranger",
        ),
        pytest.param(lambda c: c["images"][0].update(width=50), "annotated as 50x40", "error", id="size"),
        pytest.param(
            lambda c: c["images"][0].update(width=40, height=60),
            "width and height swapped",
            "error",
            id="swap",
        ),
        pytest.param(
            lambda c: c["images"][0].update(file_name="gone.jpg"), "missing", "error", id="no image"
        ),
    ],
)
def test_every_fault_is_one_line_with_place_and_severity(
    tmp_path: Path, change: Change, sign: str, severity: str
) -> None:
    result = check(damaged(tmp_path, change))
    lines = [line for line in result.output.splitlines() if sign in line]
    assert lines, result.output
    assert lines[0].startswith(severity)
    assert result.exit_code == (1 if severity == "error" else 0)


def test_broken_images_are_named(tmp_path: Path) -> None:
    damaged(tmp_path)
    images = tmp_path / "images"
    noise = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    cv2.imwrite(str(images / "000001.jpg"), noise)
    whole = (images / "000001.jpg").read_bytes()
    (images / "000001.jpg").write_bytes(whole[: len(whole) // 2])
    (images / "000002.jpg").write_bytes(b"<html>404</html>")
    (images / "000003.jpg").write_bytes(b"")
    result = check(tmp_path)
    assert result.exit_code == 1
    assert re.search(r"000001\.jpg: image 1: cut off", result.output)
    assert re.search(r"000002\.jpg: image 2: not an image", result.output)
    assert re.search(r"000003\.jpg: image 3: not an image", result.output)
    assert check(tmp_path, "--no-images").exit_code == 0


def test_swapped_sizes_that_the_loader_mends_are_a_warning(tmp_path: Path) -> None:
    def swapped(content: dict[str, Any]) -> None:
        for entry, image in zip(content["annotations"], content["images"], strict=True):
            entry["keypoints"][0] = 55
            image["width"], image["height"] = 40, 60

    result = check(damaged(tmp_path, swapped))
    assert result.exit_code == 0
    assert result.output.count("warning") >= 3
    assert "read the right way round" in result.output


def test_images_shared_with_another_dataset_are_found_by_content(tmp_path: Path) -> None:
    damaged(tmp_path / "a")
    coco_files.write(tmp_path / "b", "annotations/coco_val.json", "val2017", 17)
    other = tmp_path / "b" / "val2017"
    (other / "000001.jpg").write_bytes(
        (other / "000001.jpg").read_bytes() + b"\0"
    )  # same picture, other file
    arguments = ["--against", "coco:val2017", "--against-root", str(tmp_path / "b")]
    result = check(tmp_path / "a", *arguments)
    shared = [line for line in result.output.splitlines() if "the same image as" in line]
    assert [re.search(r"image (\d)", line).group(1) for line in shared] == ["2", "3"]  # type: ignore[union-attr]


def test_half_a_file_is_found_and_nothing_is_traced(tmp_path: Path) -> None:
    path = damaged(tmp_path) / "json/crowdpose_test.json"
    path.write_bytes(path.read_bytes()[:100])
    result = check(tmp_path)
    assert result.exit_code == 1
    assert "not whole JSON" in result.output


def test_many_findings_of_a_kind_are_cut_unless_all_are_asked_for(tmp_path: Path) -> None:
    def crowd(content: dict[str, Any]) -> None:
        content["annotations"] = [
            {**coco_files.person(100 + i, 1, 14), "keypoints": ["1"] * 42} for i in range(30)
        ]

    damaged(tmp_path, crowd)
    assert check(tmp_path).output.count("keypoints are strings") == 20
    assert "10 more of the kind 'string'" in check(tmp_path).output
    assert check(tmp_path, "--all").output.count("keypoints are strings") == 30
    assert sum(f["kind"] == "string" for f in json.loads(check(tmp_path, "--json").stdout)) == 30


def test_a_detectors_file_is_checked(tmp_path: Path) -> None:
    damaged(tmp_path)
    boxes = tmp_path / "boxes.json"
    boxes.write_text(json.dumps([{"image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5], "score": 0.9}]))
    assert "boxes on 1 of 3 images" in check(tmp_path, "--boxes", str(boxes)).output
    boxes.write_text("{}")
    assert check(tmp_path, "--boxes", str(boxes)).exit_code == 1


def test_nothing_there_is_the_users_error(tmp_path: Path) -> None:
    assert "no annotations" in str(check(tmp_path).exception)


def test_the_real_samples_are_whole_but_too_few(real_data: Path) -> None:
    for name in ("ochuman", "coco"):
        result = CliRunner().invoke(cli, ["data", "check", name, "--root", str(real_data / name), "--json"])
        errors = [finding for finding in json.loads(result.stdout) if finding["severity"] == "error"]
        assert {finding["kind"] for finding in errors} == {"count"}
        assert result.exit_code == 1
