"""Every command that the README and docs/ show is run here, in order, as they show it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
# Setting up is what CI does before it comes here.
SET_UP = ("git clone", "cd ", "make", "pip install", "sudo ")


def commands(page: Path) -> list[str]:
    blocks = re.findall(r"^```console\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


def perfect_predictions(data: Path) -> list[dict[str, object]]:
    """What the pages call predictions.json: the people of the CrowdPose sample, found exactly."""
    truth = json.loads((data / "crowdpose" / "json" / "crowdpose_test.json").read_text())
    return [
        {"image_id": a["image_id"], "category_id": 1, "keypoints": a["keypoints"], "score": 1.0}
        for a in truth["annotations"]
    ]


def test_the_readme_shows_commands() -> None:
    assert any("crowdbench run" in command for command in commands(ROOT / "README.md"))


@pytest.mark.slow
def test_the_python_of_the_readme_runs_as_written(tmp_path: Path) -> None:
    found = re.search(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert found
    done = subprocess.run(
        [sys.executable, "-c", found.group(1)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "i2rnet-vanilla" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda page: page.name)
def test_commands_of_a_page_work_as_written(page: Path, tmp_path: Path, real_data: Path) -> None:
    (tmp_path / "data").symlink_to(real_data)
    (tmp_path / "predictions.json").write_text(json.dumps(perfect_predictions(real_data)))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for command in commands(page):
        if command.startswith(SET_UP):
            continue
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
