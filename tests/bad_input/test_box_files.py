"""The section "Box files" of docs/bad-input.md."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.bad_input_cases import Cases
from support.data import annotation_changes as of
from support.data.annotation_changes import Content

case = Cases("Box files")
Boxes = list[Content]
PICTURES = [f"data/images/00000{number}.jpg" for number in (1, 2, 3)]


def detections(folder: Path) -> Boxes:
    """What a detector finds that finds everybody."""
    of.crowdpose(folder, shrunk)
    content = json.loads((folder / "data/json/crowdpose_test.json").read_text())
    return [
        {"image_id": e["image_id"], "category_id": 1, "bbox": e["bbox"], "score": 0.9 - 0.01 * at}
        for at, e in enumerate(content["annotations"])
    ]


def shrunk(content: Content) -> None:
    """A crowd in images of 60x40, the size of their files."""
    of.crowd(content)
    of.images(content, width=60, height=40)
    for entry in content["annotations"]:
        entry["bbox"] = [v / 12 for v in entry["bbox"]]
        entry["keypoints"] = [v if at % 3 == 2 else v / 12 for at, v in enumerate(entry["keypoints"])]


def told(name: str, change: Callable[[Boxes], Any], run: bool = True) -> None:
    """The same file, given to a run (or to predict, with the boxes by image id) and to the check."""

    def written(folder: Path) -> None:
        boxes = detections(folder)
        changed = change(boxes)
        (folder / "boxes.json").write_text(json.dumps(boxes if changed is None else changed))

    @case(f"{'run' if run else 'predict'}-{name}")
    def _(folder: Path) -> list[str]:
        written(folder)
        if run:
            return of.run("crowdpose", "--boxes", "boxes.json")
        return predict("boxes.json")

    @case(f"check-{name}")
    def _(folder: Path) -> list[str]:
        written(folder)
        return of.check("crowdpose", "--boxes", "boxes.json")


def predict(boxes: str) -> list[str]:
    options = ["--weights", "none", "--dataset", "crowdpose", "--out", "poses", "--json"]
    return ["predict", "hrnet-tiny", *PICTURES, "--boxes", boxes, *options]


def each(change: Callable[[Content], object]) -> Callable[[Boxes], None]:
    def all_of(boxes: Boxes) -> None:
        for entry in boxes:
            change(entry)

    return all_of


def corners(entry: Content) -> None:
    x, y, width, height = entry["bbox"]
    entry["bbox"] = [x, y, x + width, y + height]


def normalized(entry: Content) -> None:
    x, y, width, height = entry["bbox"]
    entry["bbox"] = [x / 60, y / 40, width / 60, height / 40]


def with_a_mistake(**fields: Any) -> Callable[[Boxes], None]:
    return lambda boxes: boxes[3].update(fields)


def three_faults(boxes: Boxes) -> None:
    boxes[0].pop("score")
    boxes[1].update(bbox=[1, 2, 3])
    boxes[2].pop("image_id")


told("corners", each(corners))
told("normalized", each(normalized))
told("of-a-larger-picture", each(lambda e: e.update(bbox=[1.5 * v for v in e["bbox"]])))
told("outside", each(lambda e: e.update(bbox=[e["bbox"][0] + 55, *e["bbox"][1:]])))
told("of-no-area", lambda boxes: each(lambda b: b.update(bbox=[*b["bbox"][:2], 0, 0]))(boxes[:9]))
told("of-next-to-no-area", lambda boxes: each(lambda b: b.update(bbox=[*b["bbox"][:2], 1e-9, 9]))(boxes[:9]))
told("many-faults-of-one-kind", each(lambda b: b.pop("score")))
told("of-scores-below-0", each(lambda b: b.update(score=b["score"] - 0.85)))
told("of-one-score", each(lambda b: b.update(score=1)))
told("a-box-of-infinite-area", with_a_mistake(bbox=[1, 1, 1e308, 10]))
told("sides-of-1e200", with_a_mistake(bbox=[1, 1, 1e200, 1e200]))
told("negative-size", with_a_mistake(bbox=[1, 1, -5, 10]))
told("a-score-in-quotes", with_a_mistake(score="0.9"))
told("id-of-1e30", with_a_mistake(image_id=1e30))
told("ids-as-floats", each(lambda e: e.update(image_id=float(e["image_id"]))))
told("three-faults", three_faults)
told("another-category", each(lambda e: e.update(category_id=4)))
told("an-object", lambda boxes: {"boxes": boxes})
told("corners-by-id", each(corners), run=False)


def boxes_for_one_of_24(folder: Path) -> None:
    def many(content: Content) -> None:
        shrunk(content)
        first = content["images"][0]
        content["images"] = [{**first, "id": at} for at in range(1, 25)]
        for at, entry in enumerate(content["annotations"], 1):
            entry["image_id"] = at

    boxes = detections(folder / "other")
    of.crowdpose(folder, many)
    (folder / "boxes.json").write_text(json.dumps([b for b in boxes if b["image_id"] == 1]))


@case("run-for-few-images")
def _(folder: Path) -> list[str]:
    boxes_for_one_of_24(folder)
    return of.run("crowdpose", "--boxes", "boxes.json")


@case("check-for-few-images")
def _(folder: Path) -> list[str]:
    boxes_for_one_of_24(folder)
    return of.check("crowdpose", "--boxes", "boxes.json")


@case("scores-literally-nan")
def _(folder: Path) -> list[str]:
    text = json.dumps(detections(folder)).replace('"score": 0.9', '"score": NaN', 1)
    (folder / "boxes.json").write_text(text)
    return of.run("crowdpose", "--boxes", "boxes.json")


@case("category-0-for-category-0")
def _(folder: Path) -> list[str]:
    def of_category_0(content: Content) -> None:
        shrunk(content)
        content["categories"][0].update(id=0)
        of.persons(content, category_id=0)

    boxes = detections(folder / "other")
    each(lambda e: e.update(category_id=0))(boxes)
    of.crowdpose(folder, of_category_0)
    (folder / "boxes.json").write_text(json.dumps(boxes))
    return of.run("crowdpose", "--boxes", "boxes.json")


def by_name(folder: Path, change: Callable[[Content], object]) -> None:
    boxes = detections(folder)
    each(change)(boxes)
    named: dict[str, list[list[float]]] = {}
    for entry in boxes:
        named.setdefault(f"00000{entry['image_id']}.jpg", []).append(entry["bbox"])
    (folder / "boxes.json").write_text(json.dumps(named))


@case("corners-by-name")
def _(folder: Path) -> list[str]:
    by_name(folder, corners)
    return predict("boxes.json")


@case("normalized-by-name")
def _(folder: Path) -> list[str]:
    by_name(folder, normalized)
    return predict("boxes.json")


@case("infinite-by-name")
def _(folder: Path) -> list[str]:
    by_name(folder, lambda e: e.update(bbox=[1, 1, 1e200, 1e200]))
    return predict("boxes.json")


def test_every_row_has_a_case() -> None:
    case.check_complete()


@pytest.mark.parametrize("name", case.makers)
def test_the_command_says_what_the_page_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    case.check(name, tmp_path, monkeypatch, capsys)
