"""The contract of datasets: what the repository has keeps it, and what is broken is found."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.data.coco_files import write

from crowdbench import load_dataset
from crowdbench.api.dataset import Dataset
from crowdbench.testing import DatasetContract, Failed, check_dataset
from crowdbench_datasets.synthcrowd.export import generate
from crowdbench_datasets.synthcrowd.recipe import Recipe


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthcrowd")
    generate(Recipe(images=6, width=160, height=120), folder, workers=1)
    return folder


class TestSynthCrowd(DatasetContract):
    dataset = "synthcrowd"

    @pytest.fixture(autouse=True)
    def place(self, drawn: Path) -> None:
        type(self).root = drawn


@pytest.mark.parametrize(
    ("name", "split"), [("crowdpose", "test"), ("ochuman", "val"), ("coco", "val2017"), ("coco", "train2017")]
)
def test_real_samples_keep_the_contract(real_data: Path, name: str, split: str) -> None:
    root = real_data / name
    found = check_dataset(lambda: load_dataset(name, split=split, root=root), root=root)
    assert [f for f in found if isinstance(f.outcome, Failed)] == []


def failures(open: Callable[[], Dataset]) -> dict[str, Failed]:
    return {f.name: f.outcome for f in check_dataset(open) if isinstance(f.outcome, Failed)}


def written(tmp_path: Path, change: Callable[[dict[str, Any]], object] = lambda _: None) -> Path:
    return write(tmp_path, "json/crowdpose_test.json", keypoints=14, change=change)


def opened(root: Path) -> Dataset:
    return load_dataset("crowdpose", root=root)


def test_a_small_dataset_keeps_the_contract(tmp_path: Path) -> None:
    root = written(tmp_path)
    assert failures(lambda: opened(root)) == {}


def test_an_image_of_another_size_is_found(tmp_path: Path) -> None:
    def grow(content: dict[str, Any]) -> None:
        content["images"][1]["width"] += 1

    root = written(tmp_path, grow)
    found = failures(lambda: opened(root))
    assert set(found) == {"images"}
    assert "60x40" in found["images"].came


def test_a_missing_image_is_found(tmp_path: Path) -> None:
    root = written(tmp_path)
    (root / "images" / "000002.jpg").unlink()
    assert set(failures(lambda: opened(root))) == {"images"}


class Wrapped(Dataset):
    """Another dataset, with something wrong."""

    def __init__(self, root: Path) -> None:
        self.inner = opened(root)
        self.split, self.boxes = self.inner.split, self.inner.boxes
        self.keypoints, self.protocol = self.inner.keypoints, self.inner.protocol
        self.annotation_file, self.has_annotations = self.inner.annotation_file, True

    name, splits, default_split = "wrapped", ("test",), "test"

    @classmethod
    def open(cls, split: str, root: Any, boxes: Any, annotations: Any = None) -> "Wrapped":
        return cls(root)

    def __len__(self) -> int:
        return len(self.inner)

    def __getitem__(self, index: int) -> Any:
        return self.inner[index]


class Shuffled(Wrapped):
    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.first = next(Shuffled.turns)

    turns = iter(range(100))

    def __getitem__(self, index: int) -> Any:
        return self.inner[(index + self.first) % len(self.inner)]


class SameIds(Wrapped):
    def __getitem__(self, index: int) -> Any:
        return dataclasses.replace(self.inner[index], image_id=1)


class BadBoxes(Wrapped):
    def __getitem__(self, index: int) -> Any:
        sample = self.inner[index]
        boxes = [dataclasses.replace(i, box_xywh=[np.nan, 0, 1, 1]) for i in sample.instances]
        return dataclasses.replace(sample, instances=tuple(boxes))


class WrongPairs(Wrapped):
    def __init__(self, root: Path) -> None:
        super().__init__(root)
        pairs = ((0, 3), (2, 1), *self.keypoints.flip_pairs[2:])
        self.keypoints = dataclasses.replace(self.keypoints, flip_pairs=pairs)
        self.protocol = dataclasses.replace(self.protocol, keypoints=self.keypoints)


class Shifted(Wrapped):
    def __getitem__(self, index: int) -> Any:
        sample = self.inner[index]
        moved = [dataclasses.replace(i, keypoints=i.keypoints + [9, 9, 0]) for i in sample.instances]
        return dataclasses.replace(sample, instances=tuple(moved))


class Unpicklable(Wrapped):
    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.key = lambda sample: sample.image_id


@pytest.mark.parametrize(
    ("cls", "caught"),
    [
        (Shuffled, "order"),
        (SameIds, "ids"),
        (BadBoxes, "instances"),
        (WrongPairs, "keypoint_names"),
        (Shifted, "scoring"),
        (Unpicklable, "pickling"),
        (Wrapped, "boxes"),
    ],
)
def test_a_broken_dataset_is_caught(cls: type[Wrapped], caught: str, tmp_path: Path) -> None:
    root = written(tmp_path)
    found = {f.name: f.outcome for f in check_dataset(lambda: cls(root), root=root)}
    outcome = found[caught]
    assert isinstance(outcome, Failed)
    assert outcome.expected
    assert outcome.came
    assert outcome.why


def test_splits_that_share_an_image_are_found(tmp_path: Path) -> None:
    root = written(tmp_path)
    content = json.loads((root / "json" / "crowdpose_test.json").read_text())
    (root / "json" / "crowdpose_train.json").write_text(json.dumps(content))
    found = {f.name: f.outcome for f in check_dataset(lambda: opened(root), root=root)}
    assert isinstance(found["splits"], Failed)
    assert "000001.jpg" in found["splits"].came
