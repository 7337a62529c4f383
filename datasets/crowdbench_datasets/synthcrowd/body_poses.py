"""Body poses: families of stances and random variation within each."""

from dataclasses import dataclass

import numpy as np

from crowdbench_datasets.synthcrowd.skeleton import Stance

# (swing, spread) of the upper and of the lower segment, in degrees.
Limb = tuple[float, float, float, float]


@dataclass(frozen=True)
class Family:
    """A typical stance, and the spread of its instances around it."""

    arms: tuple[Limb, Limb]
    legs: tuple[Limb, Limb]
    trunk: tuple[float, float, float] = (2.0, 0.0, 0.0)
    weight: float = 1.0
    stray: float = 7.0
    lift: float = 0.0
    is_seated: bool = False


HANGING: Limb = (2, 9, 12, 5)
RAISED: Limb = (165, 12, 172, 2)
SPREAD_UP: Limb = (0, 128, 0, 150)
ON_HIP: Limb = (-18, 42, 25, -48)
ACROSS: Limb = (22, 12, 115, -58)
ON_PHONE: Limb = (22, 10, 128, -22)
STRETCHED: Limb = (84, 8, 86, 4)
STRAIGHT: Limb = (0, 5, -2, 2)
SITTING: Limb = (84, 12, -4, 4)

FAMILIES: dict[str, Family] = {
    "standing": Family((HANGING, HANGING), (STRAIGHT, STRAIGHT), weight=3.0),
    "walking": Family(
        ((24, 8, 48, 4), (-26, 9, -6, 6)), ((-20, 3, -42, 2), (24, 4, 14, 3)), (5, 0, 8), weight=3.0
    ),
    "running": Family(
        ((45, 12, 120, -10), (-48, 14, 20, 4)), ((-22, 4, -88, 3), (52, 5, -12, 3)), (14, 0, 14), lift=0.03
    ),
    "cheering": Family((RAISED, RAISED), (STRAIGHT, STRAIGHT), weight=1.5, stray=12.0),
    "arms wide": Family((SPREAD_UP, SPREAD_UP), ((0, 12, 0, 8), (0, 12, 0, 8)), stray=14.0),
    "waving": Family(((10, 88, 10, 158), HANGING), (STRAIGHT, STRAIGHT), weight=1.5),
    "one arm up": Family((RAISED, HANGING), (STRAIGHT, STRAIGHT)),
    "hands on hips": Family((ON_HIP, ON_HIP), (STRAIGHT, (0, 9, -2, 6))),
    "one hand on hip": Family((ON_HIP, HANGING), (STRAIGHT, (4, 8, -6, 6)), (0, 4, 0)),
    "folded arms": Family((ACROSS, ACROSS), (STRAIGHT, STRAIGHT), stray=5.0),
    "on the phone": Family((ON_PHONE, HANGING), (STRAIGHT, (8, 5, -8, 3)), weight=1.5),
    "taking a picture": Family(((62, 14, 138, -24), (62, 14, 138, -24)), (STRAIGHT, STRAIGHT)),
    "clapping": Family(((38, 16, 82, -34), (38, 16, 82, -34)), (STRAIGHT, STRAIGHT)),
    "pointing": Family((STRETCHED, HANGING), (STRAIGHT, (6, 5, -6, 3))),
    "arm around": Family(((8, 82, 12, 70), HANGING), (STRAIGHT, STRAIGHT), (0, -5, 0), weight=1.5),
    "dancing": Family(
        ((20, 70, 60, 125), (10, 45, 90, 20)), ((35, 14, -28, 6), (2, 10, -14, 6)), (6, 9, 14), 1.5, 16.0
    ),
    "sitting": Family(
        ((26, 8, 66, -6), (26, 8, 66, -6)), (SITTING, SITTING), (6, 0, 0), weight=1.8, is_seated=True
    ),
    "crouching": Family(
        ((50, 12, 72, -8), (50, 12, 72, -8)), ((102, 16, -42, 6), (102, 16, -42, 6)), (26, 0, 0)
    ),
    "kneeling": Family(((30, 8, 70, -8), HANGING), ((84, 8, 0, 4), (-6, 5, -84, 4)), (6, 0, 0)),
    "leaning": Family((HANGING, (12, 20, 40, -10)), ((0, 14, 0, 12), (0, 2, -8, 0)), (4, 14, 0)),
    "bending": Family(((66, 8, 58, 4), (60, 8, 50, 4)), ((6, 6, -14, 4), (6, 6, -14, 4)), (54, 0, 0), 0.6),
    "jumping": Family(
        (SPREAD_UP, RAISED), ((20, 12, -58, 6), (8, 10, -66, 6)), (4, 0, 0), 0.6, stray=14.0, lift=0.1
    ),
}
_NAMES = tuple(FAMILIES)
_WEIGHTS = np.array([family.weight for family in FAMILIES.values()])
_WEIGHTS /= _WEIGHTS.sum()


def _table(pick: str) -> np.ndarray:
    return np.array([getattr(family, pick) for family in FAMILIES.values()], dtype=np.float64)


_LIMBS = np.concatenate([_table("arms"), _table("legs")], axis=-1)
_TRUNK, _STRAY, _LIFT = _table("trunk"), _table("stray"), _table("lift")
_SEATED = np.array([family.is_seated for family in FAMILIES.values()])


def sample_stances(rng: np.random.Generator, count: int) -> Stance:
    """Sample a stance for each of N figures; half of them are mirrored."""
    which = rng.choice(len(_NAMES), size=count, p=_WEIGHTS)
    stray = _STRAY[which]
    limbs = _LIMBS[which] + stray[:, None, None] * rng.standard_normal((count, 2, 8))
    trunk = np.zeros((count, 7))
    trunk[:, :3] = _TRUNK[which] + 0.45 * stray[:, None] * rng.standard_normal((count, 3))
    trunk[:, 3:6] = np.array([26.0, 9.0, 6.0]) * rng.standard_normal((count, 3))
    trunk[:, 6] = _LIFT[which] * rng.uniform(0.4, 1.4, count)

    swapped = rng.random(count) < 0.5
    limbs[swapped] = limbs[swapped, ::-1]
    trunk[swapped, 1:3] *= -1.0
    # Knees do not bend forward, and legs cross only slightly.
    limbs[..., 6] = np.minimum(limbs[..., 6], limbs[..., 4] - 1.0)
    limbs[..., [5, 7]] = np.maximum(limbs[..., [5, 7]], -3.0)
    return Stance(limbs=limbs, trunk=trunk, is_seated=_SEATED[which])
