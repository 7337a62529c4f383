import json
from pathlib import Path

import pytest
from support.data import coco_files

from crowdbench import load_dataset
from crowdbench.api.boxes import DetectorBoxes, GroundTruthBoxes, NoBoxes, box_source
from crowdbench.errors import MissingDataError
from crowdbench.leaderboard.published_match import DetectorAliases

BOXES = '[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}]'


@pytest.mark.parametrize(
    ("given", "source"),
    [
        pytest.param("gt", GroundTruthBoxes(), id="gt"),
        pytest.param("none", NoBoxes(), id="none"),
        pytest.param("boxes.json", DetectorBoxes(Path("boxes.json")), id="text"),
        pytest.param(Path("gt"), DetectorBoxes(Path("gt")), id="a file may be called gt"),
        pytest.param(NoBoxes(), NoBoxes(), id="a source is itself"),
    ],
)
def test_the_boxes_option_is_a_word_or_a_file(given: object, source: object) -> None:
    assert box_source(given) == source  # type: ignore[arg-type]


def test_two_detectors_files_share_a_label_only_if_their_content_is_equal(tmp_path: Path) -> None:
    contents = {"a.json": BOXES, "copy-of-a.json": BOXES, "b.json": BOXES.replace("0.5", "0.6")}
    labels = {}
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
        labels[name] = DetectorBoxes(tmp_path / name).label
    assert labels["a.json"] == labels["copy-of-a.json"] != labels["b.json"]
    assert labels["a.json"].startswith("detector:")


def test_the_label_of_a_missing_file_is_an_error_not_a_name() -> None:
    with pytest.raises(MissingDataError, match=r"nowhere\.json"):
        _ = DetectorBoxes(Path("nowhere.json")).label


@pytest.mark.parametrize(("boxes", "persons"), [("gt", [1, 1, 1]), ("none", [0, 0, 0]), ("FILE", [1, 0, 0])])
def test_samples_say_where_their_boxes_come_from(tmp_path: Path, boxes: str, persons: list[int]) -> None:
    coco_files.write(tmp_path, "json/crowdpose_test.json")
    (tmp_path / "boxes.json").write_text(BOXES)
    given = tmp_path / "boxes.json" if boxes == "FILE" else boxes
    dataset = load_dataset("crowdpose", root=tmp_path, boxes=given)
    assert [len(sample.boxes_xywh) for sample in dataset] == persons
    assert {s.box_source for s in dataset} == {"detector" if boxes == "FILE" else boxes}
    assert all(sample.boxes_xywh.shape[1] == 4 for sample in dataset)


SCORED = json.dumps(
    [
        {"image_id": image, "category_id": 1, "bbox": [1, 2, 30, 20], "score": score}
        for image, score in ((1, 0.9), (1, 0.3), (2, 0.29), (3, 0.7))
    ]
)


@pytest.mark.parametrize(
    ("least", "persons"),
    [(None, [2, 1, 1]), (0.3, [2, 0, 1]), (0.31, [1, 0, 1]), (0.9, [1, 0, 0]), (-1, [2, 1, 1])],
)
def test_boxes_below_the_least_score_are_left_out(
    tmp_path: Path, least: float | None, persons: list[int]
) -> None:
    coco_files.write(tmp_path, "json/crowdpose_test.json")
    (tmp_path / "boxes.json").write_text(SCORED)
    dataset = load_dataset("crowdpose", root=tmp_path, boxes=DetectorBoxes(tmp_path / "boxes.json", least))
    assert [len(sample.boxes_xywh) for sample in dataset] == persons


def test_another_least_score_is_another_source_of_boxes(tmp_path: Path) -> None:
    (tmp_path / "boxes.json").write_text(SCORED)
    labels = [DetectorBoxes(tmp_path / "boxes.json", least).label for least in (None, 0, -0.0, 0.3, 0.31)]
    assert labels[1] == labels[2]
    assert len(set(labels)) == 4
    assert labels[3] == f"{labels[0]}>=0.3"


def test_a_claim_for_a_detector_is_not_one_for_some_of_its_boxes() -> None:
    claims = DetectorAliases({"0a1b": "R-50", "77>=0.3": "R-101"})
    assert claims.claimed("detector:0a1b2c") == "R-50"
    assert claims.claimed("detector:0a1b2c>=0.3") is None
    assert claims.claimed("detector:77>=0.3") == "R-101"
    assert claims.claimed("detector:77>=0.2") is None
