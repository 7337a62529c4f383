"""The version comes from the installed package, and only when it is asked for."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import crowdbench

ROOT = Path(__file__).resolve().parents[3]


def _python(code: str, *options: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if path:
        environment["PYTHONPATH"] = str(path)
    return subprocess.run(
        [sys.executable, "-P", *options, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_version_is_that_of_pyproject() -> None:
    written = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert crowdbench.__version__ == written


def test_importing_the_package_does_not_read_metadata() -> None:
    done = _python("import sys, crowdbench; print('importlib.metadata' in sys.modules)", "-S", path=ROOT)
    assert done.stdout == "False\n", done.stderr


def test_a_source_tree_that_is_not_installed_has_no_version(tmp_path: Path) -> None:
    (tmp_path / "crowdbench").symlink_to(ROOT / "crowdbench")
    done = _python("import crowdbench; print(crowdbench.__version__)", "-S", path=tmp_path)
    assert done.stdout == "unknown\n", done.stderr
