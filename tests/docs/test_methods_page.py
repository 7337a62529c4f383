"""docs/methods.md says what the methods' settings are, all of them and as they are."""

import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec
import pytest

from crowdbench import load_method
from crowdbench.api.method import NetworkMethod
from crowdbench.engine.complexity import complexity
from crowdbench.plugins import Plugin, installed
from crowdbench_backbones.top_down.settings import CROWDPOSE_NMS_SIGMAS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "methods.md").read_text()
COLUMNS = ("crowdpose", "ochuman", "coco", "synthcrowd")  # the last stands for all others


def rows(heading: str) -> list[list[str]]:
    """The table whose heading begins like this, without it."""
    (found,) = re.findall(rf"^{re.escape(heading)}.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    return [[cell.strip().strip("`") for cell in line.split("|")[1:-1]] for line in found.splitlines()]


def value(cell: str) -> Any:
    return list(CROWDPOSE_NMS_SIGMAS) if cell == "the release's" else msgspec.json.decode(cell)


def documented(method: str, dataset: str) -> dict[str, Any]:
    everywhere = {
        name: value(cell) for name, pattern, cell, _ in rows("| setting |") if fnmatchcase(method, pattern)
    }
    column = 2 + COLUMNS.index(dataset)
    here = {row[1]: value(row[column]) for row in rows("| method | setting |") if fnmatchcase(method, row[0])}
    return everywhere | here


@pytest.mark.parametrize("dataset", COLUMNS)
@pytest.mark.parametrize(
    "method",
    [
        "hrnet-tiny",
        "i2rnet-tiny",
        "hrnet-w48-s",
        "i2rnet-vanilla",
        "transpose-h",
        "i2rnet-transpose",
        "hrformer-b",
        "i2rnet-hrformer",
    ],
)
def test_the_page_tells_every_setting_as_it_is(method: str, dataset: str) -> None:
    settings = msgspec.json.decode(msgspec.json.encode(load_method(method, dataset).settings))
    assert documented(method, dataset) == settings


def test_the_page_tells_of_every_method_that_comes_with_the_bench() -> None:
    ours = {
        name
        for name, plugin in installed("method").items()
        if isinstance(plugin, Plugin)
        and plugin.origin.startswith("crowdbench ")
        and not plugin.target.startswith("crowdbench_wrappers.")  # docs/wrappers.md tells of those
    }
    assert {name for name, *_ in rows("| method | | parameters")} == ours


@pytest.mark.slow
@pytest.mark.parametrize("row", rows("| method | | parameters"), ids=lambda row: row[0])
def test_the_page_tells_the_size_and_cost_of_the_networks(row: list[str]) -> None:
    name, _, parameters, gmacs = row
    method = load_method(name, "coco")
    assert isinstance(method, NetworkMethod)
    found = complexity(method)
    assert (parameters, gmacs) == (f"{found.parameters / 1e6:.2f}", f"{found.macs / 1e9:.2f}")
