"""Draw figures into an image and into the owner map, which records the visible figure per pixel."""

import cv2
import numpy as np
from numpy.typing import NDArray

from crowdbench_datasets.synthcrowd.body import Region
from crowdbench_datasets.synthcrowd.outfits import Color, mix, shade
from crowdbench_datasets.synthcrowd.people import Figure

Image = NDArray[np.uint8]
OwnerMap = NDArray[np.uint16]

# Owner map values: figure number (from 1) times this, plus the region; 0 is background.
OWNER_STEP = 32

_SHIFT = 4  # fractional bits of OpenCV's fixed-point coordinates
_CIRCLE = np.stack([f(np.arange(20) * (2 * np.pi / 20)) for f in (np.cos, np.sin)], axis=-1)
# Parts look round because each is painted three times: a dark rim, then smaller, brighter hulls shifted
# toward the light. Columns: size, shift toward the light in radii, gain.
_LAYERS = ((1.0, 0.0, 0.70), (0.80, 0.14, 0.96), (0.45, 0.34, 1.12))


def draw_figure(
    image: Image,
    owners: OwnerMap,
    figure: Figure,
    number: int,
    origin: tuple[float, float],
    scale: float,
    light: tuple[float, float],
    haze: tuple[Color, float],
) -> None:
    """Draw one figure over the image and the owner map, in place.

    Args:
        image: ``(H, W, 3)`` uint8, RGB.
        owners: ``(H, W)`` uint16; see `OWNER_STEP`.
        figure: the figure.
        number: the figure's number in the owner map, from 1.
        origin: x, y of the ground contact, in pixels.
        scale: an adult's height in pixels.
        light: unit vector toward the light, in the image plane.
        haze: RGB color of the haze, and its share in this figure's colors.
    """
    discs = figure.discs * scale
    discs[:, :2] += origin
    layers = []
    for size, lean, _ in _LAYERS:
        centers = discs[:, :2] + lean * discs[:, 2:] * np.array(light)
        circles = centers[:, None] + size * discs[:, 2, None, None] * _CIRCLE
        layers.append(np.rint(circles * (1 << _SHIFT)).astype(np.int32))

    for index, part in enumerate(figure.parts):
        rows = slice(figure.firsts[index], figure.firsts[index + 1])
        hull = cv2.convexHull(layers[0][rows].reshape(-1, 2))
        owner = number * OWNER_STEP + int(part.region)
        cv2.fillConvexPoly(owners, hull, (owner,), cv2.LINE_8, _SHIFT)
        if part.is_flat:
            cv2.fillConvexPoly(image, hull, mix(part.color, *haze), cv2.LINE_AA, _SHIFT)
            continue
        for layer, (_, _, gain) in zip(layers, _LAYERS, strict=True):
            if layer is not layers[0]:
                hull = cv2.convexHull(layer[rows].reshape(-1, 2))
            cv2.fillConvexPoly(image, hull, mix(shade(part.color, gain), *haze), cv2.LINE_AA, _SHIFT)


def figure_regions(owners: OwnerMap, number: int, regions: tuple[Region, ...]) -> NDArray[np.bool_]:
    """``(H, W)`` bool: the pixels of the given regions of a figure."""
    wanted = np.zeros(1 << 16, dtype=bool)
    wanted[[number * OWNER_STEP + int(region) for region in regions]] = True
    return np.asarray(wanted[owners])
