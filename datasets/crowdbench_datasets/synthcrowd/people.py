"""Figures as the camera sees them, before they have a place in the image."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowdbench_datasets.synthcrowd.body import Part, flesh_out
from crowdbench_datasets.synthcrowd.body_poses import sample_stances
from crowdbench_datasets.synthcrowd.outfits import Outfit, sample_outfit
from crowdbench_datasets.synthcrowd.skeleton import Joints, articulate

Array = NDArray[np.float64]

# Where keypoints that are no joints of the skeleton lie, in the head's frame, for a head of size 1.
_HEAD_POINTS = {
    "head": (0.0, 0.124, 0.0),
    "nose": (0.0, 0.050, 0.062),
    "left_eye": (0.020, 0.066, 0.050),
    "right_eye": (-0.020, 0.066, 0.050),
    "left_ear": (0.050, 0.063, -0.004),
    "right_ear": (-0.050, 0.063, -0.004),
}
_PAIRS = {
    "shoulder": "shoulders",
    "elbow": "elbows",
    "wrist": "wrists",
    "hip": "hips",
    "knee": "knees",
    "ankle": "ankles",
}
# The order of `Figure.keypoints`: every name that any keypoint set asks for.
KEYPOINTS = (
    *_HEAD_POINTS,
    "neck",
    *(f"{side}_{name}" for name in _PAIRS for side in ("left", "right")),
)


@dataclass(frozen=True, eq=False)
class Figure:
    """One figure, projected; lengths in standing heights of an adult, ground contact at the origin.

    Attributes:
        outfit: what it wears.
        parts: its pieces, the farthest first.
        discs: ``(B, 3)``: x right, y down, radius of every part's balls, part after part.
        firsts: ``(P + 1,)``: where each part's discs begin.
        keypoints: ``(len(KEYPOINTS), 3)``: x right, y down, and nearness to the viewer.
        extent: ``(4,)``: left, top, right, bottom.
        up: ``(2,)``, the direction of the trunk in the image.
        head_facing: nearness of the direction the face looks in: 1 into the camera, -1 away.
        is_seated: a seat stands under it.
    """

    outfit: Outfit
    parts: tuple[Part, ...]
    discs: Array
    firsts: tuple[int, ...]
    keypoints: Array
    extent: Array
    up: Array
    head_facing: float
    is_seated: bool


def sample_figures(rng: np.random.Generator, count: int, camera_pitch: float) -> list[Figure]:
    """Draw N figures.

    Args:
        rng: the image's stream.
        count: N.
        camera_pitch: how far the camera looks down, in radians.
    """
    stances = sample_stances(rng, count)
    joints = articulate(stances)
    yaws = _sample_yaws(rng, count)
    return [
        _project(joints, index, sample_outfit(rng), yaws[index], camera_pitch, bool(stances.is_seated[index]))
        for index in range(count)
    ]


def _sample_yaws(rng: np.random.Generator, count: int) -> Array:
    """Half of the scenes have a common direction, as on a street; in the others everyone turns anywhere.

    Faces are more common than backs: photographs are taken from where the faces are seen.
    """
    common = rng.choice([0.0, np.pi, np.pi / 2, -np.pi / 2], p=[0.6, 0.14, 0.13, 0.13])
    shared = rng.random() < 0.5
    own = rng.choice([0.0, np.pi, np.pi / 2, -np.pi / 2], size=count, p=[0.56, 0.18, 0.13, 0.13])
    strays = np.where(rng.random(count) < 0.8, common, own) if shared else own
    return np.asarray(strays + rng.normal(0.0, 0.45, count))


def _project(joints: Joints, index: int, outfit: Outfit, yaw: float, pitch: float, is_seated: bool) -> Figure:
    turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    # Screen axes: x right, y down, nearness; the camera looks down by the pitch.
    look = np.array([[1, 0, 0], [0, -np.cos(pitch), np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    view = outfit.stature * (look @ turn).T

    parts = flesh_out(joints, index, outfit)
    counts = [len(part.balls) for part in parts]
    centres = np.array([centre for part in parts for centre, _ in part.balls]) @ view
    radii = outfit.stature * np.array([radius for part in parts for _, radius in part.balls])
    starts = np.concatenate([[0], np.cumsum(counts)])
    nearness = np.add.reduceat(centres[:, 2], starts[:-1]) / counts
    nearness += outfit.stature * np.array([part.bias for part in parts])
    order = np.argsort(nearness, kind="stable")
    rows = np.concatenate([np.arange(starts[i], starts[i + 1]) for i in order])
    discs = np.column_stack([centres[rows, :2], radii[rows]])

    points = [
        outfit.head * joints.head_point(*place) + (1 - outfit.head) * joints.head_base
        for place in _HEAD_POINTS.values()
    ]
    points.append(joints.neck)
    points += [getattr(joints, pair)[:, side] for pair in _PAIRS.values() for side in (0, 1)]
    trunk = (joints.neck[index] - joints.pelvis[index]) @ view
    return Figure(
        outfit=outfit,
        parts=tuple(parts[i] for i in order),
        discs=discs,
        firsts=(0, *(int(n) for n in np.cumsum([counts[i] for i in order]))),
        keypoints=np.array([point[index] for point in points]) @ view,
        extent=np.concatenate(
            [(discs[:, :2] - discs[:, 2:]).min(axis=0), (discs[:, :2] + discs[:, 2:]).max(axis=0)]
        ),
        up=trunk[:2] / max(float(np.linalg.norm(trunk[:2])), 1e-6),
        head_facing=float((joints.head_forward[index] @ view)[2]) / outfit.stature,
        is_seated=is_seated,
    )
