"""The adapters on real samples, against what the original pipelines read from the same files."""

import json
from pathlib import Path

import numpy as np
import pytest

from crowdbench import load_dataset
from crowdbench.vision.geometry import centers_and_scales


@pytest.mark.parametrize(
    ("name", "split", "golden", "images"),
    [
        ("crowdpose", "test", "pipeline_crowdpose_256x192", 2),
        ("ochuman", "val", "pipeline_ochuman_256x192", 3),
        ("coco", "val2017", "pipeline_coco_256x192", 53),
    ],
)
def test_the_persons_and_boxes_are_those_of_the_original_pipeline(
    reference: Path, real_data: Path, name: str, split: str, golden: str, images: int
) -> None:
    expected = np.load(reference / "i2rnet" / f"{golden}.npz")["box_xywh"]
    persons = json.loads((reference / "i2rnet" / f"{golden}.json").read_text())["persons"]
    dataset = load_dataset(name, split=split, root=real_data / name)
    assert len(dataset) == images
    known = {person["image"].rsplit("/", 1)[-1] for person in persons}
    renamed = {"000001.jpg": "003799.jpg", "000002.jpg": "000817.jpg", "000003.jpg": "003896.jpg"}
    known |= {renamed[name] for name in known if name in renamed}
    found = [i.box_xywh for sample in dataset if sample.path.name in known for i in sample.instances]
    np.testing.assert_allclose(np.array(found), expected, atol=1e-9)


def test_a_detectors_boxes_are_those_of_its_file_in_its_order(real_data: Path) -> None:
    path = next((real_data / "coco" / "person_detection_results").glob("*.json"))
    entries = json.loads(path.read_text())
    dataset = load_dataset("coco", root=real_data / "coco", boxes=path)
    instances = sorted((i for sample in dataset for i in sample.instances), key=lambda i: i.id)
    assert [i.id for i in instances] == list(range(len(entries)))
    assert [i.score for i in instances] == [entry["score"] for entry in entries]
    np.testing.assert_array_equal([i.box_xywh for i in instances], [entry["bbox"] for entry in entries])
    assert {sample.box_source for sample in dataset} == {"detector"}
    assert dataset.boxes.label.startswith("detector:")


def test_a_detectors_boxes_are_cropped_where_the_original_pipeline_crops_them(
    reference: Path, real_data: Path
) -> None:
    expected = np.load(reference / "i2rnet" / "pipeline_coco_detector_256x192.npz")
    path = next((real_data / "coco" / "person_detection_results").glob("*.json"))
    dataset = load_dataset("coco", root=real_data / "coco", boxes=path)
    instances = sorted((i for sample in dataset for i in sample.instances), key=lambda i: i.id)
    centers, scales = centers_and_scales([i.box_xywh for i in instances], (256, 192))
    np.testing.assert_array_equal(centers, expected["all_center"])
    np.testing.assert_array_equal(scales, expected["all_scale"])
    np.testing.assert_array_equal([i.score for i in instances], expected["all_score"])
    chosen = [instances[record].box_xywh for record in expected["selected_records"]]
    np.testing.assert_array_equal(chosen, expected["box_xywh"])


def test_the_keypoints_are_those_of_the_file(real_data: Path) -> None:
    for name, split in (("crowdpose", "test"), ("ochuman", "val"), ("coco", "train2017")):
        dataset = load_dataset(name, split=split, root=real_data / name)
        truth = {a["id"]: a for a in json.loads(dataset.annotation_file.read_text())["annotations"]}
        seen = 0
        for sample in dataset:
            for instance in sample.instances:
                entry = truth[instance.id]
                assert entry["image_id"] == sample.image_id
                np.testing.assert_array_equal(instance.keypoints.ravel(), entry["keypoints"])
                seen += 1
        assert seen > 3
        assert dataset.corrections == ()


def test_crowd_index_and_sizes_are_read(real_data: Path) -> None:
    sample = load_dataset("crowdpose", root=real_data / "crowdpose")[0]
    assert (sample.image_id, sample.width, sample.height, sample.crowd_index) == (106848, 640, 425, 0.33)
    assert sample.read().shape == (425, 640, 3)
    box = sample.instances[0].box_xywh
    assert sample.instances[0].area == pytest.approx(0.53 * 273.15 * 352.42)
    assert box[0] == pytest.approx(106.01)
