"""The background of an image: sky, walls, street or foliage, and the direction of the light."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from crowdbench_datasets.synthcrowd.outfits import Color, mix

Image = NDArray[np.uint8]

_WALLS = ((168, 150, 128), (188, 184, 176), (128, 92, 74), (96, 110, 122), (206, 190, 160), (84, 82, 88))
_GROUNDS = ((128, 124, 118), (150, 140, 122), (96, 122, 70), (176, 160, 128), (88, 88, 92), (140, 110, 84))
_SKIES = ((150, 190, 226), (196, 206, 214), (232, 196, 160), (110, 140, 176))
_LEAVES = ((62, 96, 52), (84, 112, 58), (48, 78, 50), (112, 124, 62))


@dataclass(frozen=True)
class Scene:
    """The surroundings of a crowd.

    Attributes:
        background: ``(H, W, 3)`` uint8, RGB.
        light: unit vector toward the light, in the image plane.
        haze: RGB color that distant figures fade to.
    """

    background: Image
    light: tuple[float, float]
    haze: Color


def sample_scene(rng: np.random.Generator, size: tuple[int, int]) -> Scene:
    """Sample a scene: backdrop above the horizon, ground below, clutter between, grain over everything."""
    width, height = size
    horizon = int(rng.uniform(0.30, 0.58) * height)
    canvas = np.empty((height, width, 3), np.uint8)
    sky = _color(rng, _SKIES)
    _fade(canvas[:horizon], sky, mix(sky, (255, 255, 255), 0.35))
    kind = rng.integers(3)
    if kind == 0:
        _wall(rng, canvas[:horizon])
    elif kind == 1:
        _foliage(rng, canvas[:horizon])
    else:
        _skyline(rng, canvas[:horizon])
    ground = _color(rng, _GROUNDS)
    _fade(canvas[horizon:], mix(ground, sky, 0.3), mix(ground, (0, 0, 0), 0.15))
    _paving(rng, canvas, horizon)
    _clutter(rng, canvas, horizon)
    _grain(rng, canvas)
    angle = rng.uniform(-2.4, -0.7)
    return Scene(canvas, (float(np.cos(angle)), float(np.sin(angle))), sky)


def _color(rng: np.random.Generator, palette: tuple[tuple[int, int, int], ...]) -> Color:
    red, green, blue = np.clip(np.array(palette[rng.integers(len(palette))]) + rng.normal(0, 12, 3), 10, 245)
    return float(red), float(green), float(blue)


def _fade(area: Image, top: Color, bottom: Color) -> None:
    steps = np.linspace(0, 1, len(area))[:, None]
    area[:] = (np.array(top) + steps * (np.array(bottom) - np.array(top))).astype(np.uint8)[:, None]


def _wall(rng: np.random.Generator, area: Image) -> None:
    height, width = area.shape[:2]
    wall = _color(rng, _WALLS)
    top = int(rng.uniform(-0.3, 0.3) * height)
    area[max(top, 0) :] = np.array(wall, np.uint8)
    joint = mix(wall, (30, 30, 30), 0.25)
    if rng.random() < 0.5:
        course = int(rng.integers(7, 14))
        for row, y in enumerate(range(max(top, 0), height, course)):
            cv2.line(area, (0, y), (width, y), joint)
            for x in range((row % 2) * course, width, 2 * course):
                cv2.line(area, (x, y), (x, y + course), joint)
    pitch = int(rng.integers(50, 110))
    for x in range(int(rng.integers(-20, 40)), width, pitch):
        pane = mix((60, 74, 92), (210, 220, 230), float(rng.random()) * 0.6)
        box = (x, top + int(0.25 * height), int(0.5 * pitch), int(0.45 * height))
        cv2.rectangle(area, box, pane, -1)
        cv2.rectangle(area, box, joint, 2)


def _foliage(rng: np.random.Generator, area: Image) -> None:
    height, width = area.shape[:2]
    for depth in range(3):
        count = 34
        x = rng.uniform(-20, width + 20, count)
        y = height - rng.gamma(2.0, 0.16 + 0.05 * (2 - depth), count) * height
        for at_x, at_y, radius in zip(x, y, rng.uniform(12, 40, count), strict=True):
            color = mix(_color(rng, _LEAVES), (190, 205, 215), 0.3 * (2 - depth) / 2)
            axes = (int(radius), int(radius * 0.75))
            cv2.ellipse(area, (int(at_x), int(max(at_y, 6))), axes, 0, 0, 360, color, -1, cv2.LINE_AA)


def _skyline(rng: np.random.Generator, area: Image) -> None:
    height, width = area.shape[:2]
    x = -10
    while x < width:
        wide = int(rng.integers(36, 110))
        top = int(rng.uniform(0.05, 0.75) * height)
        wall = mix(_color(rng, _WALLS), (200, 206, 214), 0.3)
        cv2.rectangle(area, (x, top), (x + wide, height), wall, -1)
        dark = mix(wall, (40, 48, 60), 0.5)
        for window in range(x + 6, x + wide - 6, 13):
            for floor in range(top + 8, height - 6, 16):
                cv2.rectangle(area, (window, floor), (window + 6, floor + 8), dark, -1)
        x += wide


def _paving(rng: np.random.Generator, canvas: Image, horizon: int) -> None:
    height, width = canvas.shape[:2]
    line = tuple(float(v) for v in canvas[height - 1, 0] * 0.82)
    vanishing = (int(rng.uniform(0.2, 0.8) * width), horizon)
    if rng.random() < 0.7:
        for x in range(-width, 2 * width, int(rng.integers(50, 120))):
            cv2.line(canvas, vanishing, (x, height), line, 1, cv2.LINE_AA)
        y, step = float(horizon + 4), 5.0
        while y < height:
            cv2.line(canvas, (0, int(y)), (width, int(y)), line, 1)
            y, step = y + step, step * 1.35


def _clutter(rng: np.random.Generator, canvas: Image, horizon: int) -> None:
    height, width = canvas.shape[:2]
    for _ in range(int(rng.integers(1, 5))):
        x, wide = int(rng.uniform(0, width)), int(rng.uniform(4, 40))
        foot = horizon + int(rng.uniform(0.02, 0.2) * (height - horizon))
        top = foot - int(rng.uniform(0.15, 0.6) * horizon)
        color = mix(_color(rng, _WALLS), (40, 44, 50), 0.4)
        cv2.rectangle(canvas, (x, top), (x + wide, foot), color, -1)
        cv2.line(canvas, (x, top), (x, foot), mix(color, (255, 255, 255), 0.3), 2)


def _grain(rng: np.random.Generator, canvas: Image) -> None:
    height, width = canvas.shape[:2]
    coarse = rng.normal(0, 9, (height // 16 + 1, width // 16 + 1)).astype(np.float32)
    patches = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    fine = np.frombuffer(rng.bytes(height * width), np.int8).reshape(height, width) >> 4
    noise = cv2.merge([patches.astype(np.int16) + fine] * 3)
    np.copyto(canvas, cv2.add(canvas.astype(np.int16), noise).clip(0, 255).astype(np.uint8))
