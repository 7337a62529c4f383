"""docs/writing-a-method.md, done as it says: its ten minutes, and its smallest method."""

import importlib.util
import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "writing-a-method.md"


def block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert found
    return found.group(1)


def pages() -> ModuleType:
    """What the tests of other pages read and compare by."""
    spec = importlib.util.spec_from_file_location("pages", HERE / "test_commands.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment to install into, in which everything that is installed here is there already.

    Other pages' commands run where the tests do; those of this page install something.
    """
    venv.create(tmp_path / "venv", with_pip=False)
    (site,) = (tmp_path / "venv" / "lib").glob("python3*/site-packages")
    here = sysconfig.get_paths()["purelib"]
    (site / "here.pth").write_text(f"import site; site.addsitedir({here!r})\n")
    for name in ("pip", "crowdbench"):
        script = tmp_path / "venv" / "bin" / name
        script.write_text(f'#!/bin/sh\nexec "{tmp_path}/venv/bin/python" -m {name} "$@"\n')
        script.chmod(0o755)
    changed = {"PATH": f"{tmp_path}/venv/bin{os.pathsep}{os.environ['PATH']}"}
    if has_setuptools():
        changed["PIP_NO_BUILD_ISOLATION"] = "0"  # pip's way to say: build with what is here
    return {**os.environ, **changed}


def has_setuptools() -> bool:
    try:
        return int(version("setuptools").split(".")[0]) >= 77
    except PackageNotFoundError:
        return False


@pytest.mark.slow
def test_the_ten_minutes_lead_from_nothing_to_the_leaderboard(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    helpers = pages()
    (tmp_path / "page.md").write_text(PAGE.read_text().replace("```shellsession", "```console"))
    steps = helpers.commands(tmp_path / "page.md")
    assert [command.split()[:2] for command, _ in steps][-1] == ["crowdbench", "leaderboard"]
    (tmp_path / "work").mkdir()
    for command, shown in steps:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path / "work",
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        if shown:
            assert helpers.says(done.stdout, shown), f"{command}\nshown:\n{shown}\n\nsaid:\n{done.stdout}"


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
