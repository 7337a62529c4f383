"""The Python face of scoring: engines, cross-checks, partial ground truth, invariances."""

import gc
import importlib
import json
import random
import re
import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.reference.scoring_protocols import COCO, CROWD
from support.requirements import everything_is_required

import crowdbench
from crowdbench.errors import (
    EngineUnavailableError,
    InputError,
    MissingDataError,
    PredictionError,
    RunError,
    UnknownNameError,
)
from crowdbench.scoring.engines.base import Engine
from crowdbench.scoring.engines.crowdposetools import Crowdposetools
from crowdbench.scoring.problem import Problem
from crowdbench.scoring.score import score_files


@pytest.fixture
def truth(goldens: Path) -> Path:
    return goldens / "metrics/crowdpose_val_50_gt.json"


@pytest.fixture
def predictions(goldens: Path) -> Path:
    return goldens / "metrics/crowd_50_preds.json"


def needs_xtcocotools() -> None:
    """Skip where it is not installed; `.ci/run` installs it."""
    if not everything_is_required():
        try:
            importlib.import_module("xtcocotools.cocoeval")
        except ImportError as error:
            pytest.skip(f"xtcocotools is not installed: {error}")


def test_scores_survive_json(truth: Path, predictions: Path) -> None:
    scores = score_files(predictions, truth, CROWD, cross_check="pycocotools")
    assert msgspec.json.decode(msgspec.json.encode(scores), type=type(scores)) == scores


def test_counts_are_those_of_the_files(truth: Path, predictions: Path) -> None:
    scores = score_files(predictions, truth, CROWD)
    counted = [a for a in json.loads(truth.read_text())["annotations"] if a["num_keypoints"]]
    found = json.loads(predictions.read_text())
    assert scores.counts == {"images": 50, "persons": len(counted), "predictions": len(found)}


def test_rounded_values_are_the_unrounded_ones_to_four_decimals(truth: Path, predictions: Path) -> None:
    scores = score_files(predictions, truth, CROWD)
    assert set(scores.unrounded) == {"AP_easy", "AP_medium", "AP_hard"}
    for name, value in scores.unrounded.items():
        assert scores.values[name] == round(value, 4) != value


def test_a_dataset_name_and_an_annotation_file_are_enough(truth: Path, predictions: Path) -> None:
    by_name = crowdbench.score(predictions, "crowdpose", annotations=truth)
    assert by_name.values == score_files(predictions, truth, CROWD).values
    assert by_name.protocol == "crowdpose"


def test_an_opened_dataset_is_scored_against_its_own_annotations(truth: Path, predictions: Path) -> None:
    measured = json.loads(truth.with_name("expected.json").read_text())["crowd_50"]["authority_stats"][0]

    class Opened:
        name, split, has_annotations = "mine", "val", True
        annotation_file, protocol = truth, CROWD

    assert crowdbench.score(str(predictions), Opened()).values["AP"] == pytest.approx(measured)  # type: ignore[arg-type]


def test_a_split_without_public_ground_truth_says_so(predictions: Path) -> None:
    class Hidden:
        name, split, has_annotations = "mine", "test-dev", False

    with pytest.raises(InputError, match="mine test-dev: the ground truth of this split is not public"):
        crowdbench.score(predictions, Hidden())  # type: ignore[arg-type]


def test_a_missing_file_is_named(truth: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=r"nowhere.json: there is no such file"):
        score_files(tmp_path / "nowhere.json", truth, CROWD)


def test_an_unknown_engine_suggests_the_nearest(truth: Path, predictions: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"'hotcocco'.*Did you mean 'hotcoco'"):
        score_files(predictions, truth, CROWD, engine="hotcocco")


def test_partial_ground_truth_gives_the_score_of_a_smaller_file(
    truth: Path, predictions: Path, tmp_path: Path
) -> None:
    content = json.loads(truth.read_text())
    chosen = [image["id"] for image in content["images"][:20]]
    found = [p for p in json.loads(predictions.read_text()) if p["image_id"] in chosen]
    content["images"] = content["images"][:20]
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] in chosen]
    smaller = tmp_path / "smaller.json"
    smaller.write_text(json.dumps(content))
    partial = score_files(found, truth, CROWD, image_ids=chosen)
    assert partial.values == score_files(found, smaller, CROWD).values
    assert partial.counts["images"] == 20
    assert not partial.warnings
    more = score_files(predictions, truth, CROWD, image_ids=chosen)
    assert more.values == partial.values
    assert "predictions are of images outside the chosen ones" in more.warnings[0]


def test_partial_ground_truth_of_unknown_images_is_refused(truth: Path, predictions: Path) -> None:
    with pytest.raises(InputError, match=r"image_ids names images that .* does not list: '77'"):
        score_files(predictions, truth, CROWD, image_ids=[77])


def test_partial_ground_truth_of_no_images_scores_nothing(truth: Path, predictions: Path) -> None:
    scores = score_files(predictions, truth, CROWD, image_ids=[])
    assert set(scores.values.values()) == {-1.0}


class Different(Engine):
    """An engine that is off by a little more than is allowed, in one statistic."""

    name = "numpy"  # installed, so that it has a version
    install = ""
    off_by = 2e-9

    def statistics(self, problem: Problem) -> dict[str, float]:
        from crowdbench.scoring.engines.hotcoco import Hotcoco

        found = Hotcoco().statistics(problem)
        return {**found, "AR75": found["AR75"] + self.off_by}


def test_a_cross_check_that_fails_names_statistic_and_values(
    truth: Path, predictions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(crowdbench.scoring.engines.ENGINES, "different", Different)  # type: ignore[attr-defined]
    ar = score_files(predictions, truth, CROWD).values["AR75"]
    words = f"AR75 is {re.escape(str(ar))} by hotcoco and {re.escape(str(ar + 2e-9))} by numpy"
    with pytest.raises(RunError, match=words):
        score_files(predictions, truth, CROWD, cross_check="different")


def test_a_cross_check_reports_the_largest_difference(
    truth: Path, predictions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(crowdbench.scoring.engines.ENGINES, "different", Different)  # type: ignore[attr-defined]
    monkeypatch.setattr(Different, "off_by", 1e-10)
    check = score_files(predictions, truth, CROWD, cross_check="different").cross_check
    assert check is not None
    assert check.max_difference == pytest.approx(1e-10, rel=1e-3)


def test_an_engine_that_is_not_installed_says_how_to_install_it(
    truth: Path, predictions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Crowdposetools, "name", "crowdposetools_absent")
    with pytest.raises(EngineUnavailableError, match=r"(?s)not available.*github.com/Jeff-sjtu/CrowdPose"):
        score_files(predictions, truth, CROWD, engine="crowdposetools")


def test_an_engine_that_does_not_import_says_why(
    truth: Path, predictions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pycocotools.cocoeval", None)
    with pytest.raises(EngineUnavailableError, match=r"importing pycocotools.cocoeval gives"):
        score_files(predictions, truth, CROWD, engine="pycocotools")


class EvaluationLikeCrowdposetools:
    """The documented face of the tool, computed by pycocotools: eleven numbers, two of them never filled.

    It checks how the adapter speaks to the tool, not the tool.
    """

    def __init__(self, truth: Any, found: Any, kind: str) -> None:
        from pycocotools.cocoeval import COCOeval

        assert kind == "keypoints"
        for one in truth.dataset["annotations"]:
            one["area"] = 0.53 * one["bbox"][2] * one["bbox"][3]
        self.images = truth.dataset["images"]
        self.inner = COCOeval(truth, found, kind)
        self.inner.params.kpt_oks_sigmas = np.array(CROWD.keypoints.sigmas)
        self.stats = np.zeros(11)

    def evaluate(self) -> None:
        pass

    def accumulate(self) -> None:
        pass

    def _run(self, low: float, high: float) -> Any:
        ids = [image["id"] for image in self.images if low <= image["crowdIndex"] < high]
        self.inner.params.imgIds = ids
        self.inner.evaluate()
        self.inner.accumulate()
        self.inner.summarize()
        return self.inner.stats

    def summarize(self) -> None:
        whole = self._run(-1, 99)
        self.stats[[0, 1, 2, 5, 6, 7]] = whole[[0, 1, 2, 5, 6, 7]]
        for place, (low, high) in enumerate([(0, 0.2), (0.2, 0.8), (0.8, 99)], start=8):
            self.stats[place] = round(float(self._run(low, high)[0]), 4)


@pytest.fixture
def like_crowdposetools(monkeypatch: pytest.MonkeyPatch) -> None:
    import pycocotools.coco

    face = types.ModuleType("crowdposetools.cocoeval")
    face.COCOeval = EvaluationLikeCrowdposetools  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "crowdposetools.coco", pycocotools.coco)
    monkeypatch.setitem(sys.modules, "crowdposetools.cocoeval", face)
    monkeypatch.setattr(Crowdposetools, "version", lambda self: "2.0")


@pytest.mark.usefixtures("like_crowdposetools")
def test_crowdposetools_statistics_are_read_from_their_places(
    truth: Path, predictions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = score_files(predictions, truth, CROWD, engine="crowdposetools", cross_check="hotcoco")
    assert scores.values == score_files(predictions, truth, CROWD).values
    assert scores.unrounded == {}
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("like_crowdposetools")
def test_crowdposetools_gives_zero_without_predictions(truth: Path) -> None:
    assert set(score_files([], truth, CROWD, engine="crowdposetools").values.values()) == {0.0}


@pytest.mark.usefixtures("like_crowdposetools")
def test_crowdposetools_refuses_other_protocols(goldens: Path) -> None:
    folder = goldens / "metrics"
    with pytest.raises(InputError, match="scores one protocol only, and coco is another"):
        score_files(
            folder / "coco_small_preds.json", folder / "coco_small_gt.json", COCO, engine="crowdposetools"
        )


def test_the_cycle_collector_is_left_as_it_was_found(truth: Path, predictions: Path) -> None:
    assert gc.isenabled()
    score_files(predictions, truth, CROWD)
    assert gc.isenabled()
    with pytest.raises(MissingDataError):
        score_files(truth.with_name("nowhere.json"), truth, CROWD)
    assert gc.isenabled()


@pytest.mark.parametrize("engine", ["pycocotools", "xtcocotools"])
@pytest.mark.parametrize("far", [1e154, -1e155, 1.7e308, -1.7e308, 5e-324])
def test_engines_agree_on_absurd_coordinates(far: float, engine: str, truth: Path, predictions: Path) -> None:
    if engine == "xtcocotools":
        needs_xtcocotools()
    entries = json.loads(predictions.read_text())
    for entry in entries[::3]:
        entry["keypoints"][3], entry["keypoints"][7] = far, -far
    assert score_files(entries, truth, CROWD, cross_check=engine).cross_check is not None


def test_a_statistic_of_an_unknown_split_is_a_mistake_of_the_protocol(truth: Path, predictions: Path) -> None:
    wrong = replace(CROWD, statistics=("AP", "AP_extreme"))
    with pytest.raises(ValueError, match="AP_extreme names neither"):
        score_files(predictions, truth, wrong)


slow_examples = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))


@slow_examples
@given(seed=st.integers(0, 2**32 - 1))
def test_the_order_of_predictions_with_distinct_scores_does_not_matter(
    seed: int, truth: Path, predictions: Path
) -> None:
    entries = json.loads(predictions.read_text())
    for rank, entry in enumerate(entries):
        entry["score"] = (rank * 7919 % len(entries)) / len(entries)  # a permutation: all differ
    shuffled = entries.copy()
    random.Random(seed).shuffle(shuffled)
    assert score_files(shuffled, truth, CROWD).values == score_files(entries, truth, CROWD).values


@slow_examples
@given(factor=st.integers(1, 10**30), offset=st.integers(-(10**30), 10**30))
def test_renumbering_images_in_order_does_not_matter(
    factor: int, offset: int, truth: Path, predictions: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content, entries = json.loads(truth.read_text()), json.loads(predictions.read_text())
    expected = score_files(entries, truth, CROWD).values
    for image in content["images"]:
        image["id"] = image["id"] * factor + offset
    for one in (*content["annotations"], *entries):
        one["image_id"] = one["image_id"] * factor + offset
    renumbered = tmp_path_factory.mktemp("renumbered") / "truth.json"
    renumbered.write_text(json.dumps(content))
    assert score_files(entries, renumbered, CROWD).values == expected


@slow_examples
@given(
    extra=st.dictionaries(
        st.text(min_size=1).filter(
            lambda key: key not in {"image_id", "category_id", "keypoints", "score", "bbox"}
        ),
        st.recursive(
            st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(), st.lists, max_leaves=4
        ),
        max_size=3,
    )
)
def test_extra_fields_do_not_matter(
    extra: dict[str, Any], truth: Path, predictions: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    entries = [{**entry, **extra} for entry in json.loads(predictions.read_text())]
    path = tmp_path_factory.mktemp("extra") / "predictions.json"
    path.write_text(json.dumps(entries))
    assert score_files(path, truth, CROWD).values == score_files(predictions, truth, CROWD).values


@pytest.mark.parametrize("shape", [(-1,), (-1, 3)])
def test_arrays_and_numbers_of_numpy_are_taken_like_lists(
    truth: Path, predictions: Path, shape: tuple[int, ...]
) -> None:
    entries = json.loads(predictions.read_text())
    given = [
        {
            "image_id": np.int64(entry["image_id"]),
            "category_id": np.uint8(1),
            "keypoints": np.array(entry["keypoints"]).reshape(shape),
            "score": np.array(entry["score"]),
            "bbox": None,
        }
        for entry in entries
    ]
    assert score_files(given, truth, CROWD).values == score_files(predictions, truth, CROWD).values


def test_tensors_are_taken_unless_they_have_no_numbers(truth: Path, predictions: Path) -> None:
    import torch

    entries = json.loads(predictions.read_text())
    given = [
        {**e, "keypoints": torch.tensor(e["keypoints"], dtype=torch.float64, requires_grad=True)}
        for e in entries
    ]
    assert score_files(given, truth, CROWD).values == score_files(predictions, truth, CROWD).values
    given[3]["keypoints"] = torch.empty(42, device="meta")
    with pytest.raises(PredictionError, match="cannot be turned into numbers"):
        score_files(given, truth, CROWD)
