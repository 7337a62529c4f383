"""Methods that look at pictures without a network, for tests of ``crowdbench predict``."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from crowdbench.api.method import Method
from crowdbench.api.types import FloatArray, Pose, Sample


class BoxDiagonal(Method):
    """Puts the keypoints on the diagonal of each box, from its top left corner on."""

    paradigm = "top-down"

    def estimate(self, image: NDArray[np.uint8], boxes: FloatArray) -> list[Pose]:
        count = self.keypoints.count
        steps = np.linspace(0, 1, count)[:, None]
        image[:] = 0  # an image is the method's own
        return [Pose(np.c_[box[:2] + steps * box[2:], np.ones(count)], 0.5, box) for box in boxes]


class Brightest(Method):
    """Finds one person: all keypoints are where the image is brightest."""

    paradigm = "one-stage"

    def estimate(self, image: NDArray[np.uint8], boxes: FloatArray) -> list[Pose]:
        assert image.dtype == np.uint8
        y, x = np.unravel_index(image.sum(axis=2).argmax(), image.shape[:2])
        return [Pose(np.tile((x, y, 1.0), (self.keypoints.count, 1)), 1.0)]


class Told(Brightest):
    """Has as many persons in every image as it was told of images beforehand."""

    def on_start(self, samples: Sequence[Sample], complete: bool) -> None:
        self.told = [sample.image_id for sample in samples]
        assert not complete

    def estimate(self, image: NDArray[np.uint8], boxes: FloatArray) -> list[Pose]:
        return super().estimate(image, boxes) * len(self.told)
