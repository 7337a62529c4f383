"""The folder layouts in common use, and what is said when there is none."""

import gzip
from pathlib import Path

import pytest
from support.data import coco_files

from crowdbench import load_dataset
from crowdbench.errors import MissingDataError, UnknownNameError


@pytest.mark.parametrize(
    ("name", "split", "annotations", "images"),
    [
        ("crowdpose", "test", "json/crowdpose_test.json", "images"),
        ("crowdpose", "train", "json/crowdpose_train.json", "images"),
        ("crowdpose", "val", "annotations/crowdpose_val.json", "images"),
        ("crowdpose", "trainval", "annotations/mmpose_crowdpose_trainval.json", "images"),
        ("ochuman", "val", "ochuman_coco_format_val_range_0.00_1.00.json", "images"),
        ("ochuman", "test", "annotations/ochuman_coco_format_test_range_0.00_1.00.json", "images"),
        ("ochuman", "val", "annotations/ochuman_val.json", "images"),
        ("coco", "val2017", "annotations/person_keypoints_val2017.json", "images/val2017"),
        ("coco", "val2017", "annotations/coco_val.json", "val2017"),
        ("coco", "train2017", "annotations/coco_train.json", "images"),
    ],
)
def test_every_layout_is_read(tmp_path: Path, name: str, split: str, annotations: str, images: str) -> None:
    keypoints = 14 if name == "crowdpose" else 17
    coco_files.write(tmp_path, annotations, images, keypoints)
    dataset = load_dataset(name, split=split, root=tmp_path)
    assert len(dataset) == 3
    for sample in dataset:
        assert sample.read().shape == (40, 60, 3)
        assert [len(instance.keypoints) for instance in sample.instances] == [keypoints]


def test_a_gzipped_annotation_file_is_read(tmp_path: Path) -> None:
    coco_files.write(tmp_path, "json/crowdpose_test.json")
    plain = tmp_path / "json/crowdpose_test.json"
    plain.with_suffix(".json.gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    assert len(load_dataset("crowdpose", root=tmp_path)) == 3


def test_a_missing_file_lists_every_place_that_was_looked_at(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError) as caught:
        load_dataset("crowdpose", root=tmp_path)
    for place in ("json/crowdpose_test.json", "annotations/crowdpose_test.json"):
        assert str(tmp_path / place) in str(caught.value)
    assert "--root" in str(caught.value)


def test_a_missing_split_names_the_splits_that_are_there(tmp_path: Path) -> None:
    coco_files.write(tmp_path, "annotations/ochuman_val.json", keypoints=17)
    with pytest.raises(MissingDataError, match="There are annotations of val: pass --split val"):
        load_dataset("ochuman", root=tmp_path)


def test_a_gzipped_file_of_another_split_is_named_too(tmp_path: Path) -> None:
    coco_files.write(tmp_path, "json/crowdpose_val.json.gz")
    with pytest.raises(MissingDataError, match="pass --split val"):
        load_dataset("crowdpose", root=tmp_path)


def test_annotations_given_by_hand_find_the_images_of_the_root_that_has_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    coco_files.write(tmp_path / "data" / "crowdpose", "mine.json")
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("CROWDBENCH_DATA", str(tmp_path / "empty"))
    monkeypatch.chdir(tmp_path)
    dataset = load_dataset("crowdpose", annotations="data/crowdpose/mine.json")
    assert dataset[0].read().shape == (40, 60, 3)


def test_the_environment_says_where_data_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    coco_files.write(tmp_path / "crowdpose", "json/crowdpose_test.json")
    monkeypatch.setenv("CROWDBENCH_DATA", str(tmp_path))
    assert len(load_dataset("crowdpose")) == 3
    monkeypatch.setenv("CROWDBENCH_DATA", str(tmp_path / "crowdpose"))
    assert len(load_dataset("crowdpose")) == 3


def test_without_a_word_data_are_looked_for_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    coco_files.write(tmp_path / "data" / "crowdpose", "json/crowdpose_test.json")
    monkeypatch.delenv("CROWDBENCH_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    assert len(load_dataset("crowdpose")) == 3


def test_an_unknown_split_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'val2017'"):
        load_dataset("coco", split="val2014")


def test_an_annotation_file_may_be_given_by_hand(tmp_path: Path) -> None:
    coco_files.write(tmp_path, "mine.json")
    dataset = load_dataset("crowdpose", root=tmp_path, annotations=tmp_path / "mine.json")
    assert dataset.annotation_file == tmp_path / "mine.json"
    assert dataset[0].read().shape == (40, 60, 3)


def test_a_split_without_ground_truth_wants_a_detectors_boxes(tmp_path: Path) -> None:
    coco_files.write(
        tmp_path,
        "annotations/image_info_test-dev2017.json",
        "test2017",
        17,
        lambda content: content.pop("annotations"),
    )
    with pytest.raises(MissingDataError, match="--boxes FILE"):
        load_dataset("coco", split="test-dev2017", root=tmp_path)
    dataset = load_dataset("coco", split="test-dev2017", root=tmp_path, boxes="none")
    assert not dataset.has_annotations
    assert dataset[0].read().shape == (40, 60, 3)
    assert dataset[0].box_source == "none"
