"""Errors planted into the real CrowdPose annotations are found for what they are."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from support.data.planted_errors import Planted, planted, read_json

from crowdbench.analysis import KINDS, Analysis, analyse_files
from crowdbench_datasets.keypoint_sets import COCO_17
from crowdbench_datasets.scoring_protocols import CROWDPOSE_PROTOCOL, coco_protocol

pytestmark = pytest.mark.slow  # eight thousand persons are copied, several times

# In each hundred persons.
WANTED = {"swap": 18, "inversion": 18, "jitter": 35, "miss": 35}
GOOD = 550
LEFT_OUT, BACKGROUND = 300, 200


def hundreds(truth_file: Path) -> int:
    return len(read_json(truth_file)["annotations"]) // 100


def wanted(truth_file: Path) -> dict[str, int]:
    return {kind: count * hundreds(truth_file) for kind, count in WANTED.items()}


@pytest.fixture(scope="module")
def truth_file(goldens: Path) -> Path:
    return goldens / "metrics" / "crowdpose_val.json.gz"


@pytest.fixture(scope="module")
def errors(truth_file: Path) -> Planted:
    return planted(
        read_json(truth_file),
        CROWDPOSE_PROTOCOL.keypoints,
        0.53,
        wanted(truth_file),
        left_out=LEFT_OUT,
        background=BACKGROUND,
    )


@pytest.fixture(scope="module")
def analysis(errors: Planted, truth_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    file = tmp_path_factory.mktemp("planted") / "predictions.json"
    file.write_text(json.dumps(errors.results))
    return analyse_files(file, truth_file, CROWDPOSE_PROTOCOL)


def confusion(errors: Planted, analysis: Analysis) -> Counter[tuple[str, str | None]]:
    """How many keypoints of a planted kind are found to be of which."""
    found = {person.person: person for person in analysis.instances if person.outcome == "matched"}
    return Counter(
        (kind, found[annotation].kind(keypoint) if annotation in found else None)
        for annotation, kinds in errors.kinds.items()
        for keypoint, kind in enumerate(kinds)
        if kind is not None
    )


def test_as_many_errors_are_planted_as_are_wanted(errors: Planted, truth_file: Path) -> None:
    assert {kind: errors.counts[kind] for kind in WANTED} == wanted(truth_file)
    assert errors.counts["good"] > GOOD * hundreds(truth_file)


@pytest.mark.parametrize("kind", KINDS)
def test_98_percent_of_a_planted_kind_are_found_and_1_percent_falsely(
    kind: str, errors: Planted, analysis: Analysis
) -> None:
    table = confusion(errors, analysis)
    planted_so = sum(count for (was, _), count in table.items() if was == kind)
    found_so = sum(count for (_, said), count in table.items() if said == kind)
    assert planted_so == errors.counts[kind]
    assert table[kind, kind] >= 0.98 * planted_so, table
    assert found_so - table[kind, kind] <= 0.01 * found_so, table


def test_counts_are_those_of_the_single_keypoints(analysis: Analysis) -> None:
    whole = analysis.whole
    for kind in KINDS:
        assert whole.total(kind) == sum(person.count(kind) for person in analysis.instances)
        assert whole.total(kind) == sum(part.total(kind) for part in analysis.levels)
        assert whole.total(kind) == sum(part.total(kind) for part in analysis.bins)


def test_persons_left_out_and_predictions_of_nobody_are_found(errors: Planted, analysis: Analysis) -> None:
    lost = {annotation for _, annotation in analysis.not_found}
    assert len(lost & errors.left_out) >= 0.98 * LEFT_OUT
    assert len(lost - errors.left_out) <= 0.01 * len(lost)
    assert analysis.whole.not_found == len(lost)
    background = [person for person in analysis.instances if person.outcome == "background"]
    # Nobody but the pose in the void; and a pose whose person another one has taken.
    assert len(background) == pytest.approx(BACKGROUND, abs=0.01 * BACKGROUND)
    assert analysis.whole.background == len(background)


def test_correcting_what_was_planted_gives_the_ap_back(truth_file: Path, tmp_path: Path) -> None:
    """Swaps and inversions that lie exactly on the wrong keypoint go exactly to their own place."""
    truth = read_json(truth_file)
    for kind in ("swap", "inversion"):
        errors = planted(truth, CROWDPOSE_PROTOCOL.keypoints, 0.53, {kind: 1000}, on_it=0.0)
        file = tmp_path / f"{kind}.json"
        file.write_text(json.dumps(errors.results))
        whole = analyse_files(file, truth_file, CROWDPOSE_PROTOCOL).whole
        assert whole.ap < 0.98
        # A single person who is taken by another's prediction costs the last of the 101 recalls.
        assert whole.alone[kind] == pytest.approx(1.0, abs=1 / 101 + 1e-4)
        assert all(
            whole.alone[other] == whole.ap
            for other in ("swap", "inversion", "jitter", "miss")
            if other != kind
        )


def test_cocos_keypoints_are_sorted_too(goldens: Path, tmp_path: Path) -> None:
    truth = read_json(goldens / "metrics" / "coco_full_gt.json.gz")
    for person in truth["annotations"]:
        person["area"] = 0.6 * person["bbox"][2] * person["bbox"][3]
    errors = planted(truth, COCO_17, 0.6, {"swap": 100, "inversion": 500, "jitter": 1000, "miss": 1000})
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    (tmp_path / "predictions.json").write_text(json.dumps(errors.results))
    found = analyse_files(
        tmp_path / "predictions.json", tmp_path / "truth.json", coco_protocol("coco", COCO_17)
    )
    table = confusion(errors, found)
    for kind in KINDS:
        assert table[kind, kind] >= 0.98 * errors.counts[kind], table
    assert found.measure == "max IoU"
    assert np.sum([part.images for part in found.bins]) == found.whole.images
