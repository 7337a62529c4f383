"""No warning on any annotation file and detector's file of the real data and the drawn sets."""

from pathlib import Path

import msgspec
import pytest

from crowdbench import load_dataset
from crowdbench.api.scoring_protocol import ScoringProtocol
from crowdbench.coco.opening import open_coco
from crowdbench.coco.rules.entries import Rules
from crowdbench.system.files.reading import read_bytes
from crowdbench_datasets.coco import COCO
from crowdbench_datasets.crowdpose import CrowdPose

DETECTIONS = {
    "crowdpose": "json/det_for_crowd_test_0.1_0.5.json",
    "coco": "person_detection_results/COCO_val2017_detections_AP_H_56_person.json",
}
# Drawn with labels of visibility 3, which the scorer refuses.
REFUSED = {"win_coco_far_gt.json", "win_coco_gt.json", "win_crowd_gt.json"}


def annotation_files(folder: Path) -> list[tuple[Path, ScoringProtocol]]:
    """Those in COCO's format, with the protocol of as many keypoints."""
    found = []
    for path in sorted([*folder.rglob("*.json"), *folder.rglob("*.json.gz")]):
        try:
            content = msgspec.json.decode(read_bytes(path, "JSON"))
        except msgspec.DecodeError:
            continue  # results of engines, with NaN
        if not isinstance(content, dict) or not {"images", "annotations", "categories"} <= content.keys():
            continue
        keypoints = len(content["annotations"][0]["keypoints"]) // 3
        if path.name not in REFUSED:
            found.append((path, CrowdPose.protocol if keypoints == 14 else COCO.protocol))
    return found


@pytest.mark.parametrize(
    ("of", "least"),
    [
        ("compact_goldens", 12),
        pytest.param("real_data", 4, marks=pytest.mark.reference),
        pytest.param("reference", 15, marks=pytest.mark.reference),
    ],
)
def test_annotation_files_are_silent(request: pytest.FixtureRequest, of: str, least: int) -> None:
    files = annotation_files(request.getfixturevalue(of))
    assert len(files) >= least
    for path, protocol in files:
        opened = open_coco(path, Rules(protocol, loaded=False))
        assert (path.name, opened.warnings, opened.content.corrections) == (path.name, (), ())


@pytest.mark.parametrize("name", DETECTIONS)
def test_detectors_files_are_silent(real_data: Path, name: str) -> None:
    root = real_data / name
    dataset = load_dataset(name, root=root, boxes=root / DETECTIONS[name])
    assert (dataset.warnings, dataset.corrections) == ((), ())
