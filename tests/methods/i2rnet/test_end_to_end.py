"""Every top-down method on every dataset with every kind of boxes, from a checkpoint to the predictions file,
against the plainest way to compute the same (support.reference.top_down).

Weights are drawn, not trained. Their heatmaps have flat peaks: there a position moves by far more than 1e-4
pixels when a heatmap changes by float32's rounding. So every coordinate is held against two expectations: what
the plain path makes of the fast path's own heatmaps, closely; and what it makes of its own, as closely as the
peak allows. Heatmaps, confidences, scores, and who is kept are held closely throughout.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from support.reference import top_down as plain_path
from support.reference.i2rnet_networks import filling
from support.reference.top_down import LAYOUTS, FloatArray, PlainPose
from torch import nn

from crowdbench import evaluate, load_dataset
from crowdbench.api.load_method import load_method
from crowdbench.api.method import NetworkMethod
from crowdbench.system.files.reading import read_bytes
from crowdbench_backbones.top_down.method import TopDownMethod

SIZE = (256, 192)
TOLERANCE = 1e-4
# How much two float32 computations of a heatmap may differ, as part of its height, after smoothing.
ROUNDING = 2e-5

CHEAP = ["i2rnet-vanilla", "hrnet-w48-s"]
DEAR = ["i2rnet-transpose", "i2rnet-hrformer", "transpose-h", "hrformer-b"]


@dataclass(frozen=True)
class Place:
    """Where a dataset's sample is, and the two images of it that are used."""

    split: str
    annotations: str
    images: str
    ids: tuple[int, int]
    detections: str | None = None


PLACES = {
    "crowdpose": Place(
        "test",
        "json/crowdpose_test.json",
        "images",
        ids=(106848, 103319),
        detections="json/det_for_crowd_test_0.1_0.5.json",
    ),
    "ochuman": Place("val", "ochuman_coco_format_val_range_0.00_1.00.json", "images", ids=(2, 1)),
    "coco": Place(
        "val2017",
        "annotations/person_keypoints_val2017.json",
        "images/val2017",
        ids=(40083, 785),
        detections="person_detection_results/COCO_val2017_detections_AP_H_56_person.json",
    ),
}
# Of each image at most so many annotated or detected persons.
PERSONS = (2, 1)


@dataclass(frozen=True, eq=False)
class Loaded:
    """A method, a checkpoint, and its network as the modules stand."""

    method: NetworkMethod
    network: nn.Module
    checkpoint: Path


@pytest.fixture(scope="module", params=PLACES)
def dataset(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(
    scope="module", params=[*CHEAP, *(pytest.param(method, marks=pytest.mark.slow) for method in DEAR)]
)
def loaded(
    request: pytest.FixtureRequest, dataset: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Loaded]:
    """One at a time: a checkpoint of HRFormer is 170 MB."""
    method = load_method(request.param, dataset)
    assert isinstance(method, NetworkMethod)
    network = filling().into(method.build_network().eval())
    checkpoint = tmp_path_factory.mktemp("weights") / f"{method.name}.pth"
    torch.save(as_released(method.name, network), checkpoint)
    yield Loaded(method, network, checkpoint)
    checkpoint.unlink()


def as_released(method: str, network: nn.Module) -> dict[str, Any]:
    """I2R-Net's and TransPose's files are state dicts, HRFormer's are of mmpose's training."""
    state = network.state_dict()
    return {"meta": {"epoch": 210}, "state_dict": state} if method == "hrformer-b" else state


@pytest.fixture
def annotations(dataset: str, real_data: Path, tmp_path: Path) -> Path:
    """The dataset's own file, of two images and few persons."""
    place = PLACES[dataset]
    content = json.loads((real_data / dataset / place.annotations).read_text())
    images = {image["id"]: image for image in content["images"]}
    content["images"] = [images[image_id] for image_id in place.ids]
    content["annotations"] = first_of_each(
        [a for a in content["annotations"] if not a["iscrowd"] and any(a["keypoints"])], place.ids
    )
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(content))
    return path


def first_of_each(entries: Sequence[dict[str, Any]], ids: Sequence[int]) -> list[dict[str, Any]]:
    return [
        entry
        for image_id, count in zip(ids, PERSONS, strict=True)
        for entry in [e for e in entries if e["image_id"] == image_id][:count]
    ]


def detector_file(dataset: str, annotations: Path, data: Path) -> Path:
    """The first detections in two images; where the sample has none, annotated boxes somewhat moved."""
    place = PLACES[dataset]
    if place.detections is not None:
        found = first_of_each(json.loads((data / dataset / place.detections).read_text()), place.ids)
    else:
        rng = np.random.default_rng(0)
        found = [
            {
                "image_id": annotation["image_id"],
                "category_id": 1,
                "bbox": (np.array(annotation["bbox"]) + rng.uniform(-12, 12, 4)).tolist(),
                "score": float(rng.uniform(0.5, 1)),
            }
            for annotation in json.loads(annotations.read_text())["annotations"]
        ]
        found.append({**found[-1], "score": 0.4})  # a person found twice, of which one is to go
    path = annotations.with_name("detections.json")
    path.write_text(json.dumps(found))
    return path


def watched_heatmaps(monkeypatch: pytest.MonkeyPatch) -> list[NDArray[np.float32]]:
    """The heatmaps of every batch that is predicted from now on."""
    seen: list[NDArray[np.float32]] = []
    averaged = TopDownMethod._averaged

    def watched(self: TopDownMethod, network: nn.Module, batch: Any) -> NDArray[np.float32]:
        heatmaps = averaged(self, network, batch)
        seen.append(heatmaps.copy())
        return heatmaps

    monkeypatch.setattr(TopDownMethod, "_averaged", watched)
    return seen


def assert_same(
    predictions: Sequence[dict[str, Any]],
    expected: Sequence[PlainPose],
    tolerance: Callable[[PlainPose], FloatArray],
) -> None:
    """The same persons in the same order, with the same scores; keypoints within a tolerance in pixels."""
    assert len(predictions) == len(expected)
    scores = [pose.score for pose in expected]
    assert (np.diff(scores) < -TOLERANCE).all(), "the order of these inputs is not certain"
    np.testing.assert_allclose([p["score"] for p in predictions], scores, rtol=0, atol=TOLERANCE)
    for prediction, pose in zip(predictions, expected, strict=True):
        keypoints = np.array(prediction["keypoints"]).reshape(-1, 3)
        np.testing.assert_allclose(keypoints[:, 2], pose.keypoints[:, 2], rtol=0, atol=TOLERANCE)
        away = np.abs(keypoints - pose.keypoints)[:, :2].max(axis=1)
        np.testing.assert_array_less(away, tolerance(pose))


def decoded_alike(pose: PlainPose) -> FloatArray:
    """From the same heatmaps, whose logarithms are rounded to float32 on both ways."""
    return tolerances(pose, lambda heatmap, near: np.spacing(np.float32(np.abs(near).max())))


def as_far_as_peaks_allow(pose: PlainPose) -> FloatArray:
    """From heatmaps that are equal up to rounding: any distance if another pixel is as high."""

    def change(heatmap: NDArray[np.float32], near: FloatArray) -> float:
        second, first = np.sort(heatmap, axis=None)[-2:]
        # Of the logarithm, beside the peak.
        return np.inf if first - second < 10 * ROUNDING * first else ROUNDING * first / np.exp(near.min())

    return tolerances(pose, change)


def tolerances(pose: PlainPose, change: Callable[[NDArray[np.float32], FloatArray], float]) -> FloatArray:
    """In pixels, for each keypoint: how far it goes when the logarithm beside its peak changes by so much."""
    steps = []
    for heatmap in pose.maps:
        if heatmap.max() <= 0:
            steps.append(0.0)  # such a keypoint is put in the corner
            continue
        logs = plain_path.logarithm(heatmap).astype(np.float64)
        y, x = divmod(int(heatmap.argmax()), heatmap.shape[1])
        near = logs[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3]
        steps.append(change(heatmap, near) * sensitivity(logs, x, y))
    return TOLERANCE + pose.cell * np.array(steps)


def sensitivity(logs: FloatArray, x: int, y: int) -> float:
    """How far, in heatmap pixels, a peak goes by a change of the logarithm by 1 if small changes are linear."""
    height, width = logs.shape
    if not (1 < x < width - 2 and 1 < y < height - 2):
        return 1.0  # to another pixel or nowhere
    gradient, hessian = plain_path.slopes(logs, x, y)
    if not np.linalg.det(hessian):
        return 1.0
    inverse = np.linalg.inv(hessian)
    # Gradient and Hessian change by as much as the logarithm does.
    return float(np.linalg.norm(inverse, 2) * (1 + np.linalg.norm(inverse @ gradient)))


@pytest.mark.parametrize("boxes", ["gt", "detector"])
def test_predictions_are_those_of_the_plainest_path(
    loaded: Loaded,
    dataset: str,
    boxes: str,
    annotations: Path,
    real_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place, layout = PLACES[dataset], LAYOUTS[dataset]
    detections = detector_file(dataset, annotations, real_data) if boxes == "detector" else None
    opened = load_dataset(
        dataset,
        split=place.split,
        root=real_data / dataset,
        annotations=annotations,
        boxes=detections or "gt",
    )
    computed = watched_heatmaps(monkeypatch)
    run = evaluate(loaded.method, opened, weights=loaded.checkpoint, out=tmp_path / "runs", workers=0)
    predictions = json.loads(read_bytes(run.predictions_file, "predictions"))
    (fast,) = computed  # both images in one batch

    pictures = list(
        plain_path.pictures(
            real_data / dataset / place.images, annotations, detections, areas=dataset != "crowdpose"
        )
    )
    counts = [len(picture.persons) for picture in pictures]
    assert counts[0] == PERSONS[0], "somebody must have a neighbour"
    assert sum(counts) == len(fast)
    ends = np.cumsum(counts)
    poses = []
    for picture, maps in zip(pictures, np.split(fast, ends[:-1]), strict=True):
        plain = plain_path.heatmaps(loaded.network, picture, SIZE, layout)
        np.testing.assert_allclose(maps, plain, rtol=0, atol=TOLERANCE)
        found = [p for p in predictions if p["image_id"] == picture.image_id]
        assert_same(found, plain_path.poses(picture, maps, SIZE, layout), decoded_alike)
        assert_same(found, plain_path.poses(picture, plain, SIZE, layout), as_far_as_peaks_allow)
        poses += found
    assert poses == predictions  # no others, in the annotations' order
