"""Skeletons drawn over images, as SVG and as pixels, in one style.

A person has a color of Okabe and Ito's palette, which nearly everybody can tell apart. Left and right differ
in form, not in color: limbs and keypoints of the person's right side have a white core. What is hidden, or
found with little confidence, is fainter. A dark casing keeps lines visible on any background.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from crowdbench.api.types import FloatArray, KeypointSet, Pose
from crowdbench.errors import ShapeError
from crowdbench.visualization.plots import COLOURS as FIGURE_COLOURS

# Persons, in this order. As in figures, but on photographs black is hard to see and yellow is not.
COLOURS = (*FIGURE_COLOURS[:-1], "#F0E442")

# Keypoints found with less confidence than this are faint. Heatmaps peak at 1 where a network is sure.
SURE = 0.3
FAINT = 0.4
CASING, CASING_OPACITY = "#000000", 0.5
CORE = "#FFFFFF"

# Of a line: its width for each pixel of the diagonal of the person's keypoints, and the limits.
WIDTH_PER_DIAGONAL = 0.012
NARROWEST, WIDEST = 3.0, 12.0
# Against the width of a limb.
_CASING_WIDTH, _CORE_WIDTH, _JOINT_WIDTH = 1.7, 0.4, 1.7

# OpenCV draws lines between sixteenths of a pixel, and counts them in 32 bits: so far from the image is far.
_FRACTION_BITS = 4
_FARTHEST = 1e6

Side = Literal["left", "right", "middle"]
Point = tuple[float, float]


@dataclass(frozen=True)
class _Mark:
    """A limb (two points) or a keypoint (one), as it is to be drawn."""

    index: int
    points: tuple[Point, ...]
    side: Side
    faint: bool


@dataclass(frozen=True)
class _Plan:
    """What of a person is drawn, and how wide."""

    limbs: list[_Mark]
    joints: list[_Mark]
    width: float


def sides(layout: KeypointSet) -> tuple[Side, ...]:
    """The side of each keypoint: by name, or else left for the first of each flip pair."""
    found: list[Side] = ["middle"] * layout.count
    for first, second in layout.flip_pairs:
        swapped = "right" in layout.keypoints[first].lower() or "left" in layout.keypoints[second].lower()
        found[first], found[second] = ("right", "left") if swapped else ("left", "right")
    return tuple(found)


def line_width(keypoints: ArrayLike) -> float:
    """The width of a person's limbs in pixels, from the extent of the drawn ``(n, 2 or more)`` keypoints."""
    positions = np.asarray(keypoints, dtype=np.float64)
    if not len(positions):
        return NARROWEST
    diagonal = float(np.hypot(*np.ptp(positions[:, :2], axis=0)))
    return min(WIDEST, max(NARROWEST, WIDTH_PER_DIAGONAL * diagonal))


def person_colours(
    poses: Sequence[Pose], before: Sequence[tuple[Pose, str]] = (), palette: Sequence[str] = COLOURS
) -> list[str]:
    """A color for each pose of an image: persons near each other differ.

    Args:
        poses: of one image, or of one frame of a video.
        before: the poses of the previous frame with their colors; a person at the same place keeps the color.
        palette: colors to choose from.

    Returns:
        As many colors as poses, in their order.
    """
    middles = [_middle_and_size(pose) for pose in poses]
    kept = _kept_colours(middles, before)
    coloured: list[tuple[FloatArray, str]] = [(middles[i][0], colour) for i, colour in kept.items()]
    colours = []
    for index, (middle, size) in enumerate(middles):
        colour = kept.get(index)
        if colour is None:
            crowding = dict.fromkeys(palette, 0.0)
            for other, taken in coloured:
                if taken in crowding:
                    crowding[taken] += float(np.exp(-np.hypot(*(other - middle)) / size))
            colour = min(crowding, key=crowding.__getitem__)  # the first of the least crowded
            coloured.append((middle, colour))
        colours.append(colour)
    return colours


def _middle_and_size(pose: Pose) -> tuple[FloatArray, float]:
    positions = pose.keypoints[:, :2]
    return positions.mean(axis=0), max(1.0, float(np.hypot(*np.ptp(positions, axis=0))))


def _kept_colours(
    middles: Sequence[tuple[FloatArray, float]], before: Sequence[tuple[Pose, str]]
) -> dict[int, str]:
    """The colors, by index, of poses less than half their size away from a pose of the previous frame."""
    earlier = [(_middle_and_size(pose)[0], colour) for pose, colour in before]
    pairs = sorted(
        (float(np.hypot(*(middle - other))), now, then)
        for now, (middle, size) in enumerate(middles)
        for then, (other, _) in enumerate(earlier)
        if np.hypot(*(middle - other)) < size / 2
    )
    kept: dict[int, str] = {}
    used = set()
    for _, now, then in pairs:
        if now not in kept and then not in used:
            kept[now] = earlier[then][1]
            used.add(then)
    return kept


def draw_on(
    image: NDArray[np.uint8],
    poses: Sequence[Pose],
    layout: KeypointSet,
    *,
    colours: Sequence[str] | None = None,
    threshold: float = 0.0,
) -> NDArray[np.uint8]:
    """A copy of an image with skeletons on it; poses of higher score lie above the others.

    Args:
        image: ``(H, W, 3)`` uint8, RGB.
        poses: to draw.
        layout: names and joins their keypoints.
        colours: one for each pose, as ``#rrggbb``; None takes `person_colours`.
        threshold: keypoints with less confidence are not drawn.

    Raises:
        ShapeError: a pose has another number of keypoints than the layout, or there are not as many colors.
    """
    chosen = person_colours(poses) if colours is None else colours
    if len(chosen) != len(poses):
        raise ShapeError(f"{len(poses)} poses need {len(poses)} colours, got {len(chosen)}.")
    drawn = np.ascontiguousarray(image).copy()
    for index in sorted(range(len(poses)), key=lambda i: poses[i].score):
        _draw(drawn, _plan(poses[index].keypoints, layout, threshold), _rgb(chosen[index]))
    return drawn


def _plan(keypoints: ArrayLike, layout: KeypointSet, threshold: float) -> _Plan:
    given = np.asarray(keypoints, dtype=np.float64)
    if given.shape != (layout.count, 3):
        raise ShapeError(f"keypoints of {layout.name} must be ({layout.count}, 3), got {given.shape}.")
    strength = given[:, 2]
    shown = np.isfinite(given).all(axis=1) & (strength >= threshold)
    faint = strength < SURE
    sided = sides(layout)

    def point(index: int) -> Point:
        x, y = np.clip(given[index, :2], -_FARTHEST, _FARTHEST)
        return float(x), float(y)

    limbs = [
        _Mark(number, (point(a), point(b)), _side_of_limb(sided[a], sided[b]), bool(faint[a] or faint[b]))
        for number, (a, b) in enumerate(layout.skeleton)
        if shown[a] and shown[b]
    ]
    joints = [
        _Mark(index, (point(index),), sided[index], bool(faint[index]))
        for index in range(layout.count)
        if shown[index]
    ]
    return _Plan(limbs, joints, line_width(given[shown]))


def _side_of_limb(one: Side, other: Side) -> Side:
    if other in (one, "middle"):
        return one
    return other if one == "middle" else "middle"


def _rgb(colour: str) -> tuple[int, int, int]:
    digits = colour.removeprefix("#")
    try:
        red, green, blue = bytes.fromhex(digits)
    except ValueError:
        raise ShapeError(f"a colour on pixels must be #rrggbb, got {colour!r}.") from None
    return red, green, blue


def _draw(image: NDArray[np.uint8], plan: _Plan, colour: tuple[int, int, int]) -> None:
    """Draw one person onto an image, in place."""
    region = _region(image, plan)
    if region is None:
        return
    pixels, origin = region
    casing, core, joint = (plan.width * part for part in (_CASING_WIDTH, _CORE_WIDTH, _JOINT_WIDTH))
    _blend(pixels, CASING_OPACITY, lambda at: _lines(at, plan.limbs, origin, casing, _rgb(CASING)))
    for faint, opacity in ((True, FAINT), (False, 1.0)):
        limbs = [limb for limb in plan.limbs if limb.faint == faint]
        joints = [dot for dot in plan.joints if dot.faint == faint]
        if limbs or joints:
            painter = _painter(limbs, joints, origin, (plan.width, core, joint), colour)
            _blend(pixels, opacity, painter)


def _painter(
    limbs: Sequence[_Mark],
    joints: Sequence[_Mark],
    origin: Point,
    widths: tuple[float, float, float],
    colour: tuple[int, int, int],
) -> Callable[[NDArray[np.uint8]], None]:
    width, core, joint = widths
    white = _rgb(CORE)

    def paint(at: NDArray[np.uint8]) -> None:
        _lines(at, limbs, origin, width, colour)
        _lines(at, _right(limbs), origin, core, white)
        _lines(at, joints, origin, joint, colour)
        _lines(at, _right(joints), origin, width, white)

    return paint


def _right(marks: Sequence[_Mark]) -> list[_Mark]:
    return [mark for mark in marks if mark.side == "right"]


def _region(image: NDArray[np.uint8], plan: _Plan) -> tuple[NDArray[np.uint8], Point] | None:
    """The part of the image that a person's lines touch, and where it begins; None if it is elsewhere."""
    points = np.array([point for mark in plan.joints for point in mark.points]).reshape(-1, 2)
    if not len(points):
        return None
    margin = 2 * plan.width + 2
    height, width = image.shape[:2]
    low = np.clip(np.floor(points.min(axis=0) - margin), 0, (width, height)).astype(int)
    high = np.clip(np.ceil(points.max(axis=0) + margin), 0, (width, height)).astype(int)
    if (high <= low).any():
        return None
    return image[low[1] : high[1], low[0] : high[0]], (float(low[0]), float(low[1]))


def _blend(pixels: NDArray[np.uint8], opacity: float, paint: Callable[[NDArray[np.uint8]], None]) -> None:
    layer = pixels.copy()
    paint(layer)
    pixels[...] = layer if opacity == 1 else cv2.addWeighted(layer, opacity, pixels, 1 - opacity, 0)


def _lines(
    pixels: NDArray[np.uint8],
    marks: Sequence[_Mark],
    origin: Point,
    width: float,
    colour: tuple[int, int, int],
) -> None:
    for mark in marks:
        ends = list(_fixed(mark.points, origin))
        if len(ends) == 1:
            radius = round(width / 2 * (1 << _FRACTION_BITS))
            cv2.circle(pixels, ends[0], radius, colour, cv2.FILLED, cv2.LINE_AA, _FRACTION_BITS)
        else:
            thickness = max(1, round(width))
            cv2.line(pixels, ends[0], ends[1], colour, thickness, cv2.LINE_AA, _FRACTION_BITS)


def _fixed(points: Sequence[Point], origin: Point) -> Iterator[tuple[int, int]]:
    for point in points:
        x, y = (
            round((value - first) * (1 << _FRACTION_BITS)) for value, first in zip(point, origin, strict=True)
        )
        yield x, y
