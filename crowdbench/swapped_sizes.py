"""Are width and height of a file's images swapped?

Some releases of CrowdPose's train and test files have them so. Extents of the labels tell, images decide.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from crowdbench.annotation_file import ImageEntry, Persons
from crowdbench.errors import ImageError
from crowdbench.types import FloatArray

# Enough to tell a slip of the annotator from a habit of the file.
IMAGES_LOOKED_AT = 5


def swapped_sizes(
    images: Sequence[ImageEntry], persons: Persons, place: Callable[[ImageEntry], Path]
) -> str | None:
    """Decide for a whole file.

    A file is suspect if clearly more images have labelled keypoints outside their size as written than
    outside the swapped size. Then a few of those images, if they are there, are opened: they have the say.

    Args:
        images: as the file lists them.
        persons: on these images.
        place: where an image's file is.

    Returns:
        The evidence, if the sizes are swapped; else None.
    """
    sizes = np.array([(image.width, image.height) for image in images]).reshape(-1, 2)
    extents = _extents(persons, len(images))
    outside = (extents > sizes).any(axis=1) & (sizes[:, 0] != sizes[:, 1])
    outside_swapped = (extents > sizes[:, ::-1]).any(axis=1) & (sizes[:, 0] != sizes[:, 1])
    if outside.sum() <= 2 * outside_swapped.sum():
        return None
    suspects = (images[index] for index in outside.nonzero()[0])
    if _written_sizes_hold(suspects, place):
        return None
    return f"{outside.sum()} images have keypoints outside as written, {outside_swapped.sum()} when swapped"


def _extents(persons: Persons, images: int) -> FloatArray:
    """``(images, 2)``, the largest x and y of a labelled keypoint; 0 where there is none."""
    labelled = persons.keypoints[:, :, 2:] > 0
    farthest = np.where(labelled, persons.keypoints[:, :, :2], 0.0).max(axis=1, initial=0.0)
    extents = np.zeros((images, 2))
    at = np.repeat(np.arange(images), np.diff(persons.starts))
    np.maximum.at(extents, at, farthest)
    return extents


def _written_sizes_hold(suspects: Iterable[ImageEntry], place: Callable[[ImageEntry], Path]) -> bool:
    """Whether the first suspects that can be opened are mostly as the file says."""
    from crowdbench.images import read_rgb

    found = ((image, path) for image in suspects if (path := place(image)).is_file())
    as_written = swapped = 0
    for image, path in islice(found, IMAGES_LOOKED_AT):
        try:
            height, width = read_rgb(path).shape[:2]
        except ImageError:
            continue  # a broken image says nothing here; it is an error when its sample is read
        as_written += (width, height) == (image.width, image.height)
        swapped += (width, height) == (image.height, image.width)
    return as_written > swapped
