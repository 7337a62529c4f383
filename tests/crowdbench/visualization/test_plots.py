"""Figures: what is drawn, and nothing else, decides their bytes."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from crowdbench.errors import ShapeError
from crowdbench.visualization.plots import line_figure

TEXTS = {"x_label": "epoch", "y_label": "loss", "title": "a $title_"}


def test_equal_input_gives_equal_bytes_and_another_line_others(tmp_path: Path) -> None:
    names = ("a", "b", "c")
    for name, last in zip(names, (3.0, 3.0, 4.0), strict=True):
        line_figure(tmp_path / name, {"loss": ([0, 1, 2], [1.0, 2.0, last])}, **TEXTS)
    first, second, third = ((tmp_path / name).read_bytes() for name in names)
    assert first == second
    assert first != third


def test_a_second_axis_and_gaps_are_drawn(tmp_path: Path) -> None:
    path = tmp_path / "two.png"
    series = {"loss": ([0, 1, 2], [1.0, float("nan"), 3.0])}
    line_figure(path, series, second={"AP": ([0, 2], [10, 20])}, second_label="AP", **TEXTS)
    picture = cv2.imread(str(path))
    assert picture is not None
    assert picture.shape == (500, 800, 3)
    colours = {tuple(colour) for colour in picture.reshape(-1, 3)[::7]}
    assert (0xB2, 0x72, 0x00) in colours  # blue, as OpenCV orders it
    line_figure(tmp_path / "one.png", series, **TEXTS)
    assert not np.array_equal(picture, cv2.imread(str(tmp_path / "one.png")))


def test_a_line_of_unequal_lengths_is_refused_and_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match="'loss' has 2 x and 1 y"):
        line_figure(tmp_path / "x.png", {"loss": ([0, 1], [1.0])}, **TEXTS)
    assert not list(tmp_path.iterdir())


def test_matplotlib_is_imported_only_to_draw() -> None:
    code = "import sys, crowdbench.visualization.plots, crowdbench.analysis.crowding_curve; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
