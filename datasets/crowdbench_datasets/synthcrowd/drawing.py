"""Painting figures into an image and, beside it, into the map of who owns each pixel."""

import cv2
import numpy as np
from numpy.typing import NDArray

from crowdbench_datasets.synthcrowd.body import Region
from crowdbench_datasets.synthcrowd.outfits import Colour, mix, shade
from crowdbench_datasets.synthcrowd.people import Figure

Image = NDArray[np.uint8]
OwnerMap = NDArray[np.uint16]

# An owner map's value is the figure's number, from 1, times this, plus the region; 0 is nobody.
OWNER_STEP = 32

_SHIFT = 4  # binary digits of fixed-point coordinates below a pixel
_CIRCLE = np.stack([f(np.arange(20) * (2 * np.pi / 20)) for f in (np.cos, np.sin)], axis=-1)
# A piece looks round because it is painted thrice: a dark rim, then smaller and brighter hulls that
# lean toward the light. Size, shift toward the light in radii, gain.
_LAYERS = ((1.0, 0.0, 0.70), (0.80, 0.14, 0.96), (0.45, 0.34, 1.12))


def draw_figure(
    image: Image,
    owners: OwnerMap,
    figure: Figure,
    number: int,
    origin: tuple[float, float],
    scale: float,
    light: tuple[float, float],
    haze: tuple[Colour, float],
) -> None:
    """Paint one figure over what is there, in both images.

    Args:
        image: ``(H, W, 3)`` uint8, RGB.
        owners: ``(H, W)`` uint16; see `OWNER_STEP`.
        figure: the figure.
        number: names it in the owner map; from 1.
        origin: where the ground contact lies, x and y in pixels.
        scale: pixels in an adult's height.
        light: unit vector in the image toward the light.
        haze: colour of the air, and its share in this figure's colours.
    """
    discs = figure.discs * scale
    discs[:, :2] += origin
    layers = []
    for size, lean, _ in _LAYERS:
        centres = discs[:, :2] + lean * discs[:, 2:] * np.array(light)
        circles = centres[:, None] + size * discs[:, 2, None, None] * _CIRCLE
        layers.append(np.rint(circles * (1 << _SHIFT)).astype(np.int32))

    for index, part in enumerate(figure.parts):
        rows = slice(figure.firsts[index], figure.firsts[index + 1])
        hull = cv2.convexHull(layers[0][rows].reshape(-1, 2))
        owner = number * OWNER_STEP + int(part.region)
        cv2.fillConvexPoly(owners, hull, (owner,), cv2.LINE_8, _SHIFT)
        if part.is_flat:
            cv2.fillConvexPoly(image, hull, mix(part.colour, *haze), cv2.LINE_AA, _SHIFT)
            continue
        for layer, (_, _, gain) in zip(layers, _LAYERS, strict=True):
            if layer is not layers[0]:
                hull = cv2.convexHull(layer[rows].reshape(-1, 2))
            cv2.fillConvexPoly(image, hull, mix(shade(part.colour, gain), *haze), cv2.LINE_AA, _SHIFT)


def silhouette(owners: OwnerMap, number: int, window: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    """Which pixels of a window (left, top, right, bottom) a figure owns."""
    left, top, right, bottom = window
    return np.asarray(owners[top:bottom, left:right] // OWNER_STEP == number)


def figure_regions(owners: OwnerMap, number: int, regions: tuple[Region, ...]) -> NDArray[np.bool_]:
    """Which pixels belong to the given regions of a figure."""
    wanted = np.zeros(1 << 16, dtype=bool)
    wanted[[number * OWNER_STEP + int(region) for region in regions]] = True
    return np.asarray(wanted[owners])
