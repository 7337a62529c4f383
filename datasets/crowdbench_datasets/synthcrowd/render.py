"""One image of a crowd, from a stream of random numbers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowdbench_datasets.synthcrowd.background import sample_scene
from crowdbench_datasets.synthcrowd.drawing import Image, OwnerMap, draw_figure
from crowdbench_datasets.synthcrowd.layout import place
from crowdbench_datasets.synthcrowd.patterns import cast_shadow, print_cloth, set_seat, window_of
from crowdbench_datasets.synthcrowd.people import Figure, sample_figures

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Crowd:
    """An image and everything that is known about it.

    Attributes:
        image: ``(H, W, 3)`` uint8, RGB.
        owners: ``(H, W)`` uint16: who is seen at each pixel, see `drawing.OWNER_STEP`; figure n of the lists
            has number n + 1.
        figures: the farthest first.
        origins: ``(N, 2)``: ground contacts, x and y in pixels.
        scales: ``(N,)``: pixels in an adult's height.
    """

    image: Image
    owners: OwnerMap
    figures: list[Figure]
    origins: Array
    scales: Array


def render(rng: np.random.Generator, size: tuple[int, int], people: int, crowding: float) -> Crowd:
    """Draw a crowd.

    Args:
        rng: decides everything else.
        size: width and height in pixels.
        people: how many figures.
        crowding: 0 (apart) to 1 (on top of each other); see `layout.place`.
    """
    scene = sample_scene(rng, size)
    drawn = sample_figures(rng, people, camera_pitch=rng.uniform(0.04, 0.24))
    placement = place(rng, drawn, size, crowding)
    figures = [drawn[index] for index in placement.order]
    image, owners = scene.background, np.zeros((size[1], size[0]), np.uint16)
    nearest = placement.scales.max()
    for index, figure in enumerate(figures):
        origin = (float(placement.origins[index, 0]), float(placement.origins[index, 1]))
        scale, number = float(placement.scales[index]), index + 1
        cast_shadow(image, figure, origin, scale)
        if figure.is_seated:
            set_seat(image, owners, figure, origin, scale, figure.outfit.shoes)
        distance = 1 - scale / nearest
        draw_figure(image, owners, figure, number, origin, scale, scene.light, (scene.haze, 0.35 * distance))
        window = window_of(figure, origin, scale, size)
        print_cloth(image, owners, figure, number, scale, window)
    return Crowd(image, owners, figures, placement.origins, placement.scales)
