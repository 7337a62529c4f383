"""Evaluation end to end, on the built-in dataset, with toy methods."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.methods.toy import BoxCentre, ToyNetwork, ToySettings, WrongCount

from crowdbench import evaluate, load_dataset
from crowdbench.api.dataset import Dataset
from crowdbench.api.types import Pose
from crowdbench.errors import MissingDataError, PluginError, RunError, SettingsError, WeightsError
from crowdbench.run_store.run import Run
from crowdbench.run_store.scan import find_runs
from crowdbench.system.files.reading import read_bytes


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return load_dataset("synthcrowd")


def toy(dataset: Dataset, **settings: Any) -> ToyNetwork:
    return ToyNetwork(dataset.keypoints, ToySettings(**settings), "toy")


def predictions(run: Run) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(read_bytes(run.predictions_file, "predictions"))
    return found


def test_a_wrapper_method_is_run_scored_and_recorded(dataset: Dataset, tmp_path: Path) -> None:
    run = evaluate(BoxCentre(dataset.keypoints, BoxCentre.Settings()), dataset, out=tmp_path, limit=6)
    asked = [dataset[i] for i in range(6)]
    assert [p["image_id"] for p in predictions(run)] == [s.image_id for s in asked for _ in s.instances]
    box = asked[0].instances[0].box_xywh
    assert predictions(run)[0]["keypoints"][:2] == pytest.approx(box[:2] + box[2:] / 2)
    assert run.record.state == "done"
    assert run.record.scores is not None
    assert 0 <= run.record.scores["AP"] < 1
    assert run.record.protocol.boxes == "gt"
    assert not run.record.protocol.complete
    assert run.record.protocol.images == 6
    assert find_runs(tmp_path) == [run]


def test_a_partial_run_is_scored_on_its_images_alone(dataset: Dataset, tmp_path: Path) -> None:
    """A method that knows the answers of the first images is perfect on them."""

    class Oracle(BoxCentre):
        def estimate(self, image: Any, boxes: Any) -> list[Pose]:
            keypoints = {
                tuple(i.box_xywh): i.keypoints
                for s in map(dataset.__getitem__, range(5))
                for i in s.instances
            }
            return [
                Pose(np.c_[keypoints[tuple(box)][:, :2], np.ones(len(keypoints[tuple(box)]))], 1.0)
                for box in boxes
            ]

    run = evaluate(Oracle(dataset.keypoints, Oracle.Settings()), dataset, out=tmp_path, limit=5)
    assert run.scores is not None
    assert run.scores["AP"] > 0.99


def test_every_batch_is_reported(dataset: Dataset, tmp_path: Path) -> None:
    seen: list[Any] = []
    persons = [len(dataset[i].instances) for i in range(5)]
    evaluate(
        toy(dataset),
        dataset,
        weights="none",
        out=tmp_path,
        limit=5,
        batch_size=sum(persons[:2]),
        workers=0,
        on_progress=seen.append,
    )
    assert [p.images for p in seen][:2] == [0, 2]
    assert (seen[-1].images, seen[-1].of, seen[-1].persons) == (5, 5, sum(persons))


def test_settings_that_are_not_as_published_are_part_of_the_protocol(
    dataset: Dataset, tmp_path: Path
) -> None:
    arguments: dict[str, Any] = {"weights": "none", "out": tmp_path, "limit": 1, "workers": 0}
    published = evaluate(toy(dataset), dataset, **arguments)
    changed = evaluate(toy(dataset, scale=0.5), dataset, **arguments)
    assert published.record.protocol.changed_settings == {}
    assert changed.record.protocol.changed_settings == {"scale": 0.5}
    assert Run.read(changed.directory).record.protocol == changed.record.protocol


def test_loader_workers_change_nothing(dataset: Dataset, tmp_path: Path) -> None:
    runs = [
        evaluate(
            toy(dataset), dataset, weights="none", out=tmp_path / str(n), limit=6, batch_size=2, workers=n
        )
        for n in (0, 2)
    ]
    assert runs[0].predictions_file.read_bytes() == runs[1].predictions_file.read_bytes()


@pytest.mark.parametrize(
    "change",
    [
        {"limit": 3},
        {"batch_size": 3},
        {"seed": 1},
        {"precision": "bf16"},
        pytest.param({"compiled": True}, marks=pytest.mark.slow),
        {"settings": {"scale": 0.5}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_may_change_a_prediction_makes_another_run(
    dataset: Dataset, tmp_path: Path, change: dict[str, Any]
) -> None:
    arguments: dict[str, Any] = {
        "weights": "none",
        "out": tmp_path,
        "limit": 2,
        "batch_size": 2,
        "workers": 0,
    }
    base = evaluate(toy(dataset), dataset, **arguments)
    settings = change.pop("settings", {})
    other = evaluate(toy(dataset, **settings), dataset, **{**arguments, **change})
    assert base.record.id != other.record.id
    assert len(find_runs(tmp_path)) == 2


def test_weights_are_loaded_and_named_by_their_content(dataset: Dataset, tmp_path: Path) -> None:
    method = toy(dataset)
    state = {name: torch.zeros_like(tensor) for name, tensor in method.build_network().state_dict().items()}
    torch.save(state, tmp_path / "one.pth")
    shutil.copy(tmp_path / "one.pth", tmp_path / "copy.pth")
    runs = [
        evaluate(method, dataset, weights=tmp_path / name, out=tmp_path / name[:-4], limit=1, workers=0)
        for name in ("one.pth", "copy.pth")
    ]
    # All weights zero: every offset is sigmoid(0).
    box = dataset[0].instances[0].box_xywh
    assert predictions(runs[0])[0]["keypoints"][:2] == pytest.approx(box[:2] + 0.5 * box[2:])
    assert runs[0].record.id == runs[1].record.id


def test_weights_of_another_network_are_refused_and_the_record_says_why(
    dataset: Dataset, tmp_path: Path
) -> None:
    torch.save({"weight": torch.zeros(1, 3)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="1 missing: bias"):
        evaluate(toy(dataset), dataset, weights=tmp_path / "other.pth", out=tmp_path / "runs", limit=1)
    (run,) = find_runs(tmp_path / "runs")
    assert run.record.state == "failed"
    assert "1 missing: bias" in (run.record.reason or "")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({}, WeightsError),
        ({"weights": "nowhere.pth"}, MissingDataError),
        ({"weights": "none", "limit": 0}, SettingsError),
        ({"weights": "none", "batch_size": 0}, SettingsError),
        ({"weights": "none", "device": "cuda:99" if torch.cuda.is_available() else "cuda"}, SettingsError),
    ],
)
def test_wrong_arguments_are_errors_before_anything_is_written(
    dataset: Dataset, tmp_path: Path, arguments: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        evaluate(toy(dataset), dataset, out=tmp_path / "runs", **arguments)
    assert not (tmp_path / "runs").exists()


def test_a_method_that_returns_the_wrong_number_of_keypoints_is_stopped(
    dataset: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(PluginError, match=r"WrongCount: estimate returned 13 keypoints for image 100001"):
        evaluate(WrongCount(dataset.keypoints, WrongCount.Settings()), dataset, out=tmp_path, limit=2)


def test_a_crash_in_a_method_keeps_finished_batches(dataset: Dataset, tmp_path: Path) -> None:
    class Crashes(BoxCentre):
        calls = 0

        def estimate(self, image: Any, boxes: Any) -> list[Pose]:
            type(self).calls += 1
            if self.calls == 4:
                raise ZeroDivisionError("broken")
            return super().estimate(image, boxes)

    arguments: dict[str, Any] = {"out": tmp_path, "limit": 6, "batch_size": 1}
    method = Crashes(dataset.keypoints, Crashes.Settings())
    with pytest.raises(PluginError, match="estimate raised ZeroDivisionError on image"):
        evaluate(method, dataset, **arguments)
    (run,) = find_runs(tmp_path)
    assert run.record.state == "failed"
    assert "ZeroDivisionError on image 100004 (100004.jpg): broken" in (run.record.reason or "")
    assert evaluate(method, dataset, **arguments).record.state == "done"
    assert Crashes.calls == 4 + 3


def test_a_method_that_finds_people_itself_sees_no_boxes(dataset: Dataset, tmp_path: Path) -> None:
    seen = []

    class BottomUp(BoxCentre):
        paradigm = "bottom-up"

        def estimate(self, image: Any, boxes: Any) -> list[Pose]:
            seen.append(len(boxes))
            return []

    run = evaluate(BottomUp(dataset.keypoints, BottomUp.Settings()), dataset, out=tmp_path, limit=3)
    assert seen == [0, 0, 0]
    assert run.record.protocol.boxes == "none"
    assert run.scores is not None
    assert run.scores["AP"] == 0


class Hungry(ToyNetwork):
    """Asks for more memory than any machine has when it gets too many persons."""

    room = 3

    def predict(self, network: Any, batch: Any) -> list[list[Pose]]:
        if sum(map(len, batch[0])) > self.room:
            torch.empty(2**50, dtype=torch.uint8)
        return super().predict(network, batch)


def hungry(dataset: Dataset, out: Path, **arguments: Any) -> Run:
    method = Hungry(dataset.keypoints, ToySettings(), "hungry")
    return evaluate(method, dataset, weights="none", out=out, limit=12, workers=0, **arguments)


def test_when_memory_runs_out_the_batch_is_halved_once_and_the_record_says_so(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = max(len(dataset[i].instances) for i in range(12))
    monkeypatch.setattr(Hungry, "room", most)
    run = hungry(dataset, tmp_path / "halved", batch_size=2 * most)
    monkeypatch.setattr(Hungry, "room", 1000)
    roomy = hungry(dataset, tmp_path / "roomy", batch_size=2 * most)
    assert run.record.state == "done"
    for ours, theirs in zip(predictions(run), predictions(roomy), strict=True):
        assert ours["image_id"] == theirs["image_id"]
        assert ours["keypoints"] == pytest.approx(theirs["keypoints"], abs=1e-3)
    (warning,) = run.record.warnings
    assert f"batches of {2 * most}; the rest came in batches of {most}" in warning
    assert "out of memory" in (run.directory / "log.txt").read_text()
    assert not roomy.record.warnings


def test_when_memory_runs_out_again_what_is_done_is_kept_and_a_size_is_proposed(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    persons = [len(dataset[i].instances) for i in range(12)]
    monkeypatch.setattr(Hungry, "room", max(persons) - 1)
    most = max(persons)
    with pytest.raises(RunError, match=rf"again with batches of {most}[^$]*--batch-size {most // 2}\."):
        hungry(dataset, tmp_path, batch_size=2 * max(persons), save_every_s=0)
    (run,) = find_runs(tmp_path)
    assert run.record.state == "failed"


def test_an_error_that_is_not_about_memory_is_not_tried_again(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def broken(self: Any, network: Any, batch: Any) -> Any:
        calls.append(1)
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(Hungry, "predict", broken)
    with pytest.raises(PluginError, match="predict raised RuntimeError.*shapes do not fit"):
        hungry(dataset, tmp_path, batch_size=8)
    assert len(calls) == 1


def test_an_optimised_and_a_compiled_network_are_asked_of_the_method(
    dataset: Dataset, tmp_path: Path
) -> None:
    asked = []

    class Asked(ToyNetwork):
        def optimize_for_inference(
            self, network: Any, *, precision: Any = "fp32", compiled: bool = False
        ) -> Any:
            assert not network.training
            asked.append((precision, compiled))
            return network

        def set_batch_limit(self, size: int) -> None:
            asked.append(size)

        def convert_state_dict(self, state: Any) -> Any:
            return {name.removeprefix("old."): tensor for name, tensor in state.items()}

    method = Asked(dataset.keypoints, ToySettings(), "asked")
    state = {f"old.{name}": tensor for name, tensor in method.build_network().state_dict().items()}
    torch.save(state, tmp_path / "old.pth")
    evaluate(
        method,
        dataset,
        weights=tmp_path / "old.pth",
        out=tmp_path,
        limit=1,
        workers=0,
        precision="bf16",
        compiled=True,
        batch_size=5,
    )
    assert asked == [("bf16", True), 5]


class OvertakenCentre(BoxCentre):
    """In place of which another process finishes, after which it fails."""

    finished: Path | None = None

    def estimate(self, image: Any, boxes: Any) -> Any:
        if self.finished is not None:
            (directory,) = self.out.glob("*/*/*")  # type: ignore[attr-defined]
            shutil.rmtree(directory)
            shutil.copytree(self.finished, directory)
            raise RuntimeError("its files are gone")
        return super().estimate(image, boxes)


def test_who_fails_after_being_taken_over_leaves_the_result_and_shows_it(
    dataset: Dataset, tmp_path: Path
) -> None:
    method = OvertakenCentre(dataset.keypoints, OvertakenCentre.Settings())
    finished = evaluate(method, dataset, out=tmp_path / "finished", limit=3)
    method.finished = finished.directory
    method.out = tmp_path / "late"  # type: ignore[attr-defined]
    shown = evaluate(method, dataset, out=tmp_path / "late", limit=3, workers=0)
    assert shown.was_done_before
    assert shown.record == finished.record
    assert Run.read(shown.directory).record.state == "done"
