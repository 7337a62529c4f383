"""The section "Annotation files that are implausible" of docs/bad-input.md."""

import json
from pathlib import Path

import pytest
from support.bad_input_cases import Cases
from support.data import annotation_changes as of
from support.data import coco_files
from support.data.annotation_changes import Change, Content, person

case = Cases("Annotation files that are implausible")


def changed(change: Change) -> Change:
    """A crowd, and then the change."""

    def both(content: Content) -> None:
        of.crowd(content)
        change(content)

    return both


def scored(name: str, change: Change, dataset: str = "crowdpose") -> None:
    """A case of `score`, with predictions that are the annotated persons."""

    @case(name)
    def _(folder: Path) -> list[str]:
        (of.crowdpose if dataset == "crowdpose" else of.coco)(folder, changed(change))
        return of.score(dataset, folder)


def checked(name: str, change: Change, dataset: str = "crowdpose") -> None:
    """A case of `data check`, which ends with 1 because so small a file is not the published set."""

    @case(name)
    def _(folder: Path) -> list[str]:
        (of.crowdpose if dataset == "crowdpose" else of.coco)(folder, changed(change))
        return of.check(dataset)


def each(change: Change) -> Change:
    return lambda content: [change(entry) for entry in content["annotations"]]


def corners(entry: Content) -> None:
    x, y, width, height = entry["bbox"]
    entry["bbox"] = [x, y, x + width, y + height]


def normalized_box(entry: Content) -> None:
    x, y, width, height = entry["bbox"]
    entry["bbox"] = [x / 640, y / 480, width / 640, height / 480]


def about_the_center(entry: Content) -> None:
    x, y, width, height = entry["bbox"]
    entry["bbox"] = [x + width / 2, y + height / 2, width, height]


def points(entry: Content, x: float = 1, y: float = 1, shift: float = 0) -> None:
    values = entry["keypoints"]
    values[0::3] = [v * x + shift for v in values[0::3]]
    values[1::3] = [v * y for v in values[1::3]]


def exchanged(entry: Content) -> None:
    values = entry["keypoints"]
    values[0::3], values[1::3] = values[1::3], values[0::3]


def in_a_point(entry: Content) -> None:
    entry["keypoints"][0::3] = [entry["bbox"][0] + 5] * (len(entry["keypoints"]) // 3)
    entry["keypoints"][1::3] = [entry["bbox"][1] + 5] * (len(entry["keypoints"]) // 3)


def twice(content: Content) -> None:
    content["annotations"] += [{**entry, "id": entry["id"] + 1000} for entry in content["annotations"][:2]]


def alike(content: Content) -> None:
    for entry in content["annotations"]:
        entry["keypoints"] = person(content)["keypoints"]


def other_order(content: Content) -> None:
    names = of.named(content)["keypoints"]
    names.reverse()
    for entry in content["annotations"]:
        values = entry["keypoints"]
        triples = [values[at : at + 3] for at in range(0, len(values), 3)]
        entry["keypoints"] = [value for triple in reversed(triples) for value in triple]


scored("score-corners", each(corners))
checked("check-corners", each(corners))
scored("score-normalized-boxes", each(normalized_box))
checked("check-normalized-boxes", each(normalized_box), "coco")
scored("boxes-about-their-centers", each(about_the_center))
scored("boxes-of-a-larger-picture", each(lambda e: e.update(bbox=[2 * v for v in e["bbox"]])))
checked("boxes-outside", each(lambda e: e.update(bbox=[e["bbox"][0] + 640, *e["bbox"][1:]])), "coco")
scored("boxes-of-no-area", each(lambda e: e.update(bbox=[*e["bbox"][:2], 0, 0])), "coco")
scored("keypoints-normalized", each(lambda e: points(e, 1 / 640, 1 / 480)))
checked("keypoints-outside", each(lambda e: points(e, shift=700)), "coco")
scored("keypoints-exchanged", each(exchanged))
scored("keypoints-in-a-point", each(in_a_point))
checked("keypoints-all-zero", each(lambda e: points(e, 0, 0)))
scored("keypoints-equal", alike, "coco")
scored("score-a-picture-twice", lambda c: c["images"][1].update(file_name=c["images"][0]["file_name"]))
checked(
    "check-one-picture-for-all",
    lambda c: [image.update(file_name=c["images"][0]["file_name"]) for image in c["images"]],
    "coco",
)
scored("persons-twice", twice)
checked("persons-twice-in-coco", twice, "coco")
scored("num-keypoints-of-1", lambda c: of.persons(c, num_keypoints=1))
checked("num-keypoints-too-many", lambda c: of.persons(c, num_keypoints=17))
scored("crowd-index-in-percent", lambda c: of.images(c, crowdIndex=45))
checked("crowd-index-of-5", lambda c: of.images(c, crowdIndex=5))
scored("score-area-0", lambda c: of.persons(c, area=0), "coco")
checked("check-area-0-of-some", lambda c: [e.update(area=0) for e in c["annotations"][:8]], "coco")
scored("area-beyond-the-image", lambda c: of.persons(c, area=640 * 480 * 2), "coco")
scored("areas-normalized", each(lambda e: e.update(area=e["area"] / (640 * 480))), "coco")
scored("names-in-another-order", other_order)
checked("names-in-another-order-checked", other_order, "coco")
scored("names-in-another-spelling", lambda c: of.named(c)["keypoints"].__setitem__(0, "L. Shoulder"))


@case("run-corners")
def _(folder: Path) -> list[str]:
    of.crowdpose(folder, changed(each(corners)))
    return of.run("crowdpose")


@case("run-area-0")
def _(folder: Path) -> list[str]:
    of.coco(folder, lambda c: of.persons(c, area=0))
    return of.run("coco")


@case("run-boxes-outside")
def _(folder: Path) -> list[str]:
    of.crowdpose(folder, lambda c: of.persons(c, bbox=[70, 5, 20, 30]))
    return of.run("crowdpose")


@case("train-corners")
def _(folder: Path) -> list[str]:
    coco_files.write(folder / "data", "json/crowdpose_train.json", change=changed(each(corners)))
    split = ["--split", "train", "--validate-on", "none"]
    return ["train", "hrnet-tiny", "crowdpose", "--root", "data", *split, "--epochs", "1", "--out", "runs"]


@case("category-0")
def _(folder: Path) -> list[str]:
    of.coco(folder, lambda c: (c["categories"][0].update(id=0), of.persons(c, category_id=0)))
    return of.run("coco")


@case("category-7-among-others")
def _(folder: Path) -> list[str]:
    def several(content: Content) -> None:
        content["categories"] = [{"id": 1, "name": "car"}, {"id": 7, "name": "Person"}]
        of.persons(content, category_id=7)
        content["annotations"].append({"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 2, 2]})

    of.crowdpose(folder, several)
    return of.run("crowdpose")


@case("sizes-partly-swapped")
def _(folder: Path) -> list[str]:
    of.crowdpose(folder, lambda c: [image.update(width=40, height=60) for image in c["images"][1:]])
    return of.run("crowdpose")


@case("one-size-swapped")
def _(folder: Path) -> list[str]:
    of.crowdpose(folder, lambda c: c["images"][2].update(width=40, height=60))
    return [*of.check("crowdpose")[:-1]]


def test_every_row_has_a_case() -> None:
    case.check_complete()


@pytest.mark.parametrize("name", case.makers)
def test_the_command_says_what_the_page_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    case.check(name, tmp_path, monkeypatch, capsys)


def test_predictions_that_follow_a_files_own_order_have_the_scores_of_the_usual_one(tmp_path: Path) -> None:
    from crowdbench.scoring.score import score

    of.crowdpose(tmp_path, changed(other_order))
    path = tmp_path / "data/json/crowdpose_test.json"
    of.score("crowdpose", tmp_path)
    assert json.loads(path.read_text())["categories"][0]["keypoints"][0] == "neck"
    assert score(tmp_path / "predictions.json", "crowdpose", annotations=path).values["AP"] == 1
