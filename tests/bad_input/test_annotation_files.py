"""The section "Annotation files" of docs/bad-input.md."""

import json
from pathlib import Path

import pytest
from support.bad_input_cases import Cases
from support.data import annotation_changes as of
from support.data import coco_files
from support.data.annotation_changes import Change, Content, person

case = Cases("Annotation files")
_NO_WEIGHTS = ("--weights", "none", "--dataset", "crowdpose", "--out", "poses")


@case("a-web-page")
def _(folder: Path) -> list[str]:
    coco_files.write(folder / "data", "json/crowdpose_test.json")
    (folder / "data/json/crowdpose_test.json").write_text("<!DOCTYPE html><html></html>")
    (folder / "predictions.json").write_text("[]")
    return ["score", "predictions.json", "crowdpose", "--root", "data"]


def refused_by_all(name: str, change: Change, dataset: str = "crowdpose") -> None:
    """The same fault, told by a run before it computes anything, by score, by training and by the check."""
    write = of.crowdpose if dataset == "crowdpose" else of.coco

    @case(f"run-{name}")
    def _(folder: Path) -> list[str]:
        write(folder, change)
        return of.run(dataset)

    @case(f"score-{name}")
    def _(folder: Path) -> list[str]:
        write(folder, change)
        (folder / "predictions.json").write_text("[]")
        (path,) = list((folder / "data").rglob("*.json"))
        return ["score", "predictions.json", dataset, "--annotations", str(path)]

    @case(f"check-{name}")
    def _(folder: Path) -> list[str]:
        write(folder, change)
        return of.check(dataset)


def several(content: Content) -> None:
    person(content).update(iscrowd=7)
    person(content, 1).pop("num_keypoints")
    person(content, 2)["keypoints"][2] = 99
    content["images"][0].pop("crowdIndex")


refused_by_all("faults-of-four-kinds", several)
refused_by_all("no-num-keypoints", lambda c: [entry.pop("num_keypoints") for entry in c["annotations"]])
refused_by_all("category-of-nobody", lambda c: of.persons(c, category_id=3))
refused_by_all("no-area", lambda c: person(c).pop("area"), "coco")
refused_by_all("area-overflow", lambda c: person(c).update(area=1e300), "coco")
refused_by_all("box-overflow", lambda c: person(c).update(bbox=[5, 5, 1e308, 30]))
refused_by_all("box-sides-of-1e200", lambda c: person(c).update(bbox=[5, 5, 1e200, 1e200]), "coco")
refused_by_all("keypoint-overflow", lambda c: person(c)["keypoints"].__setitem__(0, -1e200))
refused_by_all("box-negative", lambda c: person(c).update(bbox=[5, 5, -20, 30]))
refused_by_all("box-in-strings", lambda c: person(c).update(bbox=["5", "5", "20", "nan"]))
refused_by_all("id-of-1e30", lambda c: c["images"][0].update(id=1e30))
refused_by_all("other-names", lambda c: of.named(c).update(keypoints=[f"joint {k}" for k in range(14)]))
refused_by_all("one-other-name", lambda c: of.named(c)["keypoints"].__setitem__(13, "left_toe"))
refused_by_all("name-twice", lambda c: of.named(c)["keypoints"].__setitem__(1, "left_shoulder"))
refused_by_all(
    "two-categories-of-nobody",
    lambda c: (c["categories"][0].update(name="human"), c["categories"].append({"id": 2, "name": "dog"})),
)
refused_by_all("names-in-one-word", lambda c: of.named(c).update(keypoints="left_shoulder"))
refused_by_all("names-by-number", lambda c: of.named(c).update(keypoints={"1": "left_shoulder"}))


@case("run-half-a-character")
def _(folder: Path) -> list[str]:
    of.crowdpose(folder, lambda c: c["images"][0].update(file_name="\ud800.jpg"))
    return of.run("crowdpose")


@case("check-half-a-character")
def _(folder: Path) -> list[str]:
    of.coco(folder, lambda c: c["images"][1].update(file_name="night \udbff.jpg"))
    return of.check("coco")


@case("run-without-images")
def _(folder: Path) -> list[str]:
    of.crowdpose(folder, lambda c: c.update(images=[], annotations=[]))
    return of.run("crowdpose")


@case("train-visibility-99")
def _(folder: Path) -> list[str]:
    coco_files.write(
        folder / "data",
        "json/crowdpose_train.json",
        change=lambda c: person(c)["keypoints"].__setitem__(2, 99),
    )
    split = ["--split", "train", "--validate-on", "none"]
    return ["train", "hrnet-tiny", "crowdpose", "--root", "data", *split, "--epochs", "1", "--out", "runs"]


@case("box-literally-nan")
def _(folder: Path) -> list[str]:
    of.crowdpose(folder, lambda c: person(c).update(bbox=[5, 5, 20, 12345]))
    of.as_text(folder, "12345", "NaN")
    return of.run("crowdpose")


@case("keypoint-literally-infinite")
def _(folder: Path) -> list[str]:
    of.crowdpose(folder, lambda c: person(c)["keypoints"].__setitem__(0, 12345))
    of.as_text(folder, "12345", "-Infinity")
    return of.check("crowdpose")


@case("ids-as-floats")
def _(folder: Path) -> list[str]:
    of.crowdpose(folder, lambda c: [image.update(id=float(image["id"])) for image in c["images"]])
    of.as_text(folder, '"id": 11,', '"id": 1.1e1,')
    return of.check("crowdpose")


OCHUMAN: Content = {
    "keypoint_names": ["right_shoulder", "head"],
    "keypoint_visible": {"missing": 0},
    "images": [
        {
            "image_id": "1",
            "file_name": "1.jpg",
            "width": 9,
            "height": 9,
            "annotations": [{"bbox": [1, 1, 5, 5]}],
        }
    ],
}


def ochumans_own(folder: Path) -> None:
    (folder / "ochuman.json").write_text(json.dumps(OCHUMAN))
    (folder / "predictions.json").write_text("[]")


@case("score-ochumans-own-format")
def _(folder: Path) -> list[str]:
    ochumans_own(folder)
    return ["score", "predictions.json", "ochuman", "--annotations", "ochuman.json"]


@case("ochumans-own-format-for-another-dataset")
def _(folder: Path) -> list[str]:
    ochumans_own(folder)
    return ["run", "hrnet-tiny", "crowdpose", "--annotations", "ochuman.json", "--weights", "none"]


@case("ochumans-own-format-as-boxes")
def _(folder: Path) -> list[str]:
    ochumans_own(folder)
    coco_files.write(folder / "data", "json/crowdpose_test.json")
    picture = "data/images/000001.jpg"
    return ["predict", "hrnet-tiny", picture, "--boxes", "ochuman.json", *_NO_WEIGHTS]


@case("check-ochumans-own-format")
def _(folder: Path) -> list[str]:
    path = folder / "data/ochuman_coco_format_val_range_0.00_1.00.json"
    path.parent.mkdir()
    path.write_text(json.dumps(OCHUMAN))
    return ["data", "check", "ochuman", "--root", "data", "--split", "val", "--no-images"]


def test_every_row_has_a_case() -> None:
    case.check_complete()


@pytest.mark.parametrize("name", case.makers)
def test_the_command_says_what_the_page_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    case.check(name, tmp_path, monkeypatch, capsys)
