"""Exact annotations of a rendered crowd, in CrowdPose's format."""

from typing import Any

import numpy as np

from crowdbench.api.types import FloatArray, KeypointSet
from crowdbench_datasets.keypoint_sets import CROWDPOSE_14
from crowdbench_datasets.synthcrowd.body import Region
from crowdbench_datasets.synthcrowd.drawing import OWNER_STEP
from crowdbench_datasets.synthcrowd.people import KEYPOINTS
from crowdbench_datasets.synthcrowd.render import Crowd

# Persons with fewer visible keypoints are not labeled.
FEWEST_VISIBLE = 3
# CrowdPose's num_keypoints counts the first keypoints only, without head and neck.
CROWDPOSE_COUNTED = 12
# A keypoint is visible if its body region is visible within this distance, in adult heights.
TOLERANCE = 0.012
# Visible only if the face is turned toward the camera.
FACE = ("nose", "left_eye", "right_eye")

_HEAD = (Region.HEAD, Region.HAIR)
_HIP = (Region.PELVIS, Region.TRUNK, Region.SKIRT)


def _regions(name: str) -> tuple[Region, ...]:
    """The body regions that meet at a keypoint, where it can be visible."""
    side, _, joint = name.partition("_")
    first = 0 if side == "left" else 1
    arm, forearm = Region(Region.LEFT_ARM + first), Region(Region.LEFT_FOREARM + first)
    thigh, shank = Region(Region.LEFT_THIGH + first), Region(Region.LEFT_SHANK + first)
    return {
        "shoulder": (Region.TRUNK, arm),
        "elbow": (arm, forearm),
        "wrist": (forearm,),
        "hip": (*_HIP, thigh),
        "knee": (thigh, shank, Region.SKIRT),
        "ankle": (shank,),
    }.get(joint, (Region.NECK, Region.TRUNK, *_HEAD) if name == "neck" else _HEAD)


_SEEN_AT = {name: _regions(name) for name in KEYPOINTS}


def annotate(
    crowd: Crowd, keypoints: KeypointSet, image_id: int, first_id: int
) -> tuple[float, list[dict[str, Any]]]:
    """Compute an image's crowdIndex and its annotations, the farthest person first.

    Boxes enclose the whole figure, including hidden parts, clipped to the image. Keypoints outside the image
    are unlabeled (0, 0, 0); occluded ones are labeled with v = 1, as in CrowdPose.

    Args:
        crowd: the rendered image.
        keypoints: the keypoints to label; every name must be in `people.KEYPOINTS`.
        image_id: id of the image.
        first_id: id of the first annotation; the others follow.
    """
    boxes, labels = _boxes(crowd), []
    for index in range(len(crowd.figures)):
        points = _label(crowd, index, keypoints)
        if np.count_nonzero(points[:, 2] == 2) < FEWEST_VISIBLE:
            points[:] = 0
        labels.append(points)
    counts = [_count(points, keypoints) for points in labels]
    annotations = [
        {
            "id": first_id + index,
            "image_id": image_id,
            "category_id": 1,
            "bbox": [round(float(v), 2) for v in boxes[index]],
            "area": round(float(boxes[index, 2] * boxes[index, 3]), 2),
            "iscrowd": 0,
            "num_keypoints": counts[index],
            "keypoints": [_number(v) for v in points.ravel()],
        }
        for index, points in enumerate(labels)
        if boxes[index, 2] > 1 and boxes[index, 3] > 1
    ]
    return crowd_index(annotations), annotations


def crowd_index(annotations: list[dict[str, Any]]) -> float:
    """CrowdPose's crowd index (Li et al., CVPR 2019, section 3.1).

    The mean over persons with keypoints of the number of other persons' labeled keypoints inside the person's
    closed box, divided by the number of its own.
    """
    people = [a for a in annotations if a["num_keypoints"] > 0]
    points = [np.array(a["keypoints"]).reshape(-1, 3) for a in people]
    ratios = []
    for index, person in enumerate(people):
        x, y, wide, high = person["bbox"]
        others = np.concatenate([np.zeros((0, 3)), *(p for i, p in enumerate(points) if i != index)])
        inside = (
            (others[:, 0] >= x)
            & (others[:, 0] <= x + wide)
            & (others[:, 1] >= y)
            & (others[:, 1] <= y + high)
        )
        own = np.count_nonzero(points[index][:, 2] > 0)
        ratios.append(np.count_nonzero(inside & (others[:, 2] > 0)) / own)
    return round(float(np.mean(ratios)), 2) if ratios else 0.0


def _number(value: float) -> int | float:
    return int(value) if value == int(value) else round(float(value), 2)


def _count(points: FloatArray, keypoints: KeypointSet) -> int:
    counted = points[:CROWDPOSE_COUNTED] if keypoints is CROWDPOSE_14 else points
    return int(np.count_nonzero(counted[:, 2] > 0))


def _boxes(crowd: Crowd) -> FloatArray:
    height, width = crowd.owners.shape
    extents = np.array([figure.extent for figure in crowd.figures]) * crowd.scales[:, None]
    corners = extents + np.tile(crowd.origins, 2)
    corners = np.clip(corners, 0, [width - 1, height - 1, width - 1, height - 1])
    return np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)


def _label(crowd: Crowd, index: int, keypoints: KeypointSet) -> FloatArray:
    """``(K, 3)``: x, y, v of one figure's keypoints."""
    height, width = crowd.owners.shape
    figure, scale = crowd.figures[index], crowd.scales[index]
    labels = np.zeros((keypoints.count, 3))
    reach = max(1, round(TOLERANCE * scale))
    for k, name in enumerate(keypoints.keypoints):
        place = figure.keypoints[KEYPOINTS.index(name)]
        x, y = crowd.origins[index] + scale * place[:2]
        if not (0 <= x <= width - 1 and 0 <= y <= height - 1):
            continue
        column, row = round(float(x)), round(float(y))
        near = crowd.owners[
            max(row - reach, 0) : row + reach + 1, max(column - reach, 0) : column + reach + 1
        ]
        wanted = [(index + 1) * OWNER_STEP + int(region) for region in _SEEN_AT[name]]
        seen = bool(np.isin(near, wanted).any()) and not (name in FACE and figure.head_facing < 0)
        labels[k] = round(float(x), 2), round(float(y), 2), 2 if seen else 1
    return labels
