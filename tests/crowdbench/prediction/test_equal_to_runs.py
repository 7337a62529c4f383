"""What is predicted for a picture is what a run predicts for the same image."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.data.images import Predict

from crowdbench import evaluate, load_dataset, load_method

pytestmark = pytest.mark.slow


def by_image(entries: list[dict[str, Any]]) -> dict[int, list[tuple[float, list[float]]]]:
    found: dict[int, list[tuple[float, list[float]]]] = {}
    for entry in entries:
        found.setdefault(entry["image_id"], []).append((entry["score"], entry["keypoints"]))
    return found


@pytest.mark.parametrize(
    ("method", "boxes"),
    [("i2rnet-tiny", "gt"), ("i2rnet-tiny", "detector"), ("hrnet-tiny", "gt"), ("pinet-tiny", "none")],
)
def test_poses_of_real_pictures_are_those_of_a_run(
    predict: Predict, machine: Path, real_data: Path, method: str, boxes: str
) -> None:
    root = real_data / "crowdpose"
    detections = root / "json" / "det_for_crowd_test_0.1_0.5.json"
    dataset = load_dataset("crowdpose", root=root, boxes=detections if boxes == "detector" else boxes)
    weights = f"{method}/synthcrowd"
    run = evaluate(load_method(method, dataset), dataset, weights=weights, out=machine / "runs", workers=0)
    files = {"gt": [root / "json" / "crowdpose_test.json"], "detector": [detections], "none": []}[boxes]
    said = predict(method, root / "images", *(("--boxes", *files) if files else ()), "--weights", weights)
    assert said.status == 0, said.err
    expected = by_image(json.loads(gzip.decompress(run.predictions_file.read_bytes())))
    found = by_image(said.predictions)
    assert expected.keys() == found.keys()
    assert len(found) == 2
    for image_id, poses in expected.items():
        for (score, keypoints), (other_score, others) in zip(poses, found[image_id], strict=True):
            assert score == pytest.approx(other_score, abs=1e-5)
            assert np.abs(np.array(keypoints) - np.array(others)).max() < 1e-5


def test_weights_say_for_which_dataset_a_method_is(predict: Predict, real_data: Path) -> None:
    pictures = real_data / "crowdpose" / "images"
    said = predict("pinet-tiny", pictures, dataset=None)
    assert said.status == 0, said.err
    assert said.listing["info"]["weights"] == "pinet-tiny/synthcrowd"
