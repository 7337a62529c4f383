"""Boxes that cannot be x, y, width, height in pixels of their images."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crowdbench.api.types import FloatArray
from crowdbench.coco.rules.implausible import Implausible
from crowdbench.coco.rules.plausible_boxes import implausible_boxes

WIDTH, HEIGHT = 640, 480


def crowd(count: int, seed: int = 0) -> FloatArray:
    """Boxes inside an image, as annotators draw them."""
    draw = np.random.default_rng(seed)
    size = draw.uniform(20, 200, (count, 2))
    return np.concatenate([draw.uniform(0, 1, (count, 2)) * ([WIDTH, HEIGHT] - size), size], axis=1)


def as_corners(boxes: FloatArray) -> FloatArray:
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def findings(boxes: FloatArray) -> list[Implausible]:
    return implausible_boxes(boxes, np.full(len(boxes), WIDTH), np.full(len(boxes), HEIGHT))


@settings(deadline=None)
@given(count=st.integers(0, 50), seed=st.integers(0, 10**6))
def test_boxes_inside_their_images_are_plausible(count: int, seed: int) -> None:
    assert findings(crowd(count, seed)) == []


@settings(deadline=None)
@given(count=st.integers(40, 80), seed=st.integers(0, 10**6))
def test_many_corners_are_certainly_corners(count: int, seed: int) -> None:
    (found,) = findings(as_corners(crowd(count, seed)))
    assert (found.kind, found.severity) == ("corners", "error")
    assert f"of {count} boxes reach beyond their images" in found.sentence


@settings(deadline=None)
@given(count=st.integers(10, 50), seed=st.integers(0, 10**6))
def test_shares_of_the_image_are_certainly_normalized(count: int, seed: int) -> None:
    (found,) = findings(crowd(count, seed) / [WIDTH, HEIGHT, WIDTH, HEIGHT])
    assert (found.kind, found.severity) == ("normalized", "error")


def test_a_few_corners_are_a_warning() -> None:
    corners = as_corners(np.array([[400.0, 100, 100, 200], [300, 200, 90, 200], [5, 5, 50, 50]]))
    (found,) = findings(corners)
    assert (found.kind, found.severity) == ("corners", "warning")


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (lambda boxes: boxes + [2 * WIDTH, 0, 0, 0], "outside", "30 of 30 boxes lie outside"),
        (lambda boxes: boxes * 1.6, "beyond", "reach beyond"),
        (lambda boxes: boxes * [1, 1, 0, 1], "no area", "30 of 30 boxes have no area"),
        (lambda boxes: boxes * 0, "no area", "30 of 30 boxes have no area"),
    ],
)
def test_what_is_not_certain_is_a_warning_with_its_figure(change: object, kind: str, words: str) -> None:
    assert callable(change)
    found = {finding.kind: finding for finding in findings(change(crowd(30)))}
    assert found[kind].severity == "warning"
    assert words in found[kind].sentence


def test_a_detector_that_reaches_over_an_edge_now_and_then_is_plausible() -> None:
    boxes = crowd(60)
    boxes[:3] += [WIDTH - 100, 0, 0, 0]
    assert findings(boxes) == []
