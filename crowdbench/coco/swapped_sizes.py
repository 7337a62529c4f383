"""Correct swapped image widths and heights.

Some releases of CrowdPose's train and test files have them swapped, and files merged from several releases
have some of them swapped. The image header decides; without the image, the keypoints do.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from crowdbench.coco.annotations import AnnotatedPersons, ImageEntry
from crowdbench.coco.sizes import extents, fit_only_swapped
from crowdbench.system.files.image_header import size_in_header


class SizesByImage:
    """The sizes of a split's images, determined lazily.

    Args:
        images: as the file lists them.
        persons: the persons on these images.
        place: returns the path of an image's file.
    """

    def __init__(
        self, images: Sequence[ImageEntry], persons: AnnotatedPersons, place: Callable[[ImageEntry], Path]
    ) -> None:
        self._images = images
        self._place = place
        written = np.array([(image.width, image.height) for image in images], dtype=np.float64).reshape(-1, 2)
        at = np.repeat(np.arange(len(images)), np.diff(persons.starts))
        reach = extents(persons.keypoints, at, len(images))
        self._square = (written[:, 0] == written[:, 1]).tolist()
        swapped = fit_only_swapped(written, reach)
        # One keypoint outside its image may be a slip, so without the image most of the file has to agree.
        unswapped = fit_only_swapped(written[:, ::-1], reach)
        self._labels_say_swapped = swapped & (swapped.sum() > 2 * unswapped.sum())
        self._found: dict[int, bool] = {}
        self._swapped: set[int] = set()

    def of(self, index: int) -> tuple[int, int]:
        """Width and height of an image in pixels, by its position in the file."""
        image = self._images[index]
        if self._square[index]:
            return image.width, image.height
        if index not in self._found:
            self._found[index] = self._is_swapped(index)
            if self._found[index]:
                self._swapped.add(index)
        return (image.height, image.width) if self._found[index] else (image.width, image.height)

    def likely(self, index: int) -> tuple[int, int]:
        """Like `of`, from keypoints only, without reading the image."""
        image = self._images[index]
        return (image.height, image.width) if self._labels_say_swapped[index] else (image.width, image.height)

    @property
    def swapped(self) -> int:
        """The number of images found so far with swapped sizes."""
        return len(self._swapped)

    def correction(self) -> str | None:
        """Describe the corrections so far; None if there were none."""
        if not self._swapped:
            return None
        first = self._images[min(self._swapped)].id
        return (
            f"width and height are swapped in {len(self._swapped)} of the images (the first: image {first})"
            "; read the other way round"
        )

    def _is_swapped(self, index: int) -> bool:
        image = self._images[index]
        size = size_in_header(self._place(image))
        if size is None:
            return bool(self._labels_say_swapped[index])
        # An image of another size is an error when it is read; the message quotes the size in the file.
        return size == (image.height, image.width)
