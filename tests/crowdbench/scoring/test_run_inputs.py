"""What a run was measured on is found again from its record."""

import json
from pathlib import Path

import pytest
from support.data.jittered_truth import jittered

from crowdbench import evaluate, load_method
from crowdbench.api.boxes import GroundTruthBoxes
from crowdbench.api.dataset import dataset_class
from crowdbench.errors import InputError, UnknownNameError
from crowdbench.run_store.record import Protocol
from crowdbench.scoring.matching import match_run
from crowdbench.scoring.run_inputs import reopen_dataset


@pytest.mark.slow
def test_scenes_drawn_at_a_level_of_crowding_are_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROWDBENCH_CACHE", str(tmp_path / "cache"))
    dataset = dataset_class("synthcrowd").at_crowding(0.5, "test", GroundTruthBoxes())
    file = tmp_path / "found.json"
    file.write_text(json.dumps(jittered(dataset.annotation_file, 0.05)))
    method = load_method("results", dataset, boxes="gt", system="somebody")
    run = evaluate(method, dataset, weights=file, out=tmp_path / "runs", device="cpu", workers=0)
    assert run.record.protocol.split == "test-crowding-0.5"
    assert run.scores is not None
    assert match_run(run).average_precision() == pytest.approx(run.scores["AP"], abs=1e-9)


def test_a_dataset_that_is_not_installed_is_named() -> None:
    with pytest.raises(UnknownNameError, match="tomorrows-crowd"):
        reopen_dataset(Protocol("tomorrows-crowd", "test", "a" * 64, "gt", 10, True))


def test_a_split_that_the_dataset_does_not_have_is_named() -> None:
    with pytest.raises(UnknownNameError, match="night"):
        reopen_dataset(Protocol("crowdpose", "night", "a" * 64, "gt", 10, True))


@pytest.mark.parametrize("split", ["test-crowding-dense", "test-crowding-", "night-crowding-0.5"])
def test_a_level_of_crowding_that_is_none_is_an_error_of_the_user(split: str) -> None:
    with pytest.raises(InputError):
        reopen_dataset(Protocol("synthcrowd", split, "a" * 64, "gt", 10, True))


def test_another_annotation_file_is_refused(real_data: Path) -> None:
    root = real_data / "crowdpose"
    with pytest.raises(InputError, match="aaaaaaaaaaaa"):
        reopen_dataset(Protocol("crowdpose", "test", "a" * 64, "gt", 10, True), root=root)
