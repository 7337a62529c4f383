"""``crowdbench data check`` finds each fault, names the place, and decides whether the benchmark is wrong."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from support.data import coco_files

from crowdbench import load_dataset
from crowdbench.cli import cli
from crowdbench.coco.dataset import PublishedCounts
from crowdbench.datacheck import check_split, splits_on_disk
from crowdbench.errors import MissingDataError
from crowdbench.scoring.annotations import read_annotations
from crowdbench_datasets.crowdpose import CrowdPose
from crowdbench_datasets.ochuman import OCHuman

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
            lambda c: first(c).update(id=12),
            "annotation 12: id 12 stands already at annotations[0]",
            "error",
            id="ids",
        ),
        pytest.param(
            lambda c: c["images"][0].update(id=2),
            "image 2: image id 2 stands already at images[0]",
            "error",
            id="image ids",
        ),
        pytest.param(
            lambda c: c["images"][0].pop("crowdIndex"), "image 1: crowdIndex is missing", "error", id="crowd"
        ),
        pytest.param(lambda c: first(c).pop("bbox"), "annotation 11: bbox is missing", "error", id="no box"),
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
            lambda c: first(c).update(keypoints=[1]),
            "annotation 11: keypoints has 1 numbers, needs 42",
            "error",
            id="short",
        ),
        pytest.param(
            lambda c: first(c).update(keypoints=["a"] * 42),
            "annotation 11: keypoints[0] is 'a', which is not a number",
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
            "warning",
            id="swap",
        ),
        pytest.param(
            lambda c: c["images"][0].update(file_name="gone.jpg"), "missing", "error", id="no image"
        ),
        pytest.param(
            lambda c: c["images"][0].update(file_name="../secret.jpg"),
            "image 1: file_name '../secret.jpg' points outside",
            "error",
            id="path up",
        ),
        pytest.param(
            lambda c: c["images"][0].update(file_name="000002.jpg"),
            "000002.jpg: 2 images have this file_name",
            "warning",
            id="one file twice",
        ),
        pytest.param(
            lambda c: c["images"][0].update(id=[1]),
            "image [1]: id must be a whole number",
            "error",
            id="list for id",
        ),
        pytest.param(
            lambda c: first(c).update(image_id={"a": 1}),
            "annotation 11: image_id must be a whole number",
            "error",
            id="object",
        ),
        pytest.param(
            lambda c: first(c).update(keypoints=[10**400] * 42),
            "which is not finite",
            "error",
            id="immense numbers",
        ),
        pytest.param(
            lambda c: c.pop("annotations"), "there is no list of annotations", "error", id="no list"
        ),
        pytest.param(
            lambda c: c["images"].append("text"),
            "images[3]: must be an object, found a string",
            "error",
            id="text",
        ),
        pytest.param(
            lambda c: first(c).pop("num_keypoints"), "num_keypoints", "error", id="only scoring needs it"
        ),
        pytest.param(lambda c: c.pop("categories"), "categories", "error", id="no categories"),
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


def detection(image: int) -> dict[str, Any]:
    return {"image_id": image, "category_id": 1, "bbox": [1, 1, 5, 5], "score": 0.9}


def test_a_detectors_file_is_checked(tmp_path: Path) -> None:
    damaged(tmp_path)
    boxes = tmp_path / "boxes.json"
    boxes.write_text(json.dumps([detection(1), detection(1), detection(9)]))
    result = check(tmp_path, "--boxes", str(boxes))
    assert "note: " + str(boxes) + ": 2 boxes of persons on 1 of the 3 images of test" in result.output
    assert "1 of 3 detections are on images outside the split" in result.output
    assert result.exit_code == 0
    boxes.write_text("{}")
    assert check(tmp_path, "--boxes", str(boxes)).exit_code == 1


def test_boxes_need_to_fit_only_one_of_the_splits_that_are_there(tmp_path: Path) -> None:
    damaged(tmp_path)
    content = coco_files.document(14)
    for image, entry in zip(content["images"], content["annotations"], strict=True):
        image["id"] = entry["image_id"] = 100 + image["id"]
    (tmp_path / "json/crowdpose_val.json").write_text(json.dumps(content))
    boxes = tmp_path / "boxes.json"
    boxes.write_text(json.dumps([detection(1)]))
    assert check(tmp_path, "--boxes", str(boxes)).exit_code == 0
    assert check(tmp_path, "--boxes", str(boxes), "--split", "val").exit_code == 1


def test_a_missing_detectors_file_is_the_users_error(tmp_path: Path) -> None:
    result = check(damaged(tmp_path), "--boxes", str(tmp_path / "nowhere.json"))
    assert isinstance(result.exception, MissingDataError)


def test_a_cut_off_image_is_found_though_its_thumbnail_is_whole(tmp_path: Path) -> None:
    damaged(tmp_path)
    path = tmp_path / "images/000001.jpg"
    picture = path.read_bytes()
    thumbnail = b"\xff\xe1" + (2 + len(picture)).to_bytes(2, "big") + picture
    whole = picture[:2] + thumbnail + picture[2:]
    path.write_bytes(whole)
    assert check(tmp_path).exit_code == 0
    path.write_bytes(whole + b"bytes that a camera appends")
    assert check(tmp_path).exit_code == 0
    path.write_bytes(whole[:-30])
    assert "000001.jpg: image 1: cut off" in check(tmp_path).output


def test_a_cut_off_png_is_found(tmp_path: Path) -> None:
    path = damaged(tmp_path) / "images/000001.jpg"
    path.write_bytes(cv2.imencode(".png", np.zeros((40, 60, 3), np.uint8))[1].tobytes())
    assert check(tmp_path).exit_code == 0
    path.write_bytes(path.read_bytes()[:-12])
    assert "000001.jpg: image 1: cut off" in check(tmp_path).output


def test_a_file_outside_the_datasets_folder_is_never_opened(tmp_path: Path) -> None:
    root = damaged(tmp_path / "root", lambda c: c["images"][0].update(file_name="../../secret.jpg"))
    coco_files.write(tmp_path / "b", "annotations/coco_val.json", "val2017", 17)
    secret = tmp_path / "secret.jpg"
    secret.write_bytes((tmp_path / "b/val2017/000001.jpg").read_bytes())
    arguments = ["--against", "coco", "--against-root", str(tmp_path / "b")]
    shared = [line for line in check(root, *arguments).output.splitlines() if "the same image as" in line]
    assert not any("secret" in line for line in shared)


def test_images_of_the_root_where_the_annotations_are_are_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged(tmp_path / "data" / "crowdpose")
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("CROWDBENCH_DATA", str(tmp_path / "empty"))
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(cli, ["data", "check", "crowdpose"]).exit_code == 0


def test_a_split_shares_no_images_with_itself(tmp_path: Path) -> None:
    damaged(tmp_path)
    result = check(tmp_path, "--against", "crowdpose", "--against-root", str(tmp_path))
    assert "the same image" not in result.output
    (tmp_path / "json/crowdpose_train.json").write_bytes((tmp_path / "json/crowdpose_test.json").read_bytes())
    result = check(tmp_path, "--against", "crowdpose", "--against-root", str(tmp_path), "--split", "test")
    assert result.output.count("the same image") == 3


def test_options_that_contradict_each_other_are_the_users_error(tmp_path: Path) -> None:
    damaged(tmp_path)
    assert check(tmp_path, "--against-root", str(tmp_path)).exit_code == 2
    assert check(tmp_path, "--against", "coco", "--no-images").exit_code == 2


def test_sizes_are_read_the_right_way_round_image_by_image(tmp_path: Path) -> None:
    def mixed(content: dict[str, Any]) -> None:
        for entry, image in zip(content["annotations"], content["images"], strict=True):
            entry["keypoints"][0] = 55
            image["width"], image["height"] = 40, 60
        content["images"][0].update(width=60, height=40)

    result = check(damaged(tmp_path, mixed))
    assert result.exit_code == 0, result.output
    swapped = [line for line in result.output.splitlines() if "height swapped" in line]
    assert [re.search(r"image (\d)", line).group(1) for line in swapped] == ["2", "3"]  # type: ignore[union-attr]
    assert "outside" not in result.output


def test_persons_of_all_splits_together_are_compared_with_the_paper(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for split in ("val", "test"):
        coco_files.write(tmp_path / split, f"annotations/ochuman_{split}.json", keypoints=17)
    (tmp_path / "test/annotations/ochuman_test.json").rename(tmp_path / "val/annotations/ochuman_test.json")
    monkeypatch.setattr(OCHuman, "published", {})

    def run() -> Result:
        return CliRunner().invoke(cli, ["data", "check", "ochuman", "--root", str(tmp_path / "val")])

    assert (
        "error: " + str(tmp_path / "val") + ": 6 annotated persons in val and test together" in run().output
    )
    assert run().exit_code == 1
    monkeypatch.setattr(OCHuman, "published_together", PublishedCounts(6, 6, "a paper"))
    assert run().exit_code == 0


PLACES = st.sampled_from(
    [("images", field) for field in ("id", "file_name", "width", "height", "crowdIndex")]
    + [("annotations", field) for field in ("id", "image_id", "category_id", "bbox", "keypoints", "iscrowd")]
    + [("annotations", "num_keypoints"), ("categories", "id"), ("categories", "name")]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "nan", "12", "inf", "..", "/", "\0", "a/b.jpg"]),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.just("x"), values, max_size=1),
    max_leaves=5,
)


@given(st.lists(st.tuples(PLACES, st.integers(0, 2), VALUES), max_size=3))
def test_what_the_check_lets_pass_can_be_loaded_and_scored_and_nothing_is_traced(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[tuple[str, str], int, Any]]
) -> None:
    content = coco_files.document(14)
    for (part, field), position, value in changes:
        content[part][position % len(content[part])][field] = value
    root = tmp_path_factory.getbasetemp() / "arbitrary"
    (root / "json").mkdir(parents=True, exist_ok=True)
    path = root / "json/crowdpose_test.json"
    path.write_text(json.dumps(content))
    (place,) = splits_on_disk("crowdpose", root, "test")
    findings = list(check_split(place, with_images=False))
    if any(finding.severity == "error" for finding in findings):
        assert all(finding.line() for finding in findings)
        return
    dataset = load_dataset("crowdpose", root=root)
    assert len(list(dataset)) == 3
    read_annotations(path, dataset.protocol)


def test_nothing_there_is_the_users_error(tmp_path: Path) -> None:
    assert "no annotations" in str(check(tmp_path).exception)


def test_the_real_samples_are_whole_but_too_few(real_data: Path) -> None:
    for name in ("ochuman", "coco"):
        result = CliRunner().invoke(cli, ["data", "check", name, "--root", str(real_data / name), "--json"])
        errors = [finding for finding in json.loads(result.stdout) if finding["severity"] == "error"]
        assert {finding["kind"] for finding in errors} == {"count"}
        assert result.exit_code == 1
