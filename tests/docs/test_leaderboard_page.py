"""docs/leaderboard.md names every column and every option that there is, and its Python runs."""

import re
import subprocess
import sys
from pathlib import Path

from support.runs.fake_runs import make_run

from crowdbench.cli.leaderboard import STYLES, leaderboard
from crowdbench.leaderboard.rows import COLUMNS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "leaderboard.md").read_text()


def test_every_column_is_explained() -> None:
    explained = set(re.findall(r"`([^`]+)`", "\n".join(re.findall(r"^\| (`.+?) \|", PAGE, re.MULTILINE))))
    assert {column.name for column in COLUMNS} <= explained


def test_every_option_and_format_is_named() -> None:
    options = {name for parameter in leaderboard.params for name in parameter.opts if name.startswith("--")}
    assert options <= set(re.findall(r"--[a-z-]+", PAGE))
    assert set(STYLES) <= set(re.findall(r"(?:--format |`)(\w+)", PAGE))


def test_the_python_of_the_page_prints_runs_and_published_figures(tmp_path: Path) -> None:
    make_run(tmp_path / "runs", 1, 0.7)
    found = re.search(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert found
    done = subprocess.run(
        [sys.executable, "-c", found.group(1)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "method-1" in done.stdout
    assert "I2R-Net HRFormer-B" in done.stdout
