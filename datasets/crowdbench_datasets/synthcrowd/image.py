"""Draw, encode and label one image of a set."""

from typing import Any

import cv2
import msgspec

from crowdbench_datasets.synthcrowd.annotation import annotate
from crowdbench_datasets.synthcrowd.recipe import Recipe

JPEG_QUALITY = 95


class Picture(msgspec.Struct, frozen=True):
    """An image of a set.

    Attributes:
        jpeg: the encoded file.
        crowd_index: CrowdPose's crowd index.
        labels: annotations with ids from 1; the final ids are assigned when the set is written.
    """

    jpeg: bytes
    crowd_index: float
    labels: list[dict[str, Any]]


def draw(recipe: Recipe, index: int) -> Picture:
    """Draw, label and encode image number ``index``, from 0."""
    crowd = recipe.crowd(index)
    crowd_index, labels = annotate(crowd, recipe.keypoint_set, image_id=0, first_id=1)
    jpeg = cv2.imencode(".jpg", crowd.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    return Picture(jpeg.tobytes(), crowd_index, labels)
