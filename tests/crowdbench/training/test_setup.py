"""Which images are trained on."""

from pathlib import Path

import pytest
from support.data import coco_files

from crowdbench import load_dataset
from crowdbench.errors import SettingsError
from crowdbench.training.setup import trainable_samples


@pytest.mark.parametrize(("least", "expected"), [(1, [1, 2, 3]), (4, [1, 3]), (17, [1, 3]), (18, [3])])
def test_images_with_too_few_labelled_keypoints_of_all_persons_are_left_out(
    tmp_path: Path, least: int, expected: list[int]
) -> None:
    def change(content: dict) -> None:  # type: ignore[type-arg]
        content["annotations"][1] |= coco_files.person(12, 2, 3)
        content["annotations"][1]["keypoints"] += [0] * 42
        content["annotations"].append(coco_files.person(14, 3, 17, x=25))

    coco_files.write(
        tmp_path, "annotations/person_keypoints_val2017.json", "val2017", keypoints=17, change=change
    )
    dataset = load_dataset("coco", split="val2017", root=tmp_path)
    assert [sample.image_id for sample in trainable_samples(dataset, None, least)] == expected
    with pytest.raises(SettingsError, match="no image has 35 labelled keypoints"):
        trainable_samples(dataset, None, 35)
