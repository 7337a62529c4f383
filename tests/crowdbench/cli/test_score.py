"""``crowdbench score`` as a user meets it."""

import gzip
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.data.malformed_files import CASES, Case, Files, write

from crowdbench.cli import main

BASES = {
    "crowdpose": ("crowdpose_val_50_gt.json", "crowd_50_preds.json"),
    "coco": ("coco_small_gt.json", "coco_small_preds.json"),
}
PAGE = Path(__file__).resolve().parents[3] / "docs" / "metrics.md"


def score(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of a call."""
    with pytest.raises(SystemExit) as stopped:
        main(["score", *map(str, arguments)])
    captured = capsys.readouterr()
    status = stopped.value.code
    assert isinstance(status, int)
    return status, captured.out, captured.err


@pytest.fixture
def measured(goldens: Path) -> dict[str, Any]:
    """The official tool's numbers for `arguments`."""
    found: dict[str, Any] = json.loads((goldens / "metrics" / "expected.json").read_text())["crowd_50"]
    return found


@pytest.fixture
def arguments(goldens: Path) -> list[object]:
    folder = goldens / "metrics"
    return [
        folder / "crowd_50_preds.json",
        "crowdpose",
        "--annotations",
        folder / "crowdpose_val_50_gt.json",
    ]


def outcome(case: Case, rules: str) -> str:
    row = re.search(rf"^\| {re.escape(case.name)} \| ([^|]+) \| ([^|]+) \|", PAGE.read_text(), re.MULTILINE)
    assert row
    return row[1 if rules == "crowdpose" else 2]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("rules", BASES)
def test_a_fault_ends_with_scores_or_with_exit_status_2(
    rules: str, case: Case, goldens: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    contents = [json.loads((goldens / "metrics" / name).read_text()) for name in BASES[rules]]
    files = Files(*contents, keypoints=0)
    case.inject(files)
    truth, predictions = write(files, tmp_path)
    status, out, err = score(capsys, predictions, rules, "--annotations", truth, "--json")
    promised = outcome(case, rules)
    if promised == "refused":
        assert (status, out) == (2, "")
        assert re.search(case.says, err, re.DOTALL)
        assert "Traceback" not in err
    else:
        assert status == 0
        assert ("warning: " in err) == (promised == "scored, with a warning")
        assert json.loads(out)["scores"]["AP"] >= -1


def test_json_is_one_object_in_full_precision(
    arguments: list[object], measured: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = score(capsys, *arguments, "--json", "--cross-check", "pycocotools")
    found = json.loads(out)
    assert (status, err) == (0, "")
    assert found["scores"]["AP"] == pytest.approx(measured["authority_stats"][0], abs=1e-12)
    hard = measured["authority_split_ap_unrounded"][2]
    assert found["unrounded"]["AP_hard"] == pytest.approx(hard, abs=1e-12)
    assert found["scores"]["AP_hard"] == round(hard, 4)
    assert (found["engine"], found["cross_check"]["engine"]) == ("hotcoco", "pycocotools")
    assert found["cross_check"]["max_difference"] <= 1e-9


def test_the_table_shows_percent_and_the_cross_check(
    arguments: list[object], goldens: Path, measured: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = score(capsys, *arguments, "--cross-check", "pycocotools")
    assert status == 0
    assert re.search(rf"^AP +{100 * measured['authority_stats'][0]:.2f}$", out, re.MULTILINE)
    truth, predictions = (json.loads((goldens / "metrics" / n).read_text()) for n in BASES["crowdpose"])
    persons = sum(a["num_keypoints"] > 0 for a in truth["annotations"])
    counts = f"50 images, {persons} persons, {len(predictions)} predictions"
    assert f"{counts}; scored by hotcoco" in out
    assert re.search(r"cross-check: pycocotools \S+ agrees", out)


def test_a_statistic_without_persons_is_no_number(goldens: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = goldens / "metrics"
    status, out, _ = score(
        capsys,
        folder / "crowd_nohard_preds.json",
        "crowdpose",
        *("--annotations", folder / "crowdpose_nohard_gt.json"),
    )
    assert status == 0
    assert re.search(r"^AP_hard +none$", out, re.MULTILINE)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param(["--engine", "pycocotool"], "Did you mean 'pycocotools'", id="engine"),
        pytest.param(["--cross-check", "nobody"], "no scoring engine is called 'nobody'", id="cross-check"),
        pytest.param(["--split", "xyz", "--annotations"], "requires an argument", id="option without value"),
    ],
)
def test_a_wrong_option_ends_with_status_2(
    change: list[str], says: str, arguments: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = score(capsys, *arguments, *change)
    assert (status, out) == (2, "")
    assert says in err


def test_an_unknown_dataset_suggests_the_nearest(
    arguments: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments[1] = "crowdpos"
    status, _, err = score(capsys, *arguments)
    assert status == 2
    assert "Did you mean 'crowdpose'" in err


def test_the_installed_command_scores_a_gzipped_file(
    goldens: Path, measured: dict[str, Any], tmp_path: Path
) -> None:
    for name in BASES["crowdpose"]:
        packed = gzip.compress((goldens / "metrics" / name).read_bytes())
        (tmp_path / f"{name}.gz").write_bytes(packed)
    truth, predictions = (tmp_path / f"{name}.gz" for name in BASES["crowdpose"])
    done = subprocess.run(
        [
            *(sys.executable, "-m", "crowdbench", "score", predictions, "crowdpose"),
            *("--annotations", truth, "--json"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["scores"]["AP"] == pytest.approx(measured["authority_stats"][0], abs=1e-9)
    assert done.stderr == ""


def test_help_does_not_import_an_engine() -> None:
    code = (
        "import sys; from crowdbench.cli import cli; cli(['score', '--help'], standalone_mode=False); "
        "print(sorted({'torch', 'numpy', 'hotcoco', 'pycocotools'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
