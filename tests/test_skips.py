"""What the end of a run says about tests that did not run, and which markers tests get."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.skips import not_run

TESTS = Path(__file__).resolve().parent


def test_skipped_tests_are_counted_by_what_they_need() -> None:
    reasons = [
        "Skipped: needs Slurm and root: `slurm/dev-cluster install` as root fetches the packages",
        "Skipped: needs Chromium: apt-get install chromium",
        "Skipped: needs the reference data in /home/me/shared/data",
        "Skipped: compared with the compact golden numbers only",
        "Skipped: needs the reference data in /home/me/shared/data",
        "Skipped: because it is Monday",
    ]
    assert not_run(reasons) == (
        "Not run (6 of all tests): 1 need Slurm (slurm/dev-cluster install), "
        "1 need a browser (apt-get install chromium), 2 need photographs, or what was measured on them, "
        "1 compare again, with the whole golden numbers, "
        "1 need something else (-rs says what)."
    )
    assert not_run([]) == ""


def run(folder: Path, test: str, *options: str) -> str:
    (folder / "conftest.py").write_text(
        "from support.skips import mark_by_fixtures, pytest_terminal_summary\n"
        "def pytest_collection_modifyitems(items): mark_by_fixtures(items)\n"
    )
    (folder / "test_one.py").write_text(test)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n  cluster\n  browser\n  reference\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(TESTS), "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


def test_a_run_ends_with_what_did_not_run(tmp_path: Path) -> None:
    skipping = "import pytest\ndef test_a():\n    pytest.skip('needs Slurm and root')\n"
    lines = run(tmp_path, skipping).splitlines()
    assert "Not run (1 of all tests): 1 need Slurm (slurm/dev-cluster install)." in lines[-3:]
    assert "Not run" not in run(tmp_path, "def test_a(): pass\n")


@pytest.mark.parametrize(
    ("fixture", "marker"),
    [
        ("cluster", "cluster"),
        ("slurm_programs", "cluster"),
        ("chromium", "browser"),
        ("reference", "reference"),
        ("real_data", "reference"),
        ("cases", "reference"),
    ],
)
def test_markers_follow_from_fixtures(tmp_path: Path, fixture: str, marker: str) -> None:
    asking = (
        f"import pytest\n@pytest.fixture\ndef {fixture}(): pass\n"
        f"def test_a({fixture}): pass\ndef test_b(): pass\n"
    )
    assert "1 passed, 1 deselected" in run(tmp_path, asking, "-m", marker)
