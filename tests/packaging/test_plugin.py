"""A third-party plugin, from `crowdbench new-method` to the leaderboard, in an environment of its own."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(*command: str, cwd: Path) -> str:
    # Nothing of this checkout, nor of whatever started the tests.
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=clean, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with crowdbench's wheel; the dependencies are borrowed from this one."""
    folder = tmp_path_factory.mktemp("environment")
    source = folder / "source"
    for name in run("git", "ls-files", cwd=ROOT).splitlines():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name, follow_symlinks=False)
    venv.create(folder / "venv", with_pip=False)
    (site,) = (folder / "venv" / "lib").glob("python3*/site-packages")
    # A path from a .pth file comes last, and .pth files inside it (this checkout's) are not read.
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    pip_install(folder / "venv" / "bin", str(source), cwd=folder)
    return folder / "venv" / "bin"


def pip_install(environment: Path, *what: str, cwd: Path) -> None:
    """With the setuptools that is here, if it is, so that nothing is fetched."""
    here = (
        "--no-build-isolation" if run(sys.executable, "-c", HAS_SETUPTOOLS, cwd=cwd).strip() == "True" else ""
    )
    pip = [sys.executable, "-m", "pip", "--python", str(environment / "python")]
    run(*pip, "install", "--quiet", "--no-deps", *filter(None, [here]), *what, cwd=cwd)


HAS_SETUPTOOLS = """
from importlib.metadata import PackageNotFoundError, version
try: print(int(version("setuptools").split(".")[0]) >= 77)
except PackageNotFoundError: print(False)
"""


@pytest.mark.slow
def test_a_plugin_stands_on_the_leaderboard_with_no_edit_to_the_bench(
    environment: Path, tmp_path: Path
) -> None:
    bench = str(environment / "crowdbench")
    run(bench, "new-method", "my-pose", cwd=tmp_path)
    pip_install(environment, "./my-pose", cwd=tmp_path)
    where = "import crowdbench, my_pose; print(crowdbench.__file__, my_pose.__file__)"
    for place in run(str(environment / "python"), "-c", where, cwd=tmp_path).split():
        assert Path(place).is_relative_to(environment.parent), "the checkout, or the folder, is not what runs"

    listed = run(bench, "methods", cwd=tmp_path)
    assert re.search(r"^my-pose\s+my-pose 0\.1\.0\s+my_pose:MyPose\s*$", listed, re.MULTILINE)

    run(bench, "data", "synth", "crowds", "--images", "2", cwd=tmp_path)
    command = ["run", "my-pose", "synthcrowd", "--root", "crowds", "--weights", "none", "--workers", "1"]
    record = json.loads(run(bench, *command, "--json", cwd=tmp_path))
    assert record["state"] == "done"
    assert record["method_origin"] == "my-pose 0.1.0"
    assert record["counts"]["predictions"] > 0

    assert re.search(r"^my-pose\s", run(bench, "leaderboard", cwd=tmp_path), re.MULTILINE)


@pytest.mark.slow
def test_a_plugins_own_tests_pass_against_the_installed_bench(environment: Path, tmp_path: Path) -> None:
    run(str(environment / "crowdbench"), "new-method", "their-pose", "--paradigm", "wrapper", cwd=tmp_path)
    pip_install(environment, "-e", "./their-pose", cwd=tmp_path)
    passed = run(str(environment / "python"), "-m", "pytest", "-q", cwd=tmp_path / "their-pose")
    assert re.search(r"\d\d passed", passed)
