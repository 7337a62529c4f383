"""A run finds its predictions again as long as nothing changed that they depend on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.data import coco_files
from support.methods.toy import BoxCentre, ToySettings

from crowdbench import load_dataset
from crowdbench.errors import DataError
from crowdbench.evaluation.evaluate import evaluate
from crowdbench.run_store.run import Run

Change = Callable[[dict[str, Any]], object]


class Counting(BoxCentre):
    """Counts how many images it was asked for."""

    asked = 0

    def estimate(self, image: Any, boxes: Any) -> Any:
        Counting.asked += 1
        return super().estimate(image, boxes)


def changed(root: Path, change: Change) -> None:
    path = root / "data/json/crowdpose_test.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def run(root: Path, **options: Any) -> tuple[Run, int]:
    """The run, and how many images were predicted for it."""
    dataset = load_dataset("crowdpose", root=root / "data", **options)
    Counting.asked = 0
    done = evaluate(
        Counting(dataset.keypoints, ToySettings(), "counting"), dataset, weights="none", out=root / "runs"
    )
    return done, Counting.asked


@pytest.fixture
def root(tmp_path: Path) -> Path:
    coco_files.write(tmp_path / "data", "json/crowdpose_test.json")
    return tmp_path


def person(content: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = content["annotations"][0]
    return found


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda c: person(c).update(num_keypoints=0), id="num_keypoints"),
        pytest.param(lambda c: person(c).update(area=200), id="area, which crowding rules do not use"),
        pytest.param(lambda c: c["images"][0].update(crowdIndex=0.9), id="crowdIndex"),
        pytest.param(lambda c: c.update(info={"version": 2}), id="a field that nobody reads"),
    ],
)
def test_what_only_scores_depend_on_is_scored_anew_and_nothing_is_predicted(
    root: Path, change: Change
) -> None:
    first, asked = run(root)
    assert asked == 3
    (first.directory / "interval.json").write_text("{}")
    changed(root, change)
    second, asked = run(root)
    assert asked == 0
    assert second.directory == first.directory
    assert second.record.protocol.annotations != first.record.protocol.annotations
    assert any("scored anew" in sentence for sentence in second.record.corrections)
    assert second.record.finished == first.record.finished
    assert not (first.directory / "interval.json").exists()
    assert Run.read(first.directory).record.scores == second.record.scores
    third, asked = run(root)
    assert (third.record.corrections, asked) == (second.record.corrections, 0)


def test_scores_are_those_of_the_ground_truth_as_it_is_now(root: Path) -> None:
    first, _ = run(root)
    assert first.record.scores is not None
    changed(root, lambda c: [entry.update(num_keypoints=0) for entry in c["annotations"]])
    second, _ = run(root)
    assert second.record.scores is not None
    assert second.record.scores["AP"] == -1 != first.record.scores["AP"]
    assert any("no annotated person counts" in sentence for sentence in second.record.warnings)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda c: person(c).update(bbox=[6, 5, 20, 30]), id="a box"),
        pytest.param(lambda c: person(c).update(iscrowd=1), id="who is asked for"),
        pytest.param(lambda c: c["images"].pop(), id="the images"),
        pytest.param(lambda c: c["images"][0].update(id=77), id="an image's id"),
        pytest.param(
            lambda c: (c["categories"][0].update(id=5), [e.update(category_id=5) for e in c["annotations"]]),
            id="the category",
        ),
    ],
)
def test_what_predictions_depend_on_makes_another_run(root: Path, change: Change) -> None:
    first, _ = run(root)
    changed(root, change)
    second, asked = run(root)
    assert second.directory != first.directory
    assert asked > 0


def test_a_run_writes_the_category_of_its_annotation_file_and_can_be_scored(root: Path) -> None:
    changed(
        root,
        lambda c: (c["categories"][0].update(id=0), [e.update(category_id=0) for e in c["annotations"]]),
    )
    done, _ = run(root)
    assert done.record.state == "done"
    assert done.record.scores is not None


def test_a_run_that_would_ask_nobody_is_refused(root: Path) -> None:
    changed(root, lambda c: [entry.update(bbox=[100, 100, 5, 5]) for entry in c["annotations"]])
    with pytest.raises(DataError, match="no person to predict on any of the 3 images"):
        run(root)


def test_what_is_implausible_is_in_the_record(root: Path) -> None:
    changed(root, lambda c: c["annotations"].append({**person(c), "id": 99}))
    done, _ = run(root)
    assert [s for s in done.record.warnings if "1 of 4 persons are annotated twice" in s]
    assert len(set(done.record.warnings)) == len(done.record.warnings)
