"""The version, the day of the release and the address of the project are the same wherever they are written."""

import re
import tomllib
from importlib.metadata import metadata
from pathlib import Path

import pytest
import yaml

import crowdbench

ROOT = Path(__file__).resolve().parents[1]
ADDRESS = "https://github.com/crowdbench/crowdbench"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())
RELEASES = re.findall(
    r"^## (\d+\.\d+\.\d+) \((\d{4}-\d{2}-\d{2})\)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
)


def test_the_installed_version_is_the_written_one() -> None:
    assert crowdbench.__version__ == PROJECT["version"], "pyproject.toml has changed: run make test"


def test_the_changelog_begins_with_unreleased_and_ends_with_the_first_release() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings == ["Unreleased", *(f"{version} ({day})" for version, day in RELEASES)]
    assert RELEASES[0][0] == PROJECT["version"]
    assert [day for _, day in RELEASES] == sorted((day for _, day in RELEASES), reverse=True)


def test_the_citation_is_that_of_the_latest_release() -> None:
    assert (CITATION["version"], CITATION["date-released"].isoformat()) == RELEASES[0]
    assert CITATION["license"] == PROJECT["license"]
    assert CITATION["authors"] == [{"name": author["name"]} for author in PROJECT["authors"]]


def test_the_citation_is_valid_cff() -> None:
    assert CITATION["cff-version"] == "1.2.0"
    assert CITATION.keys() >= {"message", "title", "authors"}
    known = "abstract cff-version message title type authors version date-released license keywords repository-code url"
    assert CITATION.keys() <= set(known.split())
    assert CITATION["type"] == "software"
    assert all(isinstance(word, str) for word in CITATION["keywords"])
    assert isinstance(CITATION["version"], str)


def test_the_installed_package_names_its_pages() -> None:
    urls = dict(line.split(", ", 1) for line in metadata("crowdbench").get_all("Project-URL", []))
    assert urls == PROJECT["urls"]
    assert urls.keys() == {"Homepage", "Documentation", "Source", "Issues", "Changelog"}


@pytest.mark.parametrize("url", [*PROJECT["urls"].values(), CITATION["repository-code"], CITATION["url"]])
def test_an_address_is_in_the_repository(url: str) -> None:
    assert url.startswith(ADDRESS)
    inside = re.fullmatch(r".*/(?:tree|blob)/main/(.+)", url)
    assert inside is None or (ROOT / inside[1]).exists()
