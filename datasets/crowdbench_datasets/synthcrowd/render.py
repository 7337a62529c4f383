"""Render one image of a crowd from a random generator."""

from dataclasses import dataclass

import numpy as np

from crowdbench.api.types import FloatArray
from crowdbench_datasets.synthcrowd.background import sample_scene
from crowdbench_datasets.synthcrowd.drawing import Image, OwnerMap, draw_figure
from crowdbench_datasets.synthcrowd.layout import place
from crowdbench_datasets.synthcrowd.patterns import cast_shadow, print_cloth, set_seat, window_of
from crowdbench_datasets.synthcrowd.people import Figure, sample_figures


@dataclass(frozen=True, eq=False)
class Crowd:
    """A rendered image and its ground truth.

    Attributes:
        image: ``(H, W, 3)`` uint8, RGB.
        owners: ``(H, W)`` uint16: the visible figure at each pixel, see `drawing.OWNER_STEP`; ``figures[n]``
            has number n + 1.
        figures: the farthest first.
        origins: ``(N, 2)``: x, y of the ground contacts, in pixels.
        scales: ``(N,)``: an adult's height in pixels.
    """

    image: Image
    owners: OwnerMap
    figures: list[Figure]
    origins: FloatArray
    scales: FloatArray


def render(rng: np.random.Generator, size: tuple[int, int], people: int, crowding: float) -> Crowd:
    """Render a crowd.

    Args:
        rng: source of all randomness.
        size: width and height in pixels.
        people: number of figures.
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
        print_cloth(image, owners, figure, number, scale, window_of(figure, origin, scale, size))
    return Crowd(image, owners, figures, placement.origins, placement.scales)
