"""The method: each person is cut out of the image, the model looks at the crop, its answer is mapped back."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowdbench import KeypointSet, Method, Pose
from crowdbench.errors import SettingsError
from crowdbench.vision.geometry import centers_and_scales, crop_affines, transform_points, warp_crops

from .model import AVERAGE_PERSON, infer


@dataclass(frozen=True)
class CropSettings:
    """All that can change a prediction. Users change it with ``--set input_size=384x288``; runs record it.

    Attributes:
        input_size: (height, width) of the crops, in pixels.
    """

    input_size: tuple[int, int] = (256, 192)

    def __post_init__(self) -> None:
        if min(self.input_size) < 2:
            raise ValueError(f"input_size must be at least 2x2, got {self.input_size}.")


class MyMethod(Method):
    """Poses of a model that can be called with a crop."""

    paradigm = "top-down"
    Settings = CropSettings
    settings: CropSettings

    def __init__(self, keypoints: KeypointSet, settings: CropSettings, name: str | None = None) -> None:
        unknown = [keypoint for keypoint in keypoints.keypoints if keypoint not in AVERAGE_PERSON]
        if unknown:
            raise SettingsError(
                f"my-method does not know {', '.join(unknown)} of {keypoints.name}.\n"
                f"It knows {', '.join(AVERAGE_PERSON)}."
            )
        super().__init__(keypoints, settings, name)

    def estimate(self, image: NDArray[np.uint8], boxes: NDArray[np.float64]) -> list[Pose]:
        """Find the poses in one image.

        Args:
            image: ``(H, W, 3)`` uint8, RGB.
            boxes: ``(n, 4)`` float64, x, y, w, h in pixels.
        """
        size = self.settings.input_size
        centers, scales = centers_and_scales(boxes, size)
        crops = warp_crops(image, crop_affines(centers, scales, size), size)
        to_image = crop_affines(centers, scales, size, inverse=True)
        poses = []
        for crop, affine, box in zip(crops, to_image, boxes, strict=True):
            found = infer(crop, self.keypoints.keypoints)
            located = transform_points(found[None, :, :2], affine[None])[0]
            keypoints = np.concatenate([located, found[:, 2:]], axis=1)
            # The score ranks poses against those of other images: how sure the model is of this one.
            poses.append(Pose(keypoints, score=found[:, 2].mean(), box_xywh=box))
        return poses
