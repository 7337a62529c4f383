"""The section "Options of the protocol" of docs/bad-input.md."""

import json
from pathlib import Path

import pytest
from support.bad_input_cases import Cases, Make
from support.data import coco_files

case = Cases("Options of the protocol")
RUN = ["run", "hrnet-tiny", "crowdpose", "--root", "data", "--weights", "none", "--workers", "0"]


def _data(folder: Path) -> None:
    coco_files.write(folder / "data", "json/crowdpose_test.json")
    boxes = [
        {"image_id": image, "category_id": 1, "bbox": [1, 2, 30, 20], "score": score}
        for image, score in ((1, 0.9), (2, 0.29), (3, 0.7))
    ]
    (folder / "boxes.json").write_text(json.dumps(boxes))


def _run(*options: str) -> Make:
    def make(folder: Path) -> list[str]:
        _data(folder)
        return [*RUN, *options]

    return make


def _scored(keypoints: int, *options: str) -> Make:
    def make(folder: Path) -> list[str]:
        _data(folder)
        found = {"image_id": 1, "category_id": 1, "keypoints": [5.0, 5.0, 1.0] * keypoints, "score": 0.5}
        (folder / "results.json").write_text(json.dumps([found]))
        return ["score", "results.json", "crowdpose", "--root", "data", *options]

    return make


case("least-score-without-a-detector")(_run("--box-score", "0.3"))
case("least-score-without-boxes")(_run("--box-score", "0.3", "--boxes", "none"))
case("least-score-that-is-no-number")(_run("--boxes", "boxes.json", "--box-score", "nan"))
case("least-score-without-end")(_run("--boxes", "boxes.json", "--box-score", "inf"))
case("least-score-that-is-a-word")(_run("--boxes", "boxes.json", "--box-score", "high"))
case("least-score-above-all-boxes")(_run("--boxes", "boxes.json", "--box-score", "1.5"))
case("least-score-of-a-detector")(_run("--boxes", "boxes.json", "--box-score", "0.3"))
case("an-empty-folder-of-runs")(_run("--out", ""))
case("an-empty-device")(_run("--device="))
case("an-argument-of-white-space")(_run("--boxes", " "))
case("keypoints-of-no-choice")(_run("--keypoints", "most"))
case("keypoints-of-an-unknown-dataset")(_run("--keypoints", "common:cocoo"))
case("keypoints-common-with-itself")(_run("--keypoints", "common:crowdpose"))
case("seventeen-keypoints-for-fourteen")(_scored(17))
case("seventeen-keypoints-scored-on-the-common-ones")(_scored(17, "--keypoints", "common"))
case("fourteen-keypoints-said-to-be-seventeen")(_scored(14, "--keypoints", "common"))


@case("least-score-of-whole-pictures")
def _(folder: Path) -> list[str]:
    _data(folder)
    options = ["--dataset", "crowdpose", "--weights", "none", "--boxes", "whole", "--box-score", "0.3"]
    return ["predict", "hrnet-tiny", "data/images/000001.jpg", *options]


@case("least-score-of-ground-truth-in-a-suite")
def _(folder: Path) -> list[str]:
    (folder / "mine.toml").write_text(
        'name = "mine"\ndescription = "mine"\n[[run]]\nmethod = "hrnet-tiny"\ndataset = "crowdpose"\nbox_score = 0.3\n'
    )
    return ["sweep", "mine.toml", "--dry-run"]


def test_every_row_has_a_case() -> None:
    case.check_complete()


@pytest.mark.parametrize("name", case.makers)
def test_the_command_says_what_the_page_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    case.check(name, tmp_path, monkeypatch, capsys)
