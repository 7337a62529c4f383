"""The Python of docs/comparing.md runs as written, on a run of the name that it takes."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "comparing.md"


@pytest.mark.slow
def test_the_python_of_the_page_runs_as_written(tmp_path: Path) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    environment = {**os.environ, "CROWDBENCH_CACHE": str(tmp_path / "cache")}
    run = [sys.executable, "-m", "crowdbench", "run", "i2rnet-tiny", "synthcrowd", "--limit", "12"]
    for command in (run, [sys.executable, "-c", code]):
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    (kept,) = tmp_path.glob("runs/*/*/*/interval.json")
    assert json.loads(kept.read_text())["low"] > 0
