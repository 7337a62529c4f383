"""Body and clothes around the skeleton; each part of a figure is the convex hull of a few balls."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from crowdbench.api.types import FloatArray
from crowdbench_datasets.synthcrowd.outfits import Color, Outfit, mix, shade
from crowdbench_datasets.synthcrowd.skeleton import Joints

Ball = tuple[FloatArray, float]


class Region(IntEnum):
    """Body region of a pixel, as stored in the owner map."""

    HEAD = 1
    HAIR = 2
    NECK = 3
    TRUNK = 4
    PELVIS = 5
    LEFT_ARM = 6
    RIGHT_ARM = 7
    LEFT_FOREARM = 8
    RIGHT_FOREARM = 9
    LEFT_THIGH = 10
    RIGHT_THIGH = 11
    LEFT_SHANK = 12
    RIGHT_SHANK = 13
    SKIRT = 14
    CARRIED = 15


@dataclass(frozen=True)
class Part:
    """One convex piece of a figure.

    Attributes:
        region: the body region that it belongs to.
        balls: centers in the body frame, and radii, in standing heights.
        color: RGB.
        bias: added to the nearness when parts are sorted by depth, so that a sleeve covers its arm.
        is_patterned: carries the outfit's pattern.
        is_flat: too small to be shaded.
    """

    region: Region
    balls: tuple[Ball, ...]
    color: Color
    bias: float = 0.0
    is_patterned: bool = False
    is_flat: bool = False


def _limb(
    joints: tuple[FloatArray, FloatArray, FloatArray],
    radii: tuple[float, float, float],
    regions: tuple[Region, Region],
    skin: Color,
    cloth: Color,
    covered: float,
    bias: float,
    is_patterned: bool,
) -> list[Part]:
    """Two tapered segments, bare beyond the covered share."""
    parts = []
    for index in (0, 1):
        start, end = joints[index], joints[index + 1]
        thick, thin = radii[index], radii[index + 1]
        share = min(max(2 * covered - index, 0.0), 1.0)
        if share < 1.0:
            parts.append(Part(regions[index], ((start, thick), (end, thin)), skin, bias))
        if share > 0.0:
            hem = start + share * (end - start)
            hem_radius = thick + share * (thin - thick)
            sleeve = ((start, thick * 1.1 + 0.003), (hem, hem_radius * 1.1 + 0.005))
            parts.append(Part(regions[index], sleeve, cloth, bias + 0.004, is_patterned))
    return parts


def _head(joints: Joints, index: int, outfit: Outfit) -> list[Part]:
    size = outfit.head
    base, left = joints.head_base[index], joints.head_left[index]
    up, forward = joints.head_up[index], joints.head_forward[index]

    def at(x: float, y: float, z: float) -> FloatArray:
        return np.asarray(base + size * (x * left + y * up + z * forward))

    skin, dark = outfit.skin, shade(outfit.skin, 0.62)
    parts = [
        Part(Region.HEAD, ((at(0, 0.081, 0), 0.051 * size), (at(0, 0.034, 0.017), 0.033 * size)), skin),
        Part(
            Region.HEAD, ((at(0, 0.060, 0.056), 0.008 * size), (at(0, 0.048, 0.06), 0.010 * size)), skin, 0.05
        ),
        Part(
            Region.HEAD,
            ((at(-0.013, 0.027, 0.05), 0.0035 * size), (at(0.013, 0.027, 0.05), 0.0035 * size)),
            mix(dark, (150, 40, 50), 0.35),
            0.03,
            is_flat=True,
        ),
    ]
    for side in (1.0, -1.0):
        ear = ((at(side * 0.05, 0.07, -0.004), 0.012 * size), (at(side * 0.048, 0.055, -0.002), 0.009 * size))
        parts.append(Part(Region.HEAD, ear, shade(skin, 0.9), 0.0))
        eye = at(side * 0.020, 0.066, 0.048)
        parts.append(Part(Region.HEAD, ((eye, 0.0085 * size),), (238, 238, 236), 0.01, is_flat=True))
        iris = at(side * 0.020, 0.066, 0.051)
        parts.append(Part(Region.HEAD, ((iris, 0.005 * size),), shade(outfit.hair, 0.5), 0.012, is_flat=True))
        brow = ((at(side * 0.011, 0.082, 0.05), 0.003 * size), (at(side * 0.029, 0.08, 0.044), 0.003 * size))
        parts.append(Part(Region.HEAD, brow, shade(outfit.hair, 0.8), 0.012, is_flat=True))
    if outfit.hair_length >= 0:
        cap = ((at(0, 0.087, -0.017), 0.053 * size), (at(0, 0.062, -0.022), 0.045 * size))
        parts.append(Part(Region.HAIR, cap, outfit.hair))
        fringe = (
            (at(0.030, 0.112, 0.018), 0.019 * size),
            (at(-0.030, 0.112, 0.018), 0.019 * size),
            (at(0, 0.118, -0.02), 0.022 * size),
        )
        parts.append(Part(Region.HAIR, fringe, outfit.hair, 0.035))
    if outfit.hair_length > 0:
        reach = 0.05 - 0.12 * outfit.hair_length
        mane = ((at(0, 0.085, -0.022), 0.054 * size), (at(0, reach, -0.032), 0.042 * size))
        parts.append(Part(Region.HAIR, mane, shade(outfit.hair, 0.92), -0.002))
    if outfit.hat is not None:
        crown = ((at(0, 0.112, -0.012), 0.05 * size), (at(0, 0.094, -0.012), 0.054 * size))
        parts.append(Part(Region.HAIR, crown, outfit.hat, 0.04))
        brim = ((at(0.03, 0.102, 0.05), 0.012 * size), (at(-0.03, 0.102, 0.05), 0.012 * size))
        parts.append(Part(Region.HAIR, brim, shade(outfit.hat, 0.8), 0.05))
    return parts


def _trunk(joints: Joints, index: int, outfit: Outfit) -> list[Part]:
    girth = outfit.girth
    neck, waist, pelvis = joints.neck[index], joints.waist[index], joints.pelvis[index]
    shoulders, hips = joints.shoulders[index], joints.hips[index]
    chest = 0.35 * waist + 0.65 * neck
    collar = neck + 0.3 * (joints.head_base[index] - neck)
    parts = [
        Part(Region.NECK, ((joints.head_base[index], 0.028), (neck - 0.01, 0.034)), shade(outfit.skin, 0.88)),
        Part(
            Region.TRUNK,
            (
                *((point - 0.012 * np.array([0.0, 1.0, 0.0]), 0.042 * girth) for point in shoulders),
                (chest, 0.072 * girth),
                (waist, 0.076 * girth),
                (collar - 0.012, 0.036),
            ),
            outfit.top,
            0.004,
            is_patterned=True,
        ),
        Part(
            Region.PELVIS,
            (
                (waist - 0.15 * (waist - pelvis), 0.072 * girth),
                *((0.94 * hip + 0.06 * pelvis, 0.062 * girth) for hip in hips),
            ),
            outfit.bottom,
        ),
    ]
    if outfit.skirt:
        ends = [hips[i] + min(2 * outfit.skirt, 1.0) * (joints.knees[index, i] - hips[i]) for i in (0, 1)]
        if outfit.skirt > 0.5:
            share = 2 * outfit.skirt - 1
            ends = [ends[i] + share * (joints.ankles[index, i] - ends[i]) for i in (0, 1)]
        hem = tuple((end, 0.066 * girth + 0.02 * outfit.skirt) for end in ends)
        parts.append(Part(Region.SKIRT, ((waist, 0.068 * girth), *hem), outfit.bottom, 0.03))
    if outfit.bag is not None:
        # A backpack behind the trunk: visible from the back and partly from the side.
        across = shoulders[0] - shoulders[1]
        behind = np.cross(across, neck - pelvis)
        behind *= -0.075 / np.linalg.norm(behind)
        pack = ((chest + behind, 0.062), (0.7 * waist + 0.3 * chest + behind, 0.068))
        parts.append(Part(Region.CARRIED, pack, outfit.bag))
    return parts


def flesh_out(joints: Joints, index: int, outfit: Outfit) -> list[Part]:
    """The parts of one figure, unordered."""
    girth, skin = outfit.girth, outfit.skin
    parts = [*_trunk(joints, index, outfit), *_head(joints, index, outfit)]
    for side in (0, 1):
        arm = (joints.shoulders[index, side], joints.elbows[index, side], joints.wrists[index, side])
        arm_regions = (Region(Region.LEFT_ARM + side), Region(Region.LEFT_FOREARM + side))
        radii = (0.036 * girth, 0.028 * girth, 0.019)
        parts += _limb(arm, radii, arm_regions, skin, outfit.top, outfit.sleeve, 0.022, True)
        hand = ((arm[2], 0.019), (joints.hands[index, side], 0.017))
        parts.append(Part(arm_regions[1], hand, skin, 0.022))

        leg = (joints.hips[index, side], joints.knees[index, side], joints.ankles[index, side])
        leg_regions = (Region(Region.LEFT_THIGH + side), Region(Region.LEFT_SHANK + side))
        radii = (0.060 * girth, 0.042 * girth, 0.027)
        parts += _limb(leg, radii, leg_regions, skin, outfit.bottom, outfit.trouser, -0.012, False)
        toes = joints.toes[index, side]
        heel = leg[2] - 0.25 * (toes - leg[2]) - np.array([0.0, 0.012, 0.0])
        parts.append(Part(leg_regions[1], ((heel, 0.025), (toes, 0.021)), outfit.shoes, 0.01))
    return parts
