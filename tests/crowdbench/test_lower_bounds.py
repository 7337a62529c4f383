"""The lower bounds of pyproject.toml are versions that the tests have run with (`make test-lowest`)."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Its older wheels bring gigabytes of CUDA; constraints-lowest.txt says so.
NOT_TESTED = {"torch"}


def _declared() -> dict[str, str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    lines = [
        *project["dependencies"],
        *(line for name, more in extras.items() if name != "lint" for line in more),
    ]
    found = (re.fullmatch(r"([\w.-]+)>=([\w.]+)(?:,<[\w.]+)?", line) for line in lines)
    return {match[1]: match[2] for match in found if match}


def _pinned(name: str) -> dict[str, str]:
    lines = (ROOT / name).read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def _numbers(version: str) -> list[int]:
    numbers = [int(part) for part in re.findall(r"\d+", version)]
    return numbers + [0] * (4 - len(numbers))


@pytest.mark.parametrize(("name", "bound"), sorted(_declared().items()))
def test_a_bound_is_the_version_that_is_tested(name: str, bound: str) -> None:
    pinned = {key.casefold(): version for key, version in _pinned("constraints-lowest.txt").items()}
    if name in NOT_TESTED:
        assert pinned[name] == _pinned("constraints.txt")[name]
    else:
        # A wheel may add a fourth number to the version of what it packs.
        assert _numbers(pinned[name.casefold()])[:3] == _numbers(bound)[:3]


def test_every_dependency_has_a_lower_bound() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert len(project["dependencies"]) == len(
        [line for line in project["dependencies"] if re.match(r"[\w.-]+>=\d", line)]
    )
