"""Figures projected into the camera, before placement in the image."""

from dataclasses import dataclass

import numpy as np

from crowdbench.api.types import FloatArray
from crowdbench_datasets.synthcrowd.body import Part, flesh_out
from crowdbench_datasets.synthcrowd.body_poses import sample_stances
from crowdbench_datasets.synthcrowd.outfits import Outfit, sample_outfit
from crowdbench_datasets.synthcrowd.skeleton import Joints, articulate

# Keypoints that are not joints of the skeleton, in the head's frame, for a head of size 1.
_HEAD_POINTS = {
    "head": (0.0, 0.124, 0.0),
    "nose": (0.0, 0.050, 0.062),
    "left_eye": (0.020, 0.066, 0.050),
    "right_eye": (-0.020, 0.066, 0.050),
    "left_ear": (0.050, 0.063, -0.004),
    "right_ear": (-0.050, 0.063, -0.004),
}
_PAIRS = {name: f"{name}s" for name in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")}
# The order of `Figure.keypoints`: all names of all keypoint sets.
KEYPOINTS = (*_HEAD_POINTS, "neck", *(f"{side}_{name}" for name in _PAIRS for side in ("left", "right")))


@dataclass(frozen=True, eq=False)
class Figure:
    """One projected figure. Lengths are in adult standing heights; the ground contact is the origin.

    Attributes:
        outfit: its build and clothes.
        parts: its parts, the farthest first.
        discs: ``(B, 3)``: x right, y down and radius of every part's balls, in the order of the parts.
        firsts: ``(P + 1,)``: index of each part's first disc.
        keypoints: ``(len(KEYPOINTS), 3)``: x right, y down and nearness to the camera.
        extent: ``(4,)``: left, top, right, bottom.
        up: ``(2,)``, the direction of the trunk in the image.
        head_facing: cosine between the face's direction and the direction to the camera.
        is_seated: whether it sits on a seat.
    """

    outfit: Outfit
    parts: tuple[Part, ...]
    discs: FloatArray
    firsts: tuple[int, ...]
    keypoints: FloatArray
    extent: FloatArray
    up: FloatArray
    head_facing: float
    is_seated: bool


def sample_figures(rng: np.random.Generator, count: int, camera_pitch: float) -> list[Figure]:
    """Sample N figures.

    Args:
        rng: the image's random generator.
        count: number of figures, N.
        camera_pitch: downward pitch of the camera, in radians.
    """
    stances = sample_stances(rng, count)
    joints = articulate(stances)
    yaws = _sample_yaws(rng, count)
    return [
        _project(joints, index, sample_outfit(rng), yaws[index], camera_pitch, bool(stances.is_seated[index]))
        for index in range(count)
    ]


def _sample_yaws(rng: np.random.Generator, count: int) -> FloatArray:
    """Sample yaws: in half of the images most figures share a direction; faces are more common than backs."""
    common = rng.choice([0.0, np.pi, np.pi / 2, -np.pi / 2], p=[0.6, 0.14, 0.13, 0.13])
    shared = rng.random() < 0.5
    own = rng.choice([0.0, np.pi, np.pi / 2, -np.pi / 2], size=count, p=[0.56, 0.18, 0.13, 0.13])
    strays = np.where(rng.random(count) < 0.8, common, own) if shared else own
    return np.asarray(strays + rng.normal(0.0, 0.45, count))


def _project(joints: Joints, index: int, outfit: Outfit, yaw: float, pitch: float, is_seated: bool) -> Figure:
    turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    # Screen axes: x right, y down, nearness.
    look = np.array([[1, 0, 0], [0, -np.cos(pitch), np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    view = outfit.stature * (look @ turn).T

    parts = flesh_out(joints, index, outfit)
    counts = [len(part.balls) for part in parts]
    centers = np.array([center for part in parts for center, _ in part.balls]) @ view
    radii = outfit.stature * np.array([radius for part in parts for _, radius in part.balls])
    starts = np.concatenate([[0], np.cumsum(counts)])
    nearness = np.add.reduceat(centers[:, 2], starts[:-1]) / counts
    nearness += outfit.stature * np.array([part.bias for part in parts])
    order = np.argsort(nearness, kind="stable")
    rows = np.concatenate([np.arange(starts[i], starts[i + 1]) for i in order])
    discs = np.column_stack([centers[rows, :2], radii[rows]])

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
