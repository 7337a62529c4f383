"""docs/pinet.md says what PINet's settings and recipes are, all of them and as they are."""

import dataclasses
import re
from pathlib import Path

import msgspec
import pytest

from crowdbench import load_method
from crowdbench.api.load_method import method_class
from crowdbench_datasets.keypoint_sets import COCO_17

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "pinet.md").read_text()


def rows(heading: str) -> list[list[str]]:
    (found,) = re.findall(rf"^{re.escape(heading)}.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    return [[cell.strip().strip("`") for cell in line.split("|")[1:-1]] for line in found.splitlines()]


@pytest.mark.parametrize(("column", "method"), [(1, "pinet"), (2, "pinet-tiny")])
@pytest.mark.parametrize("dataset", ["crowdpose", "ochuman", "coco", "synthcrowd"])
def test_the_page_tells_every_setting_as_it_is(column: int, method: str, dataset: str) -> None:
    documented = {row[0]: msgspec.json.decode(row[column]) for row in rows("| setting |")}
    if (method, dataset) == ("pinet", "coco"):
        documented["refinement_layers"] = 2
    settings = msgspec.json.decode(msgspec.json.encode(load_method(method, dataset).settings))
    assert documented == settings


@pytest.mark.parametrize("row", rows("| dataset | epochs"), ids=lambda row: row[0])
def test_the_page_tells_the_recipes_as_they_are(row: list[str]) -> None:
    recipe = method_class("pinet").published_recipe(row[0], COCO_17)  # type: ignore[attr-defined]
    milestones = ", ".join(map(str, recipe.milestones))
    found = [recipe.epochs, milestones, recipe.batch_size, recipe.processes, recipe.split]
    assert [str(value) for value in found] == row[1:]


def test_what_the_page_says_can_be_changed_can_be() -> None:
    recipe = method_class("pinet").published_recipe("coco", COCO_17)  # type: ignore[attr-defined]
    for name, said, _ in rows("| value |"):
        value = recipe
        for part in name.split("."):
            assert part in {field.name for field in dataclasses.fields(value)}
            value = getattr(value, part)
        assert msgspec.json.decode(said.partition("`")[0]) == value
