"""``crowdbench check`` as a user sees it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.data.coco_files import write


def crowdbench(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "crowdbench", "check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert "Traceback" not in done.stderr
    return done


def test_a_method_is_checked_a_line_a_check(toy_plugins: dict[str, str]) -> None:
    done = crowdbench("toy-centre", "--dataset", "crowdpose", env=toy_plugins)
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert any(line.startswith("shift") and "passed" in line for line in lines)
    assert any(line.startswith("training") and "does not apply" in line for line in lines)
    assert "0 failed" in lines[-1]


def test_a_failure_is_explained_and_ends_with_status_1(toy_plugins: dict[str, str]) -> None:
    done = crowdbench("toy-wrong-count", "--dataset", "crowdpose", "--only", "ordinary", env=toy_plugins)
    assert done.returncode == 1
    assert "FAILED" in done.stdout
    for word in ("expected: ", "came: PluginError", "13 keypoints", "why it matters: "):
        assert word in done.stdout


def test_json_holds_the_outcome_of_every_check(tmp_path: Path) -> None:
    root = write(tmp_path / "set", "json/crowdpose_test.json", keypoints=14)
    (root / "images" / "000002.jpg").unlink()
    done = crowdbench("crowdpose", "--root", str(root), "--json")
    assert done.returncode == 1
    content = {entry["check"]: entry for entry in json.loads(done.stdout)}
    assert content["images"]["outcome"] == "failed"
    assert "000002.jpg" in content["images"]["came"]
    assert content["scoring"]["outcome"] == "passed"
    assert content["splits"]["reason"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        pytest.param(["hrnet-tinny"], "Did you mean 'hrnet-tiny'?", id="unknown name"),
        pytest.param(["hrnet-tiny", "--only", "shft"], "Did you mean 'shift'?", id="unknown check"),
        pytest.param(["hrnet-tiny", "--set", "size=3"], "no setting", id="unknown setting"),
        pytest.param(["hrnet-tiny", "--dataset", "cocoo"], "Did you mean 'coco'?", id="unknown dataset"),
        pytest.param(["hrnet-tiny", "--root", "."], "name it with --dataset", id="root of no dataset"),
        pytest.param(["rtmpose"], "name one with --weights FILE", id="no file"),
        pytest.param(
            ["synthcrowd", "--weights", "none"], "--weights says nothing", id="weights of a dataset"
        ),
        pytest.param(["crowdpose", "--root", "/nowhere"], "no annotations", id="no data"),
    ],
)
def test_wrong_input_is_answered_with_what_to_do(arguments: list[str], complaint: str) -> None:
    done = crowdbench(*arguments)
    assert done.returncode == 2
    assert complaint in done.stderr
