"""Sources of boxes, and how boxes are matched to images."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.data.images import HEIGHT, WIDTH, Predict, picture, save

BOX = [10.0, 5.0, 20.0, 30.0]


def annotations(names: dict[int, str], keypoints: int | None = 14) -> dict[str, Any]:
    """A COCO annotation file with one person in each image."""
    people = []
    for number, image_id in enumerate(names):
        person = {
            "id": number,
            "image_id": image_id,
            "category_id": 1,
            "bbox": BOX,
            "iscrowd": 0,
            "area": 600,
        }
        if keypoints is not None:
            person |= {"keypoints": [12, 7, 2] * keypoints, "num_keypoints": keypoints}
        people.append(person)
    return {
        "images": [
            {"id": i, "file_name": name, "width": WIDTH, "height": HEIGHT} for i, name in names.items()
        ],
        "annotations": people,
        "categories": [{"id": 1, "name": "person"}],
    }


def detection(image_id: int, box: list[float] = BOX, **more: Any) -> dict[str, Any]:
    return {"image_id": image_id, "category_id": 1, "bbox": box, "score": 0.9, **more}


def write(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return Path(path.name)


def corners(entry: dict[str, Any]) -> list[float]:
    """The first and the last keypoint: x, y, x, y."""
    return [*entry["keypoints"][:2], *entry["keypoints"][-3:-1]]


def test_the_whole_picture_is_a_box(predict: Predict, machine: Path) -> None:
    save(machine / "a.png", picture(width=31, height=17))
    said = predict("toy-diagonal", "a.png", "--boxes", "whole")
    assert corners(said.predictions[0]) == [0, 0, 31, 17]


def test_drawing_is_done_on_the_picture_and_not_on_what_the_method_left_of_it(
    predict: Predict, machine: Path
) -> None:
    import cv2

    save(machine / "a.png", picture())
    predict("toy-diagonal", "a.png", "--boxes", "whole", "--threshold", "2")
    assert (cv2.imread(str(machine / "poses" / "a.png")) == picture()).all()


def test_boxes_are_found_by_the_names_of_pictures(predict: Predict, machine: Path) -> None:
    for name in ("in/a.png", "in/deep/b.png", "in/other/b.png", "in/third/b.png", "in/none.png"):
        save(machine / name)
    boxes = {
        "a.png": [BOX, [0, 0, 10, 10]],
        "deep/b.png": [[1, 1, 5, 5]],
        "somewhere/else/other/b.png": [[2, 2, 5, 5]],
        "somewhere/b.png": [[3, 3, 5, 5]],
        "none.png": [],
    }
    said = predict("toy-diagonal", "in", "--boxes", write(machine / "boxes.json", boxes))
    assert [(e["file_name"], corners(e)) for e in said.predictions] == [
        ("in/a.png", [10, 5, 30, 35]),
        ("in/a.png", [0, 0, 10, 10]),
        ("in/deep/b.png", [1, 1, 6, 6]),
        ("in/other/b.png", [2, 2, 7, 7]),
    ]
    assert said.status == 1
    [failure] = said.listing["failed"]
    assert failure["error"] == "in/third/b.png: boxes.json does not name this image."
    assert {i["file_name"]: i["poses"] for i in said.listing["images"]} == {
        "in/a.png": 2,
        "in/deep/b.png": 1,
        "in/other/b.png": 1,
        "in/none.png": 0,
    }


def test_boxes_are_cut_to_the_picture_and_refused_if_nothing_is_left(predict: Predict, machine: Path) -> None:
    save(machine / "a.png")
    save(machine / "b.png")
    boxes = {"a.png": [[50, 30, 100, 100]], "b.png": [[500, 30, 10, 10]]}
    said = predict("toy-diagonal", "a.png", "b.png", "--boxes", write(machine / "boxes.json", boxes))
    assert corners(said.predictions[0]) == [50, 30, 60, 40]
    assert said.status == 1
    assert "b.png: the box [500.0, 30.0, 10.0, 10.0] in boxes.json lies outside the image" in said.err


@pytest.mark.parametrize("keypoints", [14, 17, None])
def test_an_annotation_file_gives_boxes_and_ids_whatever_keypoints_it_has(
    predict: Predict, machine: Path, keypoints: int | None
) -> None:
    save(machine / "in" / "a.png")
    save(machine / "in" / "b.png")
    content = annotations({31: "train/b.png", 8: "train/a.png", 9: "train/c.png"}, keypoints)
    crowd = {**content["annotations"][0], "id": 77, "iscrowd": 1}
    content["annotations"].append(crowd)
    said = predict("toy-diagonal", "in", "--boxes", write(machine / "boxes.json", content))
    assert said.status == 0, said.err
    assert [(e["image_id"], corners(e)) for e in said.predictions] == [
        (8, [10, 5, 30, 35]),
        (31, [10, 5, 30, 35]),
    ]


@pytest.mark.parametrize("keypoints", [14, 17])
def test_a_picture_of_another_size_than_annotated_fails(
    predict: Predict, machine: Path, keypoints: int
) -> None:
    save(machine / "in" / "a.png", picture(width=WIDTH * 2))
    save(machine / "in" / "b.png")
    content = annotations({1: "a.png", 2: "b.png"}, keypoints)
    said = predict("toy-diagonal", "in", "--boxes", write(machine / "boxes.json", content))
    assert said.status == 1
    assert "in/a.png: the image is 120x40 (width x height), but boxes.json says 60x40" in said.err
    assert [e["image_id"] for e in said.predictions] == [2]


def test_detections_are_of_the_pictures_that_they_name(predict: Predict, machine: Path) -> None:
    save(machine / "in" / "a.png")
    save(machine / "in" / "b.png")
    found = [detection(7, file_name="a.png"), detection(5, [0, 0, 9, 9], file_name="x/b.png")]
    said = predict("toy-diagonal", "in", "--boxes", write(machine / "found.json", found))
    assert [(e["image_id"], corners(e)) for e in said.predictions] == [
        (7, [10, 5, 30, 35]),
        (5, [0, 0, 9, 9]),
    ]


def test_detections_are_of_the_pictures_whose_names_are_their_ids(predict: Predict, machine: Path) -> None:
    save(machine / "in" / "000007.png")
    save(machine / "in" / "000008.png")
    said = predict(
        "toy-diagonal", "in", "--boxes", write(machine / "found.json", [detection(7), detection(90)])
    )
    assert [e["file_name"] for e in said.predictions] == ["in/000007.png"]
    assert said.status == 0
    assert [i["poses"] for i in said.listing["images"]] == [1, 0]


def test_an_annotation_file_says_which_ids_detections_have(predict: Predict, machine: Path) -> None:
    save(machine / "a.png")
    names = write(machine / "names.json", annotations({7: "a.png"}))
    found = write(machine / "found.json", [detection(7)])
    said = predict("toy-diagonal", "a.png", "--boxes", found, "--annotations", names)
    assert [(e["image_id"], corners(e)) for e in said.predictions] == [(7, [10, 5, 30, 35])]


@pytest.mark.parametrize(
    ("names", "content", "sign"),
    [
        (["a.png"], {"b.png": [BOX]}, "it names none of the given images. It names 1, such as 'b.png'"),
        (["a.png"], {}, "It names no images"),
        (["x/a.png", "y/a.png"], {"a.png": [BOX]}, "'a.png' may be in/x/a.png or in/y/a.png"),
        (["a.png"], {"a.png": [[1, 2, 3]]}, "neither COCO annotations"),
        (["a.png"], {"a.png": [[1, 2, -3, 4]]}, "has a negative size"),
        (["a.png"], {"a.png": "whole"}, "neither COCO annotations"),
        (["a.png"], "a.png", "neither a list of detections nor an object"),
        (["a.png"], [detection(7)], "Pass --annotations FILE"),
        (["1/7.png", "2/7.png"], [detection(7)], "Pass --annotations FILE"),
        (["7.png"], [detection(8)], "none of its 1 detections"),
        (["7.png"], [{"box": BOX}], "missing required field"),
        (["a.png"], {"images": [{"id": 1}], "annotations": []}, "missing required field"),
    ],
)
def test_a_file_that_cannot_be_used_ends_the_command(
    predict: Predict, machine: Path, names: list[str], content: Any, sign: str
) -> None:
    for name in names:
        save(machine / "in" / name)
    said = predict("toy-diagonal", "in", "--boxes", write(machine / "boxes.json", content))
    assert said.status == 2
    assert sign in said.err
    assert not (machine / "poses").exists()


def test_a_truncated_file_of_boxes_is_refused(predict: Predict, machine: Path) -> None:
    save(machine / "a.png")
    (machine / "boxes.json").write_text('{"a.png": [[1, 2,')
    said = predict("toy-diagonal", "a.png", "--boxes", "boxes.json")
    assert said.status == 2
    assert "boxes.json: not boxes: not whole JSON" in said.err
