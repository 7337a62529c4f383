"""Figures of an analysis."""

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import cv2
import pytest

from crowdbench.analysis import Analysis, analyse_files
from crowdbench.analysis.keypoint_errors.plots import KIND_COLOURS, write_figures
from crowdbench.visualization.plots import COLOURS
from crowdbench_datasets.keypoint_sets import COCO_17
from crowdbench_datasets.scoring_protocols import CROWDPOSE_PROTOCOL, coco_protocol

NAMES = ["gains.png", "gains.svg", "kinds.png", "kinds.svg"]


@pytest.fixture(scope="module")
def crowdpose(goldens: Path) -> Analysis:
    return analyse_files(
        goldens / "metrics" / "crowd_small_preds.json",
        goldens / "metrics" / "crowdpose_val_small_gt.json",
        CROWDPOSE_PROTOCOL,
    )


@pytest.fixture(scope="module")
def ochuman(goldens: Path) -> Analysis:
    return analyse_files(
        goldens / "metrics" / "ochuman_small_preds.json",
        goldens / "metrics" / "ochuman_small_gt.json",
        coco_protocol("ochuman", COCO_17),
    )


def colours(path: Path) -> set[str]:
    picture = cv2.imread(str(path))
    assert picture is not None
    return {f"#{r:02X}{g:02X}{b:02X}" for b, g, r in picture.reshape(-1, 3)[::3]}


def test_the_kinds_and_the_gains_are_drawn_in_colours_that_can_be_told_apart(
    tmp_path: Path, crowdpose: Analysis
) -> None:
    written = write_figures(tmp_path / "new" / "folder", {"a method": crowdpose})
    assert sorted(path.name for path in written) == NAMES
    assert set(KIND_COLOURS.values()) <= colours(tmp_path / "new" / "folder" / "kinds.png")
    assert COLOURS[0] in colours(tmp_path / "new" / "folder" / "gains.png")


def test_several_runs_stand_side_by_side(tmp_path: Path, crowdpose: Analysis, ochuman: Analysis) -> None:
    runs = {f"run {number}": crowdpose if number % 2 else ochuman for number in range(5)}
    write_figures(tmp_path, runs)
    assert set(COLOURS[:5]) <= colours(tmp_path / "gains.png")


def test_equal_input_gives_equal_bytes(tmp_path: Path, crowdpose: Analysis) -> None:
    for folder in ("one", "two"):
        write_figures(tmp_path / folder, {"a method": crowdpose})
    for name in NAMES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.parametrize("title", ["_hidden", "$a_b$", "<script>&", "ä" * 200])
@pytest.mark.parametrize("arrange", [lambda t: [t], lambda t: [t, "another"]], ids=["alone", "beside"])
def test_any_title_can_be_drawn(
    title: str, arrange: Callable[[str], list[str]], tmp_path: Path, crowdpose: Analysis
) -> None:
    write_figures(tmp_path, dict.fromkeys(arrange(title), crowdpose))
    for name in ("gains.svg", "kinds.svg"):
        assert ElementTree.parse(tmp_path / name).getroot().tag.endswith("svg")
