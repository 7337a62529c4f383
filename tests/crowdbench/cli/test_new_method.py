"""``crowdbench new-method``, as a user types it, and what its package does once it is installed."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from crowdbench.scaffold.new_method import BEGINNINGS


def crowdbench(
    *arguments: str, cwd: Path, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "crowdbench", *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def installed(package: Path, site: Path) -> dict[str, str]:
    """An environment in which a package is installed, as far as Python can tell; pip takes longer."""
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    entries = project["entry-points"]["crowdbench.methods"]
    lines = [f"{name} = {target}" for name, target in entries.items()]
    (info / "entry_points.txt").write_text("\n".join(["[crowdbench.methods]", *lines]))
    path = os.pathsep.join(filter(None, [str(site), str(package / "src"), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def test_it_says_what_it_wrote_and_what_to_do_next(tmp_path: Path) -> None:
    done = crowdbench("new-method", "my-pose", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    written, commands = done.stdout.split("\nNext:\n")
    assert all((tmp_path / line).is_file() for line in written.split())
    assert "my-pose/src/my_pose/method.py" in written.split()
    assert [line.split()[:3] for line in commands.splitlines()] == [
        ["pip", "install", "-e"],
        ["crowdbench", "check", "my-pose"],
        ["crowdbench", "run", "my-pose"],
        ["crowdbench", "train", "my-pose"],
        ["crowdbench", "leaderboard"],
    ]


def test_the_commands_can_be_pasted_even_if_the_folder_has_a_space(tmp_path: Path) -> None:
    done = crowdbench("new-method", "my-pose", "--out", "my folder", "--paradigm", "wrapper", cwd=tmp_path)
    assert (tmp_path / "my folder" / "my-pose" / "README.md").is_file()
    assert "pip install -e 'my folder/my-pose'\n" in done.stdout
    assert "crowdbench train" not in done.stdout, "there is no network to train"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["My_Pose"], "InputError: 'My_Pose' will not do", id="name"),
        pytest.param(["i2rnet-tiny"], "InputError: 'i2rnet-tiny' will not do", id="taken"),
        pytest.param(["there"], "DataError: there: something is there already", id="folder"),
        pytest.param(["my-pose", "--paradigm", "one-stage"], "'one-stage' is not one of", id="paradigm"),
    ],
)
def test_what_will_not_do_ends_with_status_2_and_the_reason(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    (tmp_path / "there").mkdir()
    done = crowdbench("new-method", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_writing_a_package_does_not_import_torch(tmp_path: Path) -> None:
    code = (
        "import sys, crowdbench.cli as c\n"
        "try: c.main(['new-method', 'my-pose'])\n"
        "except SystemExit: print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip().endswith("False"), done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("paradigm", BEGINNINGS)
def test_a_new_package_passes_its_own_tests_at_once(paradigm: str, tmp_path: Path) -> None:
    crowdbench("new-method", "my-pose", "--paradigm", paradigm, cwd=tmp_path)
    environment = installed(tmp_path / "my-pose", tmp_path / "site")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q"]
    done = subprocess.run(
        command, cwd=tmp_path / "my-pose", env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert re.search(r"\d\d passed", done.stdout), "the contract's tests are many"


@pytest.mark.slow
@pytest.mark.parametrize("paradigm", ["top-down", "bottom-up"])
def test_a_new_method_is_trained_and_its_weights_are_run(paradigm: str, tmp_path: Path) -> None:
    crowdbench("new-method", "my-pose", "--paradigm", paradigm, cwd=tmp_path)
    environment = installed(tmp_path / "my-pose", tmp_path / "site")
    for split in ("train", "val", "test"):
        crowdbench("data", "synth", "crowds", "--split", split, "--images", "4", cwd=tmp_path)
    done = crowdbench(
        *("train", "my-pose", "synthcrowd", "--root", "crowds", "--epochs", "2", "--device", "cpu"),
        cwd=tmp_path,
        environment=environment,
    )
    assert done.returncode == 0, done.stderr
    (training,) = [json.loads(path.read_text()) for path in tmp_path.glob("runs/*/my-pose/*/training.json")]
    assert training["state"] == "done"
    assert training["method_origin"] == "my-pose 0.1.0"
    (run,) = [json.loads(path.read_text()) for path in tmp_path.glob("runs/*/my-pose/*/run.json")]
    assert run["state"] == "done"
    assert run["protocol"]["training_data"].startswith("synthcrowd")
