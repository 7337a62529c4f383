"""The Python of docs/predicting.md runs as written."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "predicting.md"


@pytest.mark.slow
def test_the_python_of_the_page_finds_the_poses_of_a_real_picture(tmp_path: Path, real_data: Path) -> None:
    found = re.search(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert found
    (tmp_path / "data").symlink_to(real_data)
    done = subprocess.run(
        [sys.executable, "-c", found.group(1)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"\d+ data/crowdpose/images/103319.jpg\n", done.stdout)
