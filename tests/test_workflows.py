"""GitHub's workflows name targets, files and Python versions that are there."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
ACTIONS = sorted((ROOT / ".github/actions").glob("*/action.yml"))


def _read(path: Path) -> dict[Any, Any]:
    found = yaml.safe_load(path.read_text())
    assert isinstance(found, dict)
    return found


def _steps(path: Path) -> list[dict[str, Any]]:
    content = _read(path)
    holders = content["jobs"].values() if "jobs" in content else [content["runs"]]
    return [step for holder in holders for step in holder["steps"]]


def _commands(path: Path) -> list[str]:
    return [line.strip() for step in _steps(path) for line in step.get("run", "").splitlines()]


def _makefile_targets() -> set[str]:
    text = (ROOT / "Makefile").read_text()
    variables = dict(re.findall(r"^(\w+) [:?]?= ?(.*)$", text, re.MULTILINE))
    rules = re.findall(r"^([\w$()./-]+):(?!=)", text, re.MULTILINE)
    for _ in range(2):  # a variable may name another
        rules = [re.sub(r"\$\((\w+)\)", lambda match: variables[match[1]], rule) for rule in rules]
    return set(rules)


def _paths(command: str) -> list[str]:
    """Words of a command that name files of the repository."""
    words = re.findall(r"(?:^|[\s=])((?:tests|docs|crowdbench)/[\w./-]+|[\w-]+\.(?:txt|toml|md))", command)
    return [*words, *re.findall(r"ARGS=(\S+)", command)]


def test_there_is_a_workflow_for_each_kind_of_check() -> None:
    assert {path.stem for path in WORKFLOWS} == {"docs", "lint", "tests", "wheel"}


@pytest.mark.parametrize("path", [*WORKFLOWS, *ACTIONS], ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_targets_and_files_that_it_names_are_there(path: Path) -> None:
    targets = [word for line in _commands(path) for word in re.findall(r"^make ([\w./-]+)", line)]
    assert set(targets) <= _makefile_targets()
    missing = [name for line in _commands(path) for name in _paths(line) if not (ROOT / name).exists()]
    assert not missing
    for step in _steps(path):
        cached = step.get("with", {}).get("cache-dependency-path", "").split()
        assert all((ROOT / name).is_file() for name in cached)


@pytest.mark.parametrize("path", [*WORKFLOWS, *ACTIONS], ids=lambda path: f"{path.parent.name}/{path.name}")
def test_actions_are_ours_or_have_a_major_version(path: Path) -> None:
    for uses in filter(None, (step.get("uses") for step in _steps(path))):
        if uses.startswith("./"):
            assert (ROOT / uses / "action.yml").is_file(), uses
        else:
            assert re.fullmatch(r"actions/[\w-]+@v\d+", uses), uses


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_only_read_and_is_cancelled_by_a_newer_one(path: Path) -> None:
    workflow = _read(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["cancel-in-progress"] is True
    assert all("permissions" not in job and job["timeout-minutes"] for job in workflow["jobs"].values())
    # YAML 1.1 reads the key "on" as true.
    assert workflow[True] == {"push": {"branches": ["main"]}, "pull_request": None}


def test_the_tested_pythons_are_those_of_the_classifiers() -> None:
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    declared = {match[1] for line in classifiers if (match := re.search(r":: (3\.\d+)$", line))}
    job = _read(ROOT / ".github/workflows/tests.yml")["jobs"]["tests"]
    matrix = job["strategy"]["matrix"]
    assert set(matrix["python-version"]) == declared
    assert matrix["experimental"] == [False]
    assert all(more["experimental"] and more["python-version"] not in declared for more in matrix["include"])
    assert job["continue-on-error"] == "${{ matrix.experimental }}"


def test_hooks_have_the_versions_that_ci_has() -> None:
    repositories = _read(ROOT / ".pre-commit-config.yaml")["repos"]
    remote = {
        repository["repo"]: repository["rev"] for repository in repositories if repository["repo"] != "local"
    }
    pinned = dict(re.findall(r"^(\S+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    assert remote["https://github.com/astral-sh/ruff-pre-commit"] == f"v{pinned['ruff']}"
    assert all(re.fullmatch(r"v\d+\.\d+\.\d+", revision) for revision in remote.values())


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml")), ids=lambda path: path.name
)
def test_an_issue_form_asks_for_fields_of_its_own(path: Path) -> None:
    form = _read(path)
    if path.name == "config.yml":
        assert all({"name", "url", "about"} == link.keys() for link in form["contact_links"])
        return
    asked = [field for field in form["body"] if field["type"] != "markdown"]
    assert form["name"]
    assert form["description"]
    assert len({field["id"] for field in asked}) == len(asked)
    assert all(field["attributes"]["label"] for field in asked)
    assert any(field.get("validations", {}).get("required") for field in asked)
