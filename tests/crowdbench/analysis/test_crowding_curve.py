"""AP over crowding, as a user asks for it."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import pandas as pd
import pytest

from crowdbench.analysis.crowding_curve import parse_levels
from crowdbench.errors import SettingsError

RUN = [sys.executable, "-m", "crowdbench", "run"]


@pytest.fixture(scope="module")
def toys(toy_plugins: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {**toy_plugins, "CROWDBENCH_CACHE": str(tmp_path_factory.mktemp("cache"))}


def run(toys: dict[str, str], out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*RUN, *arguments, "--out", str(out), "--limit", "6"]
    return subprocess.run(command, env=toys, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("text", "message"),
    [("a,b", "list of numbers"), ("0,1.5", "0..1"), ("0,0.5,0.50", "twice"), ("", "list"), ("nan", "0..1")],
)
def test_levels_that_make_no_curve_are_refused(text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        parse_levels(text)


def test_levels_are_measured_from_the_lowest() -> None:
    assert parse_levels("1,0, 0.25") == [0.0, 0.25, 1.0]


@pytest.mark.slow
def test_a_curve_is_a_table_and_a_picture_of_runs_that_stay_apart(
    toys: dict[str, str], tmp_path: Path
) -> None:
    done = run(toys, tmp_path, "toy-centre", "synthcrowd", "--crowding", "1,0")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "synthcrowd-test-crowding"
    (csv,) = folder.glob("toy-centre*.csv")
    table = pd.read_csv(csv)
    assert table["level"].tolist() == [0, 1]
    assert table["crowd_index"][0] < table["crowd_index"][1]
    assert table["images"].tolist() == [6, 6]
    records = [json.loads((tmp_path / path / "run.json").read_text()) for path in table["run"]]
    assert [record["protocol"]["split"] for record in records] == ["test-crowding-0", "test-crowding-1"]
    assert [record["scores"]["AP"] for record in records] == table["AP"].tolist()
    picture = cv2.imread(str(csv.with_suffix(".png")))
    assert picture is not None
    assert picture.shape == (500, 800, 3)
    assert picture.std() > 5
    # Again: shown, not repeated.
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("run.json")}
    again = run(toys, tmp_path, "toy-centre", "synthcrowd", "--crowding", "0,1", "--json")
    assert [row["level"] for row in json.loads(again.stdout)] == [0, 1]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("run.json")} == before


@pytest.mark.slow
def test_curves_beside_each_other_are_drawn_together_if_they_can_be_compared(
    toys: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "synthcrowd-test-crowding"
    levels = ["synthcrowd", "--crowding", "0,1"]
    assert run(toys, tmp_path, "toy-centre", *levels).returncode == 0
    alone = (folder / "curve.png").read_bytes()
    (folder / "foreign.csv").write_text("a,b\n1,2\n")
    both = run(toys, tmp_path, "toy-network", "--weights", "none", *levels)
    assert both.returncode == 0, both.stderr
    assert "foreign.csv" in both.stderr
    together = (folder / "curve.png").read_bytes()
    assert together != alone
    (csv,) = folder.glob("toy-centre*.csv")
    table = pd.read_csv(csv)
    table["images"] = 7  # of other images
    table.to_csv(csv, index=False)
    apart = run(toys, tmp_path, "toy-network", "--weights", "none", *levels)
    assert csv.name in apart.stderr.replace("\n", "").replace(" ", "")
    assert (folder / "curve.png").read_bytes() != together


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["crowdpose", "--crowding", "0,1"], "no controlled crowding", id="photographs"),
        pytest.param(["synthcrowd", "--crowding", "0", "--root", "."], "Leave --root", id="a root"),
        pytest.param(["synthcrowd", "--crowding", "2"], "0..1", id="no level"),
        pytest.param(["synthcrowd", "--crowding", "0", "--split", "tset"], "Did you mean", id="no split"),
    ],
)
def test_crowding_that_cannot_be_controlled_is_refused(
    toys: dict[str, str], tmp_path: Path, arguments: list[str], message: str
) -> None:
    done = run(toys, tmp_path, "toy-centre", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
