"""The articulated figure: from joint angles to joint positions in 3D.

The body frame is right-handed: x to the figure's left, y up, z forward, in units of the figure's standing
height. For a figure that faces the camera, x points to the right of the image.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowdbench.api.types import FloatArray

# Columns of `Stance.limbs`, in degrees. A limb hangs straight down at swing 0 and spread 0; swing lifts it
# forward, spread lifts it outward. Upper and lower segments have independent angles; no hinge is modeled.
ARM, FOREARM, THIGH, SHANK = slice(0, 2), slice(2, 4), slice(4, 6), slice(6, 8)

# Columns of `Stance.trunk`, in degrees but for the lift, which is in heights above the ground.
LEAN, TILT, TWIST, HEAD_YAW, HEAD_PITCH, HEAD_TILT, LIFT = range(7)

# Segment lengths in heights, after the usual anthropometric tables (Drillis & Contini, 1966), rounded.
TRUNK, NECK, HEAD = 0.285, 0.045, 0.135
UPPER_ARM, LOWER_ARM, HAND = 0.172, 0.148, 0.065
UPPER_LEG, LOWER_LEG, ANKLE_HEIGHT, FOOT = 0.243, 0.243, 0.042, 0.085
HALF_SHOULDERS, HALF_HIPS = 0.105, 0.052


@dataclass(frozen=True)
class Stance:
    """Joint angles of N figures.

    Attributes:
        limbs: ``(N, 2, 8)`` degrees; left then right; columns ARM, FOREARM, THIGH, SHANK.
        trunk: ``(N, 7)``, columns LEAN to LIFT.
        is_seated: ``(N,)`` bool, which figures sit on a seat.
    """

    limbs: FloatArray
    trunk: FloatArray
    is_seated: NDArray[np.bool_]


@dataclass(frozen=True)
class Joints:
    """Joints of N figures, each ``(N, 3)``, or ``(N, 2, 3)`` with left first for paired joints."""

    pelvis: FloatArray
    waist: FloatArray
    neck: FloatArray
    head_base: FloatArray
    head_top: FloatArray
    head_left: FloatArray
    head_up: FloatArray
    head_forward: FloatArray
    shoulders: FloatArray
    elbows: FloatArray
    wrists: FloatArray
    hands: FloatArray
    hips: FloatArray
    knees: FloatArray
    ankles: FloatArray
    toes: FloatArray

    def head_point(self, left: float, up: float, forward: float) -> FloatArray:
        """``(N, 3)``: a point given in the head's frame, in heights from the base of the skull."""
        return self.head_base + left * self.head_left + up * self.head_up + forward * self.head_forward


def _direction(angles: FloatArray) -> FloatArray:
    """``(N, 2, 3)`` unit vectors of limbs with ``(N, 2, 2)`` swing and spread."""
    swing, spread = np.radians(angles[..., 0]), np.radians(angles[..., 1])
    outward = np.array([1.0, -1.0])
    return np.stack(
        [outward * np.sin(spread), -np.cos(spread) * np.cos(swing), np.cos(spread) * np.sin(swing)], axis=-1
    )


def _unit(x: FloatArray, y: FloatArray, z: FloatArray) -> FloatArray:
    vector = np.stack([x, y, z], axis=-1)
    return np.asarray(vector / np.linalg.norm(vector, axis=-1, keepdims=True))


def articulate(stance: Stance) -> Joints:
    """Compute the joints of N figures; ankles are on the ground, y = 0, and the pelvis above x = z = 0."""
    limbs, trunk = stance.limbs, np.radians(stance.trunk)
    zeros = np.zeros(len(limbs))
    lean, tilt, twist = trunk[:, LEAN], trunk[:, TILT], trunk[:, TWIST]
    across = np.array([1.0, -1.0])[None, :, None]

    up = _unit(np.sin(tilt) * np.cos(lean), np.cos(tilt) * np.cos(lean), np.sin(lean))
    hip_axis = _unit(np.cos(0.4 * twist), zeros, np.sin(0.4 * twist))
    # Shoulders turn against the hips and dip with the tilt of the trunk.
    shoulder_axis = _unit(np.cos(twist) * np.cos(tilt), -np.sin(tilt), -np.sin(twist))
    pelvis = np.zeros((len(limbs), 3))
    neck = TRUNK * up
    hips = pelvis[:, None] + across * HALF_HIPS * hip_axis[:, None]
    shoulders = (neck - 0.022 * up)[:, None] + across * HALF_SHOULDERS * shoulder_axis[:, None]

    elbows = shoulders + UPPER_ARM * _direction(limbs[..., ARM])
    wrists = elbows + LOWER_ARM * _direction(limbs[..., FOREARM])
    hands = wrists + HAND * _direction(limbs[..., FOREARM])
    knees = hips + UPPER_LEG * _direction(limbs[..., THIGH])
    shank = _direction(limbs[..., SHANK])
    ankles = knees + LOWER_LEG * shank
    # The sole follows the shank only half way.
    foot_pitch = np.radians(limbs[..., SHANK][..., 0]) * 0.5
    outward = np.radians(12.0) * across[..., 0]
    toes = ankles + FOOT * np.stack(
        [np.sin(outward) * np.cos(foot_pitch), np.sin(foot_pitch) - 0.25, np.cos(foot_pitch)], axis=-1
    )

    yaw = trunk[:, HEAD_YAW] - 0.5 * twist
    pitch, head_tilt = trunk[:, HEAD_PITCH] + 0.5 * lean, trunk[:, HEAD_TILT] + 0.5 * tilt
    head_up = _unit(np.sin(head_tilt), np.cos(head_tilt) * np.cos(pitch), np.sin(pitch))
    facing = _unit(np.sin(yaw) * np.cos(pitch), -np.sin(pitch), np.cos(yaw) * np.cos(pitch))
    head_left = np.cross(head_up, facing)
    head_left /= np.linalg.norm(head_left, axis=-1, keepdims=True)
    head_forward = np.cross(head_left, head_up)
    head_base = neck + NECK * (0.5 * up + 0.5 * head_up)

    ground = ankles[..., 1].min(axis=1) - ANKLE_HEIGHT - stance.trunk[:, LIFT]
    rise = np.stack([zeros, -ground, zeros], axis=-1)
    return Joints(
        pelvis=pelvis + rise,
        waist=0.42 * neck + rise,
        neck=neck + rise,
        head_base=head_base + rise,
        head_top=head_base + HEAD * head_up + rise,
        head_left=head_left,
        head_up=head_up,
        head_forward=head_forward,
        shoulders=shoulders + rise[:, None],
        elbows=elbows + rise[:, None],
        wrists=wrists + rise[:, None],
        hands=hands + rise[:, None],
        hips=hips + rise[:, None],
        knees=knees + rise[:, None],
        ankles=ankles + rise[:, None],
        toes=toes + rise[:, None],
    )
