"""Every fault of docs/metrics.md's table, for both kinds of rules."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from support.data.malformed_files import CASES, Case, Files, write
from support.reference.scoring_protocols import OF_NAME

from crowdbench.api.scores import Scores
from crowdbench.errors import DataError
from crowdbench.scoring.score import score_files

BASES = {
    "crowdpose": ("crowdpose_val_50_gt.json", "crowd_50_preds.json", "crowdposetools"),
    "coco": ("coco_small_gt.json", "coco_small_preds.json", "pycocotools"),
}
PAGE = Path(__file__).resolve().parents[3] / "docs" / "metrics.md"
# Where the official tool stops, or is wrong, and a number is still right by definition.
DEFINED = {"preds: empty list": 0.0}


def table() -> dict[str, dict[str, str]]:
    """What the page says of each case: outcome by rules."""
    rows = re.findall(
        r"^\| ([^|]+) \| (scored[^|]*|refused) \| (scored[^|]*|refused) \| ", PAGE.read_text(), re.M
    )
    return {name: {"crowdpose": boxes, "coco": coco} for name, boxes, coco in rows}


TABLE = table()


def sound(rules: str, goldens: Path) -> Files:
    truth, predictions, _ = BASES[rules]
    folder = goldens / "metrics"
    count = OF_NAME[rules].keypoints.count
    return Files(*(json.loads((folder / name).read_text()) for name in (truth, predictions)), keypoints=count)


def expected(rules: str, case: Case, measured: dict[str, Any]) -> list[float]:
    official = BASES[rules][2]
    if case.name in DEFINED:
        return [DEFINED[case.name]] * len(OF_NAME[rules].statistics)
    stats = measured[rules].get(case.name, {}).get(official, {}).get("stats")
    return stats or measured[rules]["baseline"][official]["stats"]  # the fault has no bearing on the number


@pytest.fixture(scope="session")
def measured(goldens: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((goldens / "metrics/robustness.json").read_text())["cases"]
    return found


def outcome_of(rules: str, case: Case, truth: Path, predictions: Path, engine: str) -> Scores | None:
    """Score, and check the error if there is one."""
    if TABLE[case.name][rules] != "refused":
        return score_files(predictions, truth, OF_NAME[rules], engine=engine)
    with pytest.raises(DataError, match=re.compile(case.says, re.DOTALL)) as caught:
        score_files(predictions, truth, OF_NAME[rules], engine=engine)
    message = str(caught.value)
    at_fault = truth if case.name.startswith("gt:") else predictions
    assert message.startswith(f"{at_fault}: ")
    assert "Traceback" not in message
    assert len(message) < 600
    return None


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("rules", BASES)
def test_a_fault_ends_in_the_right_number_or_in_a_clear_error(
    rules: str, case: Case, goldens: Path, measured: dict[str, Any], tmp_path: Path
) -> None:
    files = sound(rules, goldens)
    case.inject(files)
    scores = outcome_of(rules, case, *write(files, tmp_path), engine="hotcoco")
    if scores:
        assert list(scores.values.values()) == pytest.approx(expected(rules, case, measured), abs=1e-9, rel=0)
        assert bool(scores.warnings) == (TABLE[case.name][rules] == "scored, with a warning")


@pytest.mark.parametrize(
    "case", [c for c in CASES if TABLE[c.name]["coco"] != "refused"], ids=lambda c: c.name
)
@pytest.mark.parametrize("rules", BASES)
def test_another_engine_gives_the_same_number(
    rules: str, case: Case, goldens: Path, measured: dict[str, Any], tmp_path: Path
) -> None:
    files = sound(rules, goldens)
    case.inject(files)
    scores = outcome_of(rules, case, *write(files, tmp_path), engine="pycocotools")
    if scores:
        assert list(scores.values.values()) == pytest.approx(expected(rules, case, measured), abs=1e-9, rel=0)


def test_the_page_lists_every_case_once() -> None:
    rows = re.findall(r"^\| ((?:preds|gt|gt\+preds): [^|]+|baseline) \| ", PAGE.read_text(), re.M)
    assert rows == [case.name for case in CASES]


def test_all_reference_faults_are_tested(measured: dict[str, Any]) -> None:
    names = {case.name for case in CASES}
    assert set(measured["crowdpose"]) | set(measured["coco"]) <= names


@pytest.mark.parametrize("rules", BASES)
@pytest.mark.parametrize(
    "case",
    [c for c in CASES if c.name.startswith("preds") and not c.is_of_file],
    ids=lambda case: case.name,
)
def test_entries_from_memory_are_checked_like_a_file(
    rules: str, case: Case, goldens: Path, measured: dict[str, Any]
) -> None:
    files = sound(rules, goldens)
    case.inject(files)
    truth = goldens / "metrics" / BASES[rules][0]
    if TABLE[case.name][rules] == "refused":
        with pytest.raises(DataError, match=re.compile(case.says, re.DOTALL)):
            score_files(files.predictions, truth, OF_NAME[rules])
    else:
        scores = score_files(files.predictions, truth, OF_NAME[rules])
        assert list(scores.values.values()) == pytest.approx(expected(rules, case, measured), abs=1e-9, rel=0)
