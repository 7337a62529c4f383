import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.data import coco_files

from crowdbench import Dataset, load_dataset
from crowdbench.errors import AnnotationError, DataError, ImageError, MissingDataError

Change = Callable[[dict[str, Any]], object]


def crowdpose(root: Path, change: Change = lambda _: None, **options: Any) -> Dataset:
    coco_files.write(root, "json/crowdpose_test.json", change=change)
    return load_dataset("crowdpose", root=root, **options)


def coco(root: Path, change: Change = lambda _: None) -> Dataset:
    coco_files.write(root, "annotations/coco_val.json", keypoints=17, change=change)
    return load_dataset("coco", root=root)


def first(content: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = content["annotations"][0]
    return entry


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        pytest.param(lambda c: first(c).update(iscrowd=1), False, id="iscrowd"),
        pytest.param(lambda c: first(c).update(keypoints=[0] * 51), False, id="no keypoint"),
        pytest.param(lambda c: first(c).update(area=0), False, id="no area"),
        pytest.param(lambda c: first(c).update(bbox=[100, 5, 20, 30]), False, id="box outside"),
        pytest.param(lambda c: first(c).update(num_keypoints=0), True, id="num_keypoints is not consulted"),
        pytest.param(lambda c: first(c).update(bbox=[-9, 5, 20, 30]), True, id="box half outside"),
    ],
)
def test_which_persons_are_predicted_with_ground_truth_boxes(
    tmp_path: Path, change: Change, counts: bool
) -> None:
    dataset = coco(tmp_path, change)
    assert len(dataset) == 3
    assert [len(sample.instances) for sample in dataset] == [int(counts), 1, 1]


def test_a_box_that_begins_outside_is_moved_not_cut(tmp_path: Path) -> None:
    sample = coco(tmp_path, lambda c: first(c).update(bbox=[-9, 5, 20, 30]))[0]
    np.testing.assert_array_equal(sample.instances[0].box_xywh, [0, 5, 20, 30])


def test_keypoints_given_as_strings_are_read_and_the_record_says_so(tmp_path: Path) -> None:
    dataset = crowdpose(
        tmp_path, lambda c: first(c).update(keypoints=[str(v) for v in first(c)["keypoints"]])
    )
    np.testing.assert_array_equal(dataset[0].instances[0].keypoints, dataset[1].instances[0].keypoints)
    assert any("1 persons are strings" in sentence for sentence in dataset.corrections)


def swap(content: dict[str, Any]) -> None:
    for image in content["images"]:
        image["width"], image["height"] = image["height"], image["width"]


def test_swapped_sizes_are_mended_where_the_keypoints_tell(tmp_path: Path) -> None:
    def wide(content: dict[str, Any]) -> None:
        for entry in content["annotations"]:
            entry["keypoints"][0] = 55
        swap(content)

    dataset = crowdpose(tmp_path, wide)
    assert [(s.width, s.height) for s in dataset] == [(60, 40)] * 3
    assert dataset[0].read().shape == (40, 60, 3)
    assert any("swapped" in sentence for sentence in dataset.corrections)


def test_one_keypoint_outside_its_image_does_not_swap_a_small_file(tmp_path: Path) -> None:
    dataset = crowdpose(tmp_path, lambda c: first(c)["keypoints"].__setitem__(1, 45))
    assert [(s.width, s.height) for s in dataset] == [(60, 40)] * 3
    assert dataset.corrections == ()
    assert dataset[0].read().shape == (40, 60, 3)


def test_where_no_image_is_there_the_keypoints_decide_on_swapped_sizes(tmp_path: Path) -> None:
    def wide(content: dict[str, Any]) -> None:
        swap(content)
        for image, entry in zip(content["images"], content["annotations"], strict=True):
            image["file_name"] = f"elsewhere/{image['id']}.jpg"
            entry["keypoints"][0] = 55

    assert [(s.width, s.height) for s in crowdpose(tmp_path, wide)] == [(60, 40)] * 3


def test_boxes_are_cut_to_the_mended_size(tmp_path: Path) -> None:
    def wide(content: dict[str, Any]) -> None:
        swap(content)
        for entry in content["annotations"]:
            entry["keypoints"][0] = 55
            entry["bbox"] = [45, 5, 30, 60]

    np.testing.assert_array_equal(crowdpose(tmp_path, wide)[0].boxes_xywh, [[45, 5, 15, 35]])


def test_the_image_tells_which_way_round_its_size_is_where_labels_do_not(tmp_path: Path) -> None:
    dataset = crowdpose(tmp_path, swap)
    assert [sample.read().shape for sample in dataset] == [(40, 60, 3)] * 3
    (said,) = dataset.corrections
    assert "width and height are swapped in 3 of the images (the first: image 1)" in said


def test_each_image_of_a_partly_swapped_file_is_read_its_own_way_round(tmp_path: Path) -> None:
    def partly(content: dict[str, Any]) -> None:
        swap(content)
        content["images"][1].update(width=60, height=40)

    dataset = crowdpose(tmp_path, partly)
    assert [sample.read().shape for sample in dataset] == [(40, 60, 3)] * 3
    assert "in 2 of the images" in dataset.corrections[0]


def test_an_image_of_another_size_is_an_error_when_it_is_read(tmp_path: Path) -> None:
    dataset = crowdpose(tmp_path, lambda c: c["images"][0].update(width=80, height=30))
    with pytest.raises(ImageError, match="the image is 60x40 .* say 80x30"):
        dataset[0].read()


@pytest.mark.parametrize(
    ("change", "sign"),
    [
        pytest.param(
            lambda c: first(c).update(id=12),
            r"annotations\[1\]: id 12 stands already at annotations\[0\]",
            id="annotation id",
        ),
        pytest.param(
            lambda c: c["images"][0].update(id=2),
            r"images\[1\]: image id 2 stands already at images\[0\]",
            id="image id",
        ),
        pytest.param(
            lambda c: first(c).update(keypoints=[1] * 39),
            "keypoints has 39 numbers, needs 42",
            id="13 keypoints",
        ),
        pytest.param(
            lambda c: first(c).update(keypoints=["x"] * 42),
            r"keypoints\[0\] is 'x', which is not a number",
            id="words",
        ),
        pytest.param(lambda c: first(c).update(keypoints=["nan"] * 42), "NaN", id="NaN"),
        pytest.param(lambda c: first(c).pop("bbox"), "bbox", id="no box"),
        pytest.param(lambda c: first(c).update(bbox=[1, 2, 3]), "bbox", id="box of three"),
        pytest.param(lambda c: c.pop("images"), "images", id="no images"),
        pytest.param(lambda c: c.pop("annotations"), "no list of annotations", id="no annotations"),
        pytest.param(lambda c: c["images"][0].update(width=0), "width", id="no width"),
        pytest.param(lambda c: first(c).update(id=2**60), "id", id="immense id"),
        pytest.param(lambda c: first(c)["keypoints"].__setitem__(4, None), r"keypoints\[4\]", id="null"),
        pytest.param(lambda c: c["images"][0].update(file_name="a/../../b.jpg"), "refused", id="path within"),
        pytest.param(lambda c: c["images"][0].update(file_name="\0.jpg"), "refused", id="path with NUL"),
        pytest.param(lambda c: c["images"][0].update(file_name=""), "refused", id="no path"),
        pytest.param(lambda c: c["images"][0].update(file_name="../../etc/passwd"), "refused", id="path up"),
        pytest.param(lambda c: c["images"][0].update(file_name="/etc/passwd"), "refused", id="absolute path"),
    ],
)
def test_a_file_that_cannot_be_used_is_an_error_that_says_where(
    tmp_path: Path, change: Change, sign: str
) -> None:
    with pytest.raises(AnnotationError, match=sign) as caught:
        crowdpose(tmp_path, change)
    assert "crowdpose_test.json" in str(caught.value)


def test_half_a_file_is_an_error(tmp_path: Path) -> None:
    coco_files.write(tmp_path, "json/crowdpose_test.json")
    path = tmp_path / "json/crowdpose_test.json"
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(AnnotationError, match="not whole JSON"):
        load_dataset("crowdpose", root=tmp_path)


def test_a_damaged_gzip_file_is_an_error(tmp_path: Path) -> None:
    coco_files.write(tmp_path, "json/crowdpose_test.json")
    path = tmp_path / "json/crowdpose_test.json"
    packed = bytearray(gzip.compress(path.read_bytes()))
    path.write_bytes(packed[:-20])
    with pytest.raises(AnnotationError, match=r"crowdpose_test\.json"):
        load_dataset("crowdpose", root=tmp_path)
    packed[30:60] = b"\xff" * 30
    path.write_bytes(packed)
    with pytest.raises(AnnotationError, match=r"crowdpose_test\.json"):
        load_dataset("crowdpose", root=tmp_path)


def test_a_dataset_without_an_area_that_scoring_needs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="id 11.*area is missing"):
        coco(tmp_path, lambda c: first(c).pop("area"))


def test_persons_keep_the_order_of_the_file_whatever_the_order_of_images(tmp_path: Path) -> None:
    def shuffled(content: dict[str, Any]) -> None:
        content["annotations"] = [
            coco_files.person(i, image, 14) for i, image in [(9, 3), (5, 1), (4, 3), (7, 3)]
        ]

    dataset = crowdpose(tmp_path, shuffled)
    assert [[i.id for i in sample.instances] for sample in dataset] == [[5], [], [9, 4, 7]]


def test_images_may_lie_in_folders_of_their_own(tmp_path: Path) -> None:
    coco_files.write(
        tmp_path, "json/crowdpose_test.json", change=lambda c: c["images"][0].update(file_name="a/b.jpg")
    )
    (tmp_path / "images/a").mkdir()
    (tmp_path / "images/000001.jpg").rename(tmp_path / "images/a/b.jpg")
    assert load_dataset("crowdpose", root=tmp_path)[0].read().shape == (40, 60, 3)


def plain_persons(content: dict[str, Any]) -> list[list[int]]:
    """Who is predicted with ground-truth boxes, written down as the published pipelines have it."""
    sizes = {image["id"]: (image["width"], image["height"]) for image in content["images"]}
    found: dict[int, list[int]] = {identity: [] for identity in sizes}
    for entry in content["annotations"]:
        width, height = sizes[entry["image_id"]]
        x, y, w, h = entry["bbox"]
        x1, y1 = max(0, x), max(0, y)
        x2, y2 = min(width - 1, x1 + max(0, w - 1)), min(height - 1, y1 + max(0, h - 1))
        if (
            not entry["iscrowd"]
            and entry["area"] > 0
            and x2 >= x1
            and y2 >= y1
            and max(entry["keypoints"]) != 0
        ):
            found[entry["image_id"]].append(entry["id"])
    return list(found.values())


PERSON = st.fixed_dictionaries(
    {
        "image_id": st.integers(1, 3),
        "bbox": st.tuples(*[st.integers(-70, 70)] * 2, *[st.integers(0, 70)] * 2),
        "iscrowd": st.integers(0, 1),
        "area": st.integers(0, 2),
        "keypoints": st.sampled_from([[0] * 51, [0, 0, 2] + [0] * 48, [3, 4, 0] + [0] * 48, ["1"] * 51]),
        "num_keypoints": st.integers(0, 17),
    }
)


@given(st.lists(PERSON, max_size=8))
def test_the_persons_are_those_of_the_published_pipelines_whatever_the_file_holds(
    tmp_path_factory: pytest.TempPathFactory, persons: list[dict[str, Any]]
) -> None:
    content = coco_files.document(17)
    content["annotations"] = [{**person, "id": i, "category_id": 1} for i, person in enumerate(persons)]
    path = tmp_path_factory.getbasetemp() / "annotations.json"
    path.write_text(json.dumps(content))
    dataset = load_dataset("coco", root=path.parent, annotations=path)
    assert [[i.id for i in sample.instances] for sample in dataset] == plain_persons(content)
    for sample in dataset:
        x, y, width, height = sample.boxes_xywh.T
        assert ((x >= 0) & (y >= 0) & (x + width <= 60) & (y + height <= 40)).all()


def test_annotations_of_unlisted_images_are_left_out_and_counted(tmp_path: Path) -> None:
    dataset = crowdpose(tmp_path, lambda c: first(c).update(image_id=99))
    assert [len(sample.instances) for sample in dataset] == [0, 1, 1]
    assert any("1 annotations belong to no listed image" in s for s in dataset.corrections)


def test_a_missing_image_is_an_error_when_it_is_read(tmp_path: Path) -> None:
    dataset = crowdpose(tmp_path)
    (tmp_path / "images/000002.jpg").unlink()
    with pytest.raises(MissingDataError, match="000002.jpg"):
        dataset[1].read()
    (tmp_path / "images/000003.jpg").write_bytes(b"no image")
    with pytest.raises(ImageError, match="000003.jpg"):
        dataset[2].read()


DETECTION = {"image_id": 2, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}


def boxes_file(root: Path, *entries: object) -> Path:
    path = root / "boxes.json"
    path.write_text(json.dumps(entries))
    return path


def test_detections_are_given_to_their_images_with_their_scores(tmp_path: Path) -> None:
    path = boxes_file(
        tmp_path, {**DETECTION, "category_id": 3}, DETECTION, {**DETECTION, "image_id": 99}, DETECTION
    )
    dataset = crowdpose(tmp_path / "data", boxes=path)
    assert [[i.id for i in sample.instances] for sample in dataset] == [[], [1, 3], []]
    instance = dataset[1].instances[0]
    assert instance.score == 0.5
    assert not instance.keypoints.any()
    assert instance.keypoints.shape == (14, 3)


@pytest.mark.parametrize(
    ("entries", "sign"),
    [
        pytest.param([{**DETECTION, "score": None}], "score", id="no score"),
        pytest.param([{**DETECTION, "bbox": [1, 2, 3]}], "bbox", id="three numbers"),
        pytest.param([DETECTION, {**DETECTION, "bbox": [1, 2, -3, 4]}], "detection 1", id="negative size"),
        pytest.param([{**DETECTION, "image_id": 99}], "another split", id="another split"),
        pytest.param(["text"], "COCO format", id="no detections"),
    ],
)
def test_a_bad_detectors_file_is_an_error_that_says_where(
    tmp_path: Path, entries: list[Any], sign: str
) -> None:
    with pytest.raises(DataError, match=sign):
        crowdpose(tmp_path / "data", boxes=boxes_file(tmp_path, *entries))


def test_a_missing_detectors_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=r"nowhere\.json"):
        crowdpose(tmp_path, boxes="nowhere.json")
