"""The built wheel, installed into an environment of its own, without this checkout."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = {".py", ".toml", ".yaml", ".safetensors", ".html", ".css", ".js"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    files = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    for name in files:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name, follow_symlinks=False)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        str(folder),
        str(source),
    ]
    subprocess.run(pip, check=True, capture_output=True)
    (built,) = folder.glob("crowdbench-*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel; the dependencies are borrowed from the one that runs the tests."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "--quiet",
        "--no-deps",
        str(wheel),
    ]
    subprocess.run(pip, check=True, capture_output=True)
    (site,) = (folder / "lib").glob("python3*/site-packages")
    # A path from a .pth file comes last, and .pth files inside it (this checkout's) are not read.
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return folder / "bin"


def run(command: list[str], cwd: Path) -> str:
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=clean, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_wheel_holds_every_package_with_its_data_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    expected = set()
    for name in tracked:
        parts = Path(name).parts
        start = next((i for i, part in enumerate(parts[:2]) if part.startswith("crowdbench")), None)
        suffix = Path(name).suffix
        if parts[0] != "tests" and start is not None and (suffix in SHIPPED or parts[-1] == "py.typed"):
            expected.add("/".join(parts[start:]))
    inside = {name for name in names if ".dist-info/" not in name}
    assert inside == expected
    assert any(name.endswith("LICENSE") for name in names)


@pytest.mark.slow
def test_the_installed_wheel_runs_a_network_without_the_checkout(environment: Path, tmp_path: Path) -> None:
    where = run(
        [str(environment / "python"), "-c", "import crowdbench; print(crowdbench.__file__)"], tmp_path
    )
    assert str(ROOT) not in where
    command = ["run", "i2rnet-vanilla", "synthcrowd", "--weights", "none", "--limit", "2", "--json"]
    record = json.loads(run([str(environment / "crowdbench"), *command], tmp_path))
    assert record["state"] == "done"
    assert "AP" in record["scores"]
    assert "i2rnet-vanilla" in run([str(environment / "crowdbench"), "leaderboard"], tmp_path)
