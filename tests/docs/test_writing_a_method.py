"""The example of docs/writing-a-method.md, installed and run as the page says."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "writing-a-method.md"


def block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert found
    return found.group(1)


@pytest.mark.slow
def test_the_smallest_method_of_the_page_runs_and_is_scored(tmp_path: Path) -> None:
    (tmp_path / "my_pose").mkdir()
    (tmp_path / "my_pose" / "__init__.py").write_text(block("python"))
    project = tomllib.loads(block("toml"))["project"]
    info = tmp_path / "my_pose-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    entries = project["entry-points"]["crowdbench.methods"]
    lines = [f"{name} = {target}" for name, target in entries.items()]
    (info / "entry_points.txt").write_text("\n".join(["[crowdbench.methods]", *lines]))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}

    def crowdbench(*arguments: str) -> str:
        command = [sys.executable, "-m", "crowdbench", *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert re.search(r"my-pose\s+my-pose 0\.1", crowdbench("methods"))
    record = json.loads(crowdbench("run", "my-pose", "synthcrowd", "--limit", "4", "--json"))
    assert record["method_origin"] == "my-pose 0.1"
    assert record["scores"]["AP"] >= 0
    assert "my-pose" in crowdbench("leaderboard")
