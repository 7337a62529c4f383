"""Draw poses on images, with each person's color kept from frame to frame, and encode the result."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from crowdbench.api.types import KeypointSet, Pose
from crowdbench.errors import RunError
from crowdbench.visualization.skeletons import draw_on, person_colours

_JPEG_QUALITY = 95


class PoseDrawer:
    """Draws skeletons, and counts the poses drawn.

    Args:
        layout: the poses' keypoints.
        threshold: keypoints with less confidence are not drawn.
        min_score: poses with a lower score are not drawn.
    """

    def __init__(self, layout: KeypointSet, threshold: float, min_score: float) -> None:
        self.layout = layout
        self.threshold = threshold
        self.min_score = min_score
        self.count = 0

    def draw(
        self, pixels: NDArray[np.uint8], poses: Sequence[Pose], previous: list[tuple[Pose, str]]
    ) -> NDArray[np.uint8]:
        """Return a copy of an RGB image with the poses drawn; they replace `previous`, the last frame's."""
        shown = [pose for pose in poses if pose.score >= self.min_score]
        self.count += len(shown)
        colours = person_colours(shown, previous)
        previous[:] = zip(shown, colours, strict=True)
        return draw_on(pixels, shown, self.layout, colours=colours, threshold=self.threshold)


def encoded(image: NDArray[np.uint8], name: str) -> bytes:
    """Encode an RGB image in the format of a file name's extension."""
    extension = Path(name).suffix
    quality = [] if extension.lower() == ".png" else [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    try:
        ok, data = cv2.imencode(extension, image[..., ::-1], quality)
    except cv2.error as error:
        raise RunError(f"{name}: OpenCV cannot write the drawn image ({error.err}).") from error
    if not ok:
        raise RunError(f"{name}: OpenCV cannot write the drawn image.")
    return data.tobytes()
