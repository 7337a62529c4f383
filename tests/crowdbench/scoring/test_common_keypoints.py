"""Methods that were made for other keypoints, measured on those that both sides have."""

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.data import coco_files, onnx_models

from crowdbench import cli
from crowdbench.api.dataset import dataset_class
from crowdbench.errors import SettingsError, ShapeError, UnknownNameError
from crowdbench.scoring.common_keypoints import common_keypoints
from crowdbench.scoring.score import score, score_files

CROWDPOSE, COCO = (dataset_class(name).protocol for name in ("crowdpose", "coco"))
COMMON = CROWDPOSE.keypoints.keypoints[:12]  # all but head and neck


def predictions(seed: int, truth: dict[str, Any], names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Of all persons: the annotated places, moved a little; names that the truth does not have lie anywhere."""
    rng = np.random.default_rng(seed)
    found = []
    for person in truth["annotations"]:
        known = np.reshape(person["keypoints"], (-1, 3))[:, :2]
        points = [
            known[CROWDPOSE.keypoints.keypoints.index(name)] + rng.normal(0, 1.5, 2)
            if name in CROWDPOSE.keypoints.keypoints
            else rng.uniform(0, 500, 2)
            for name in names
        ]
        flat = np.c_[points, np.ones(len(points))].ravel().tolist()
        found.append(
            {
                "image_id": person["image_id"],
                "category_id": 1,
                "keypoints": flat,
                "score": float(rng.random()),
            }
        )
    return found


def truth_with_gaps() -> dict[str, Any]:
    """Persons of whom some keypoints have no label; of the first, only head and neck have one."""
    truth = coco_files.document(14)
    for number, person in enumerate(truth["annotations"]):
        for place in range(12 if number == 0 else number):
            person["keypoints"][3 * place : 3 * place + 3] = [0, 0, 0]
        person["num_keypoints"] = sum(v > 0 for v in person["keypoints"][2::3])
    return truth


def by_hand(truth: dict[str, Any]) -> dict[str, Any]:
    """The same ground truth without head and neck, as somebody would write it."""
    persons = [
        {
            **person,
            "keypoints": person["keypoints"][:36],
            "num_keypoints": sum(v > 0 for v in person["keypoints"][2:36:3]),
        }
        for person in truth["annotations"]
    ]
    return {**truth, "annotations": persons}


@pytest.mark.parametrize("engine", ["hotcoco", "pycocotools"])
@pytest.mark.parametrize("seed", range(3))
def test_ap_is_that_of_files_without_the_other_keypoints(tmp_path: Path, engine: str, seed: int) -> None:
    truth = truth_with_gaps()
    (tmp_path / "gt.json").write_text(json.dumps(truth))
    (tmp_path / "by-hand.json").write_text(json.dumps(by_hand(truth)))
    found = predictions(seed, truth, COCO.keypoints.keypoints)
    scores = score(found, "crowdpose", annotations=tmp_path / "gt.json", engine=engine, keypoints="common")
    places = [COCO.keypoints.keypoints.index(name) for name in COMMON]
    for entry in found:
        entry["keypoints"] = np.reshape(entry["keypoints"], (-1, 3))[places].ravel().tolist()
    twelve = replace(CROWDPOSE, keypoints=CROWDPOSE.keypoints.only(COMMON))
    expected = score_files(found, tmp_path / "by-hand.json", twelve, engine=engine)
    assert scores.values == expected.values
    assert scores.values["AP"] > 0
    assert scores.counts["persons"] == 2  # whose head and neck alone have labels does not count
    assert scores.protocol == "crowdpose, 12 of 14 keypoints"


def test_whom_the_annotation_file_leaves_out_stays_out(tmp_path: Path) -> None:
    truth = coco_files.document(14)
    truth["annotations"][1]["num_keypoints"] = 0
    (tmp_path / "gt.json").write_text(json.dumps(truth))
    found = predictions(0, truth, COCO.keypoints.keypoints)
    scores = score(found, "crowdpose", annotations=tmp_path / "gt.json", keypoints="common")
    assert scores.counts["persons"] == 2


@given(st.sets(st.sampled_from(COCO.keypoints.keypoints), min_size=1))
def test_a_part_of_a_set_keeps_what_its_names_mean(names: set[str]) -> None:
    whole, part = COCO.keypoints, COCO.keypoints.only(tuple(names))
    assert set(part.keypoints) == names
    assert list(part.keypoints) == [name for name in whole.keypoints if name in names]
    for name, sigma in zip(part.keypoints, part.sigmas, strict=True):
        assert sigma == whole.sigmas[whole.keypoints.index(name)]

    def named(pairs: tuple[tuple[int, int], ...], of: tuple[str, ...]) -> set[tuple[str, str]]:
        return {(of[a], of[b]) for a, b in pairs}

    for pairs, all_pairs in ((part.flip_pairs, whole.flip_pairs), (part.skeleton, whole.skeleton)):
        both = {pair for pair in named(all_pairs, whole.keypoints) if set(pair) <= names}
        assert named(pairs, part.keypoints) == both


def test_a_name_that_is_not_of_the_set_is_refused() -> None:
    with pytest.raises(ShapeError, match="no keypoint tail"):
        COCO.keypoints.only(("nose", "tail"))


def test_the_common_ones_are_found_by_name_and_both_ways() -> None:
    there, back = common_keypoints("common", "crowdpose"), common_keypoints("common:crowdpose", "coco")
    assert there is not None
    assert back is not None
    assert (there.other, there.names) == ("coco", COMMON)
    assert set(back.names) == set(there.names)
    assert list(back.names) == [name for name in COCO.keypoints.keypoints if name in COMMON]


@pytest.mark.parametrize(
    ("choice", "dataset", "error", "words"),
    [
        ("some", "crowdpose", SettingsError, "all, common, or common:DATASET"),
        ("common:", "crowdpose", SettingsError, "all, common, or common:DATASET"),
        ("common:ochuman", "coco", SettingsError, "leave --keypoints out"),
        ("common:nowhere", "coco", UnknownNameError, "nowhere"),
    ],
)
def test_other_choices_are_refused(choice: str, dataset: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        common_keypoints(choice, dataset)


@pytest.fixture
def crowdbench(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Gives a command in a folder with a small CrowdPose; returns what it says."""
    coco_files.write(tmp_path / "data", "json/crowdpose_test.json")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def give(*arguments: str, status: int = 0) -> str:
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        said = capsys.readouterr()
        assert (ended.value.code or 0) == status, said.err
        return said.out + said.err

    return give


RUN = ("run", "hrnet-tiny", "crowdpose", "--root", "data", "--weights", "none", "--workers", "0")


def test_a_run_is_a_protocol_of_its_own(crowdbench: Callable[..., str], tmp_path: Path) -> None:
    crowdbench(*RUN)
    said = crowdbench(*RUN, "--keypoints", "common")
    assert "on 12 common keypoints only" in said
    both = sorted(tmp_path.glob("runs/crowdpose-test/hrnet-tiny/*/run.json"))
    records = [json.loads(path.read_text()) for path in both]
    records.sort(key=lambda record: record["protocol"]["keypoints"] is None)
    common, whole = records
    assert common["protocol"]["keypoints"] == list(COMMON)
    assert common["protocol"]["made_for"] == "coco"
    assert common["protocol"]["changed_settings"] == {}
    assert whole["protocol"]["keypoints"] is None
    run = tmp_path / "runs/crowdpose-test/hrnet-tiny" / common["id"]
    written = json.loads(gzip.decompress((run / "predictions.json.gz").read_bytes()))
    assert {len(entry["keypoints"]) for entry in written} == {36}
    assert len(json.loads(crowdbench("leaderboard", "--json"))) == 2  # two tables
    said = crowdbench("compare", common["id"], whole["id"], status=2)
    assert "cannot be compared" in said
    assert "keypoints:" in said
    # What looks at a run again sees the same problem.
    crowdbench("analyse", str(run), "--root", "data")
    analysis = json.loads((run / "analysis.json").read_text())
    assert analysis["keypoints"] == list(COMMON)
    assert (
        "the 12 keypoints that the dataset shares with coco"
        in Path(
            *[crowdbench("report", str(run), "--root", "data", "--out", "page.html") and "page.html"]
        ).read_text()
    )


def test_a_method_without_the_common_keypoints_is_told_before_it_computes(
    crowdbench: Callable[..., str], tmp_path: Path
) -> None:
    assert "--keypoints" in crowdbench(*RUN, "--keypoints", "common:synthcrowd", status=2)
    assert not (tmp_path / "runs").exists()


def test_a_model_for_other_keypoints_is_told_of_the_option_and_runs_with_it(
    crowdbench: Callable[..., str], tmp_path: Path
) -> None:
    onnx_models.rtmo_spot(tmp_path / "rtmo.onnx", 17)
    run = ("run", "rtmo", "crowdpose", "--root", "data", "--weights", "rtmo.onnx", "--workers", "0")
    run = (*run, "--set", "input_size=64x64", "--set", "provider=cpu")
    said = crowdbench(*run, status=2)
    assert "the model finds 17 keypoints a person; crowdpose-14 has 14" in said
    assert "--keypoints common" in said
    assert "on 12 common keypoints only" in crowdbench(*run, "--keypoints", "common")
