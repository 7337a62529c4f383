"""Outlines of persons, and which persons of a dataset are known by nothing else."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from support.data import coco_files

from crowdbench import load_dataset
from crowdbench.api.segmentation import Segmentation
from crowdbench.errors import AnnotationError

SQUARE = [[10, 5, 20, 5, 20, 15, 10, 15]]


def segmentation(content: Any) -> Segmentation:
    return Segmentation(json.dumps(content).encode(), 7)


def packed(mask: Any) -> str:
    """The COCO API's run lengths of a mask."""
    counts: bytes = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"]
    return counts.decode()


masks = st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32), st.floats(0, 1)).map(
    lambda drawn: np.random.default_rng(drawn[2]).random(drawn[:2]) < drawn[3]
)


@given(mask=masks)
def test_packed_run_lengths_are_those_pixels(mask: Any) -> None:
    height, width = mask.shape
    found = segmentation({"size": [height, width], "counts": packed(mask)}).mask(height, width)
    np.testing.assert_array_equal(found, mask)


@given(mask=masks)
def test_run_lengths_are_those_pixels(mask: Any) -> None:
    height, width = mask.shape
    columns = np.concatenate([[False], mask.T.ravel()])
    edges = np.flatnonzero(columns[1:] != columns[:-1])
    counts = np.diff([0, *edges, mask.size]).tolist()
    found = segmentation({"size": [height, width], "counts": counts}).mask(height, width)
    np.testing.assert_array_equal(found, mask)


def test_polygons_are_filled_and_joined() -> None:
    mask = segmentation([*SQUARE, [30, 5, 40, 5, 40, 15, 30, 15]]).mask(30, 50)
    expected = np.zeros((30, 50), dtype=bool)
    expected[5:15, 10:20] = expected[5:15, 30:40] = True
    np.testing.assert_array_equal(mask, expected)


def test_lines_and_points_cover_nothing() -> None:
    assert not segmentation([[1, 1, 20, 20], [5, 5]]).mask(30, 50).any()
    assert not segmentation([]).mask(30, 50).any()


def test_real_outlines_are_rasterised_as_the_coco_api_does(real_data: Path) -> None:
    kinds = set()
    for split in ("train2017", "val2017"):
        file = real_data / f"coco/annotations/person_keypoints_{split}.json"
        annotations = {entry["id"]: entry for entry in json.loads(file.read_text())["annotations"]}
        for sample in load_dataset("coco", split=split, root=real_data / "coco"):
            for outline in sample.ignored:
                entry = annotations[outline.annotation]
                assert entry["iscrowd"] or entry["num_keypoints"] == 0
                runs = coco_mask.frPyObjects(entry["segmentation"], sample.height, sample.width)
                merged = coco_mask.merge(runs) if isinstance(runs, list) else runs
                found = outline.mask(sample.height, sample.width)
                assert packed(found) == merged["counts"].decode()
                kinds.add(type(entry["segmentation"]))
    assert kinds == {list, dict}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("a person", "neither"),
        ([["a", "b"]], "neither"),
        ({"size": [30, 50]}, "neither"),
        ({"size": [50, 30], "counts": [1500]}, "30x50 pixels .* 50x30"),
        ({"size": [30, 50], "counts": [1499]}, "do not add up to 50x30"),
        ({"size": [30, 50], "counts": [1600, -100]}, "do not add up"),
        ({"size": [30, 50], "counts": "abc"}, "do not add up"),
        ({"size": [30, 50], "counts": "\u00e9~"}, "do not add up"),
        ({"size": [30, 50], "counts": ""}, "do not add up"),
    ],
    ids=str,
)
def test_outlines_that_cannot_be_drawn_are_refused_by_the_id_of_their_person(
    content: Any, reason: str
) -> None:
    with pytest.raises(AnnotationError, match=f"annotation 7: .*{reason}"):
        segmentation(content).mask(30, 50)


def coco(root: Path, *changes: dict[str, Any], **options: Any) -> Any:
    """A dataset of three persons, one an image, of whom the first ones are changed."""

    def change(content: dict[str, Any]) -> None:
        for person, values in zip(content["annotations"], changes, strict=False):
            person.update(values)

    coco_files.write(root, "annotations/coco_val.json", keypoints=17, change=change)
    return load_dataset("coco", root=root, **options)


NO_KEYPOINTS = {"keypoints": [0] * 51, "num_keypoints": 0}


def test_crowds_and_persons_without_keypoints_are_ignored_where_they_are(tmp_path: Path) -> None:
    crowd = {"iscrowd": 1, "segmentation": {"size": [40, 60], "counts": [0, 40, 2360]}}
    first, second, third = coco(
        tmp_path,
        {**NO_KEYPOINTS, **crowd},
        {**NO_KEYPOINTS, "segmentation": SQUARE},
        {"segmentation": SQUARE},
    )
    assert [len(sample.instances) for sample in (first, second, third)] == [0, 0, 1]
    assert [len(sample.ignored) for sample in (first, second, third)] == [1, 1, 0]
    (of_crowd,) = first.ignored
    assert of_crowd.annotation == 11
    mask = of_crowd.mask(40, 60)
    assert mask[:, 0].all()
    assert not mask[:, 1:].any()
    # Loader workers get samples as pickles.
    again = pickle.loads(pickle.dumps(second))  # noqa: S301  (our own)
    assert again.ignored == second.ignored
    assert again.ignored[0].mask(40, 60).sum() == 100


@pytest.mark.parametrize("nothing", [{}, {"segmentation": []}, {"segmentation": None}], ids=str)
def test_persons_without_keypoints_or_outline_are_nowhere(tmp_path: Path, nothing: Any) -> None:
    sample, *_ = coco(tmp_path, {**NO_KEYPOINTS, **nothing})
    assert sample.ignored == ()


def test_an_outline_that_nobody_asks_for_stops_nobody(tmp_path: Path) -> None:
    sample, *_ = coco(tmp_path, {**NO_KEYPOINTS, "segmentation": "lost"})
    with pytest.raises(AnnotationError, match="annotation 11"):
        sample.ignored[0].mask(40, 60)


def test_nothing_is_told_of_persons_where_boxes_are_not_the_annotators(tmp_path: Path) -> None:
    sample, *_ = coco(tmp_path, {**NO_KEYPOINTS, "segmentation": SQUARE}, boxes="none")
    assert sample.ignored == ()


def test_outlines_stay_with_their_persons_whatever_the_order_in_the_file(tmp_path: Path) -> None:
    changes = [{**NO_KEYPOINTS, "segmentation": [[x, 5, x + 4, 5, x + 4, 9, x, 9]]} for x in (10, 20, 30)]
    changes[0]["image_id"], changes[2]["image_id"] = 3, 1  # type: ignore[assignment]  # values of any kind
    samples = list(coco(tmp_path, *changes))
    assert [sample.ignored[0].annotation for sample in samples] == [13, 12, 11]
    assert [sample.ignored[0].mask(40, 60).any(axis=0).argmax() for sample in samples] == [30, 20, 10]


def test_the_area_of_a_box_is_known_before_it_was_cut(tmp_path: Path) -> None:
    first, second, _ = coco(tmp_path, {"bbox": [-9, 5, 20, 50]})
    (cut,), (whole,) = first.instances, second.instances
    assert cut.box_area == 1000
    assert cut.box_xywh[2] * cut.box_xywh[3] < 1000
    assert whole.box_area == 600 == whole.box_xywh[2] * whole.box_xywh[3]
