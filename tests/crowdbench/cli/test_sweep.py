"""``crowdbench sweep`` as a user sees it: a table, what is missing, an exit status."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.data.coco_files import write

SUITE = """\
name = "mine"
description = "Two toys, and one that does not keep its promise"
[[run]]
table = "T1"
method = "toy-network"
dataset = "crowdpose"
weights = "none"
ap = 61.25
[[run]]
method = "toy-wrong-count"
dataset = "crowdpose"
weights = "none"
[[run]]
method = "toy-centre"
dataset = "ochuman"
weights = "none"
"""


@pytest.fixture
def machine(tmp_path: Path, toy_plugins: dict[str, str]) -> dict[str, str]:
    """A folder with a suite and CrowdPose's data, and the environment to run in."""
    (tmp_path / "mine.toml").write_text(SUITE)
    write(tmp_path / "pictures", "json/crowdpose_test.json")
    environment = {**toy_plugins, "CROWDBENCH_CACHE": str(tmp_path / "cache"), "COLUMNS": "200"}
    return {k: v for k, v in environment.items() if k != "CROWDBENCH_DATA"}


def crowdbench(*arguments: str, cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "crowdbench", "sweep", *arguments]
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    return done


def test_a_dry_run_shows_every_run_of_the_paper_and_what_is_missing_here(
    tmp_path: Path, machine: dict[str, str]
) -> None:
    done = crowdbench("i2rnet-paper", "--dry-run", cwd=tmp_path, env=machine)
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if re.match(r"(CrowdPose|OCHuman|COCO) ", line)]
    found = [re.findall(r"\b[67]\d\.\d\b", row)[0] for row in rows]
    assert found == ["72.3", "76.3", "77.4", "64.3", "66.5", "67.8", "75.3", "75.8", "76.4", "77.3"]
    assert all("missing data [" in row for row in rows)
    assert sum("boxes [" in row for row in rows) == 4
    assert "data/crowdpose/json/crowdpose_test.json" in done.stdout
    assert "COCO_val2017_detections_AP_H_56_person.json" in done.stdout
    assert done.stdout.endswith("10 runs: 10 missing something.\n")
    assert not (tmp_path / "runs").exists()


def test_what_several_runs_lack_is_said_once(tmp_path: Path, machine: dict[str, str]) -> None:
    done = crowdbench("i2rnet-paper", "--dry-run", "--only", "crowdpose", cwd=tmp_path, env=machine)
    assert done.stdout.count("crowdpose: no annotations of the split test") == 1
    assert done.stdout.count("missing data [1]") == 3


def test_a_sweep_does_what_it_can_and_names_the_rest(tmp_path: Path, machine: dict[str, str]) -> None:
    options = ("mine.toml", "--root", f"crowdpose={tmp_path / 'pictures'}", "--workers", "0")
    done = crowdbench(*options, cwd=tmp_path, env=machine)
    assert done.returncode == 1
    assert "RunError: 2 of 3 runs are not done: 1 failed, 1 lack something." in done.stderr
    assert re.search(
        r"T1\s+toy-network\s+crowdpose test\s+gt\s+\d+\.\d\s+done on 3 of 8,000 images: ", done.stdout
    )
    assert re.search(r"toy-wrong-count\s.*failed \[1\]", done.stdout)
    assert re.search(r"toy-centre\s.*missing data \[2\]", done.stdout)
    assert "[1] toy-wrong-count: estimate returned 13 keypoints" in done.stdout
    (record,) = (tmp_path / "runs").glob("*/toy-network/*/run.json")
    assert json.loads(record.read_bytes())["command"][1:3] == ["sweep", "mine.toml"]
    again = crowdbench(*options, "--dry-run", "--json", cwd=tmp_path, env=machine)
    rows = json.loads(again.stdout)
    assert [row["state"] for row in rows] == ["sample", "ready", "missing"]
    assert rows[0]["run"] == str(record.parent.relative_to(tmp_path))
    assert (rows[0]["published_ap"], rows[0]["extent"]) == (None, "3 of 8,000 images")
    assert rows[2]["missing"][0]["what"] == "data"


def test_a_sweep_of_which_all_is_done_ends_well(tmp_path: Path, machine: dict[str, str]) -> None:
    root = f"crowdpose={tmp_path / 'pictures'}"
    options = ("mine.toml", "--only", "toy-network", "--root", root, "--workers", "0", "--limit", "2")
    first = crowdbench(*options, cwd=tmp_path, env=machine)
    assert first.returncode == 0, first.stderr
    assert "AP of 2 images" in first.stdout
    assert first.stdout.endswith(
        "1 run: 1 done, but not on the whole split: not to be compared with published figures.\n"
    )
    stamp = next((tmp_path / "runs").glob("*/*/*/run.json")).stat().st_mtime_ns
    assert crowdbench(*options, cwd=tmp_path, env=machine).returncode == 0
    assert next((tmp_path / "runs").glob("*/*/*/run.json")).stat().st_mtime_ns == stamp


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        pytest.param(["i2rnet-papr"], "Did you mean 'i2rnet-paper'?", id="unknown suite"),
        pytest.param(["none.toml"], "none.toml: there is no such file (a suite)", id="no such file"),
        pytest.param(["mine.toml", "--root", "crowdpose"], "is not NAME=PATH", id="root without a name"),
        pytest.param(["mine.toml", "--root", "coco=x"], "no dataset of the suite mine", id="another's root"),
        pytest.param(["mine.toml", "--only", "x"], "no run of the suite mine matches 'x'", id="no match"),
        pytest.param(
            ["mine.toml", "--on", "moon"], "no launcher or profile is called 'moon'", id="unknown launcher"
        ),
    ],
)
def test_wrong_input_is_answered_with_what_to_do(
    tmp_path: Path, machine: dict[str, str], arguments: list[str], complaint: str
) -> None:
    done = crowdbench(*arguments, "--dry-run", cwd=tmp_path, env=machine)
    assert done.returncode == 2
    assert complaint in done.stderr


@pytest.mark.slow
def test_a_dataset_that_draws_itself_lacks_nothing(tmp_path: Path, machine: dict[str, str]) -> None:
    suite = 'name = "s"\ndescription = "d"\n[[run]]\nmethod = "toy-network"\ndataset = "synthcrowd"\n'
    (tmp_path / "drawn.toml").write_text(suite + 'weights = "none"\n')
    drawn = {**machine, "CROWDBENCH_CACHE": os.environ.get("CROWDBENCH_CACHE", str(tmp_path / "cache"))}
    done = crowdbench("drawn.toml", "--dry-run", cwd=tmp_path, env=drawn)
    assert done.stdout.endswith("1 run: 1 ready.\n"), done.stderr
