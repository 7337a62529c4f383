"""Choose the images of a report: the most informative ones, and a random sample."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowdbench.api.types import FloatArray

# Runs that differ by less on an image do not differ.
_LEAST_DIFFERENCE = 0.02


@dataclass(frozen=True)
class ImageChoice:
    """A part of the gallery: heading, rule, and the images by position."""

    title: str
    words: str
    images: tuple[int, ...]


def chosen_images(
    quality: FloatArray, swapped: NDArray[np.int64], count: int, seed: int
) -> tuple[ImageChoice, ...]:
    """Choose images; no image is in two parts.

    Args:
        quality: ``(R, M)``, the quality of run r on image m, in [0, 1]; NaN where there is no person to find.
        swapped: ``(R, M)``, how many keypoints are on another person.
        count: how many images to choose for each part.
        seed: the seed of those drawn at random.
    """
    several = len(quality) > 1
    left = ~np.isnan(quality.sum(axis=0))
    parts = []

    def take(title: str, words: str, badness: FloatArray, least: float) -> None:
        order = np.argsort(-badness, kind="stable")
        images = [int(image) for image in order if left[image] and badness[image] > least][:count]
        left[images] = False
        parts.append(ImageChoice(title, words, tuple(images)))

    of_all = " over all runs" if several else ""
    # Images without persons are never chosen.
    known = np.nan_to_num(quality, nan=1.0)
    if several:
        take(
            "Where the runs differ most",
            "By the difference of the best and the worst run's mean OKS.",
            known.max(axis=0) - known.min(axis=0),
            _LEAST_DIFFERENCE,
        )
    take(
        "The worst",
        f"By the mean OKS of the persons{of_all}; a person not found counts as 0.",
        1 - known.mean(axis=0),
        0.0,
    )
    take(
        "The most swapped",
        f"By the number of keypoints that lie on another person{of_all}.",
        swapped.sum(axis=0).astype(np.float64),
        0.0,
    )
    rest = np.flatnonzero(left)
    drawn = np.random.default_rng(seed).permutation(rest)[:count]
    parts.append(
        ImageChoice(
            "Some at random", f"Drawn from the others with seed {seed}.", tuple(sorted(map(int, drawn)))
        )
    )
    return tuple(part for part in parts if part.images)
