"""Cloth patterns, shadows and seats."""

import cv2
import numpy as np
from numpy.typing import NDArray

from crowdbench_datasets.synthcrowd.body import Region
from crowdbench_datasets.synthcrowd.drawing import Image, OwnerMap, figure_regions
from crowdbench_datasets.synthcrowd.outfits import Color, Outfit, shade
from crowdbench_datasets.synthcrowd.people import Figure

Window = tuple[int, int, int, int]


def window_of(figure: Figure, origin: tuple[float, float], scale: float, size: tuple[int, int]) -> Window:
    """Left, top, right, bottom of the pixels that a figure can cover, clipped to a (width, height)."""
    left, top, right, bottom = figure.extent * scale
    width, height = size
    return (
        min(max(int(origin[0] + left) - 1, 0), width),
        min(max(int(origin[1] + top) - 1, 0), height),
        max(min(int(origin[0] + right) + 2, width), 0),
        max(min(int(origin[1] + bottom) + 2, height), 0),
    )


def print_cloth(
    image: Image, owners: OwnerMap, figure: Figure, number: int, scale: float, window: Window
) -> None:
    """Draw the outfit's pattern onto a figure that was just drawn."""
    outfit = figure.outfit
    left, top, right, bottom = window
    if outfit.pattern == "plain" or right <= left or bottom <= top:
        return
    regions = [Region.TRUNK]
    if outfit.sleeve >= 0.5:
        regions += [Region.LEFT_ARM, Region.RIGHT_ARM]
    cloth = figure_regions(owners[top:bottom, left:right], number, tuple(regions))
    # Coordinates along and across the trunk, so that the pattern follows the body.
    y, x = np.mgrid[0 : bottom - top, 0 : right - left].astype(np.float32)
    down, across = -figure.up[1] * y - figure.up[0] * x, figure.up[0] * y - figure.up[1] * x
    printed = cloth & _print(outfit, down, across, max(outfit.pattern_period * scale, 3.0))
    area = image[top:bottom, left:right]
    # Scale the pixels instead of replacing them, to keep the shading.
    ratio = np.array(outfit.pattern_color) / np.maximum(np.array(outfit.top), 24.0)
    area[printed] = np.clip(area[printed] * ratio, 0, 255).astype(np.uint8)


def _print(
    outfit: Outfit, down: NDArray[np.float32], across: NDArray[np.float32], period: float
) -> NDArray[np.bool_]:
    v, h = (down % period) / period, (across % period) / period
    match outfit.pattern:
        case "stripes":
            return np.asarray(v < 0.5)
        case "pinstripes":
            return np.asarray(h < 0.25)
        case "checks":
            return np.asarray((v < 0.5) ^ (h < 0.5))
        case "dots":
            return np.asarray((v - 0.5) ** 2 + (h - 0.5) ** 2 < 0.07)
        case _:
            return np.asarray(down % (8 * period) < 4 * period)


def cast_shadow(image: Image, figure: Figure, origin: tuple[float, float], scale: float) -> None:
    """Darken the ground below a figure."""
    height, width = image.shape[:2]
    reach = 0.16 * scale
    left, right = max(int(origin[0] - 2 * reach), 0), min(int(origin[0] + 2 * reach), width)
    top, bottom = max(int(origin[1] - reach), 0), min(int(origin[1] + reach), height)
    if right <= left or bottom <= top:
        return
    y, x = np.ogrid[top:bottom, left:right]
    distance = ((x - origin[0]) / (1.5 * reach)) ** 2 + ((y - origin[1]) / (0.45 * reach)) ** 2
    light = 1 - 0.45 * np.clip(1.2 - distance, 0, 1)
    area = image[top:bottom, left:right]
    area[:] = (area * light[..., None]).astype(np.uint8)


def set_seat(
    image: Image, owners: OwnerMap, figure: Figure, origin: tuple[float, float], scale: float, color: Color
) -> None:
    """Draw a box under a seated figure; it occludes the figures behind it."""
    half, top = 0.11 * scale, origin[1] - 0.25 * scale * figure.outfit.stature
    corners = (round(origin[0] - half), round(top)), (round(origin[0] + half), round(origin[1]))
    cv2.rectangle(owners, *corners, (0,), -1)
    cv2.rectangle(image, *corners, shade(color, 0.8), -1)
    lid = corners[0], (corners[1][0], round(top + 0.03 * scale))
    cv2.rectangle(image, *lid, shade(color, 1.1), -1)
