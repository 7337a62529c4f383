"""What training makes of an image and its persons, in the plainest way: one person after the other, one keypoint
after the other, with OpenCV and numpy; to hold the product's preparation against.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from crowdbench.api.types import Instance, Sample
from crowdbench_backbones.top_down.augmentation import Draws
from crowdbench_backbones.top_down.method import TopDownMethod


def three_points(center: Any, width: Any, size: tuple[int, int], rotation: float) -> tuple[Any, Any]:
    """The points that define a crop, in the image and in the crop, in float32."""
    radians = np.deg2rad(rotation)
    half = np.float32(-0.5) * (np.float32(width) - np.float32(1))
    upper = (center + half * np.array([-np.sin(radians), np.cos(radians)])).astype(np.float32)
    arm = center - upper
    source = np.array([center, upper, upper + np.array([-arm[1], arm[0]])], dtype=np.float32)
    height, width = size
    middle, reach = np.array([(width - 1) / 2, (height - 1) / 2]), (width - 1) / 2
    target = np.array([middle, middle - (0, reach), middle - (reach, reach)], dtype=np.float32)
    return source, target


class Plainly:
    """One person after the other, one keypoint after the other."""

    def __init__(self, method: TopDownMethod, sample: Sample, draws: Draws) -> None:
        self.method, self.sample, self.draws = method, sample, draws
        self.size = method.settings.input_size
        read = cv2.imread(str(sample.path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        assert read is not None
        self.image = cv2.cvtColor(read, cv2.COLOR_BGR2RGB)
        if draws.flip:
            self.image = np.ascontiguousarray(self.image[:, ::-1])

    def keypoints(self, person: Instance) -> list[tuple[float, float, bool]]:
        points = [(x, y, v > 0) for x, y, v in person.keypoints.tolist()]
        if not self.draws.flip:
            return points
        flipped = [
            (self.sample.width - x - 1, y, True) if seen else (0.0, 0.0, False) for x, y, seen in points
        ]
        for left, right in self.method.keypoints.flip_pairs:
            flipped[left], flipped[right] = flipped[right], flipped[left]
        return flipped

    def window(self, person: Instance, prefers_upper: bool) -> tuple[Any, Any]:
        """Centre and, in pixels, width of the crop."""
        x, y, w, h = person.box_xywh.tolist()
        aspect = self.size[1] / self.size[0]
        w = max(w, aspect * h)
        center = np.array([x + (w - 1) / 2, y + (h - 1) / 2], dtype=np.float32)
        center[0] = np.float32(person.box_xywh[0] + (person.box_xywh[2] - 1) / 2)
        if self.draws.flip:
            center[0] = self.sample.width - float(center[0]) - 1
        scale = np.float32(np.float64(np.float32(w / 200) * np.float32(1.25)) * self.draws.scale)
        if self.draws.half_body:
            half = self.half(self.keypoints(person), prefers_upper)
            if half is not None:
                points = np.array(half, dtype=np.float32)
                center = points.mean(axis=0)
                wide, high = (np.ptp(points, axis=0).astype(np.float64) + 1).tolist()
                scale = np.float32(max(wide, aspect * high) / 200) * np.float32(1.5)
        return center, scale * np.float32(200)

    def half(self, points: list[tuple[float, float, bool]], prefers_upper: bool) -> Any:
        """The visible keypoints of half a person, or None."""
        seen = [(k, (x, y)) for k, (x, y, visible) in enumerate(points) if visible]
        upper = [place for k, place in seen if k in self.method.keypoints.upper_body]
        lower = [place for k, place in seen if k not in self.method.keypoints.upper_body]
        if len(seen) <= self.method.augmentation.half_body_keypoints:
            return None
        chosen = upper if (prefers_upper and len(upper) > 2) or len(lower) <= 2 else lower
        return chosen if len(chosen) >= 2 else None

    def crop(self, person: Instance, prefers_upper: bool) -> NDArray[np.uint8]:
        source, target = three_points(*self.window(person, prefers_upper), self.size, self.draws.rotation)
        matrix = cv2.getAffineTransform(source, target)
        return np.asarray(
            cv2.warpAffine(self.image, matrix, self.size[::-1], flags=cv2.INTER_LINEAR), np.uint8
        )

    def places(self, person: Instance, prefers_upper: bool) -> list[tuple[int, float, float]]:
        """Index and place in the heatmap of every visible keypoint."""
        heatmap = (self.size[0] // 4, self.size[1] // 4)
        source, target = three_points(*self.window(person, prefers_upper), heatmap, self.draws.rotation)
        matrix = cv2.getAffineTransform(source, target)
        return [
            (k, *(matrix @ [x, y, 1]).tolist())
            for k, (x, y, visible) in enumerate(self.keypoints(person))
            if visible
        ]

    def mask(self, person: Instance) -> NDArray[np.uint8]:
        width, height = self.sample.width, self.sample.height
        x, y, w, h = person.box_xywh.tolist()
        canvas = np.zeros((height, width), dtype=np.uint8)
        canvas[int(y) : int(y + h) + 1, int(x) : int(x + w) + 1] = 255
        if self.draws.flip:
            canvas = np.ascontiguousarray(canvas[:, ::-1])
        middle = (width // 2, height // 2)
        matrix = cv2.getRotationMatrix2D(middle, self.draws.rotation, 1.0)
        cosine, sine = abs(matrix[0, 0]), abs(matrix[0, 1])
        whole = int(height * sine + width * cosine), int(height * cosine + width * sine)
        matrix[:, 2] += np.array([whole[0] / 2 - middle[0], whole[1] / 2 - middle[1]])
        return np.asarray(cv2.resize(cv2.warpAffine(canvas, matrix, whole), self.size[::-1]), np.uint8)

    def targets(self, person: Instance, prefers_upper: bool, sigma: float) -> NDArray[np.float32]:
        """Heatmaps of all keypoints, drawn one by one."""
        height, width = self.size[0] // 4, self.size[1] // 4
        heatmaps = np.zeros((self.method.keypoints.count, height, width), dtype=np.float32)
        rows, columns = np.mgrid[:height, :width]
        for keypoint, x, y in self.places(person, prefers_upper):
            heatmaps[keypoint] = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))
        return heatmaps
