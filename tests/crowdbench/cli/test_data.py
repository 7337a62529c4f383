"""``crowdbench data`` as a user runs it: in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.data import coco_files


def crowdbench(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "crowdbench", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_group_lists_its_own_command_and_those_of_plugins() -> None:
    done = crowdbench("data", "--help")
    assert done.returncode == 0
    assert "check" in done.stdout
    assert "synth" in done.stdout


def test_a_sample_is_reported_on_stdout_and_ends_with_status_1(real_data: Path) -> None:
    done = crowdbench("data", "check", "crowdpose", "--root", real_data / "crowdpose")
    assert done.returncode == 1
    assert "crowdpose_test.json: 2 images, published are 8000" in done.stdout
    assert done.stdout.splitlines()[-1] == "1 error, 0 warnings."
    assert done.stderr == ""


def test_json_is_whole_and_alone_on_stdout(real_data: Path) -> None:
    done = crowdbench("data", "check", "ochuman", "--root", real_data / "ochuman", "--json")
    findings = json.loads(done.stdout)
    assert {finding["severity"] for finding in findings} == {"note", "error"}
    assert set(findings[0]) == {"severity", "kind", "file", "where", "what", "remedy"}


@pytest.mark.parametrize(
    ("arguments", "sign"),
    [
        pytest.param(["crowdpos"], "Did you mean 'crowdpose'", id="dataset"),
        pytest.param(["crowdpose", "--split", "tset"], "Did you mean 'test'", id="split"),
        pytest.param(["crowdpose", "--root", "nowhere"], "nowhere/json/crowdpose_test.json", id="root"),
        pytest.param(["crowdpose", "--split", "val"], "pass --split test", id="another split is there"),
        pytest.param(["crowdpose", "--against", "ochumann"], "Did you mean 'ochuman'", id="against"),
        pytest.param(["crowdpose", "--boxes", "none.json"], "none.json", id="boxes"),
    ],
)
def test_wrong_input_is_one_message_and_status_2(tmp_path: Path, arguments: list[str], sign: str) -> None:
    coco_files.write(tmp_path, "json/crowdpose_test.json")
    root = [] if "--root" in arguments else ["--root", str(tmp_path)]
    done = crowdbench("data", "check", *arguments, *root)
    assert done.returncode == 2, done.stderr
    assert sign in done.stderr
    assert "Traceback" not in done.stderr
