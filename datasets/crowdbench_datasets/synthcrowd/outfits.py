"""Builds and clothes of the figures."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

Color = tuple[float, float, float]
Pattern = Literal["plain", "stripes", "pinstripes", "checks", "dots", "block"]
PATTERNS: tuple[Pattern, ...] = ("plain", "stripes", "pinstripes", "checks", "dots", "block")

# RGB, chosen by hand.
_SKINS = (
    *((244, 208, 184), (232, 190, 160), (222, 174, 138), (205, 152, 112)),
    *((176, 122, 84), (146, 96, 64), (112, 72, 48), (82, 54, 38)),
)
_HAIRS = (
    *((28, 24, 22), (44, 32, 26), (70, 46, 30), (104, 66, 38)),
    *((158, 112, 62), (206, 172, 112), (150, 148, 146), (138, 58, 32)),
)
_CLOTHS = (
    *((236, 234, 228), (34, 36, 42), (96, 98, 104), (158, 160, 162), (44, 62, 112), (64, 106, 176)),
    *((126, 172, 214), (176, 40, 44), (222, 92, 70), (240, 184, 60), (74, 130, 76), (40, 78, 60)),
    *((118, 66, 130), (228, 148, 176), (120, 84, 56), (196, 172, 132), (40, 142, 148), (236, 122, 34)),
)
_BOTTOMS = (
    *((36, 44, 72), (56, 74, 112), (94, 118, 156), (34, 34, 38), (74, 74, 80)),
    *((150, 132, 104), (96, 88, 66), (188, 180, 164), (110, 40, 46), (52, 84, 66)),
)
_SHOES = ((30, 28, 28), (234, 232, 228), (92, 62, 42), (170, 44, 44), (70, 84, 120), (150, 146, 140))


@dataclass(frozen=True)
class Outfit:
    """The build and clothes of one figure.

    Attributes:
        stature: height relative to an adult's; children are smaller and have larger heads.
        girth: thickness relative to the average.
        head: head size relative to an adult's.
        sleeve: covered share of the arm: 0.5 reaches the elbow, 1 the wrist.
        trouser: covered share of the leg, as for `sleeve`.
        skirt: length as a share of the leg; 0 for no skirt.
        hair_length: 0 is short, 1 reaches the shoulders, negative is bald.
        pattern, pattern_color: of the clothes on the trunk and the arms.
        pattern_period: in standing heights.
    """

    stature: float
    girth: float
    head: float
    skin: Color
    hair: Color
    top: Color
    bottom: Color
    shoes: Color
    sleeve: float
    trouser: float
    skirt: float
    hair_length: float
    hat: Color | None
    bag: Color | None
    pattern: Pattern
    pattern_color: Color
    pattern_period: float


def _pick(rng: np.random.Generator, palette: tuple[tuple[int, int, int], ...], stray: float) -> Color:
    color = np.array(palette[rng.integers(len(palette))]) + stray * rng.standard_normal(3)
    red, green, blue = np.clip(color * rng.uniform(0.85, 1.08), 6, 250)
    return float(red), float(green), float(blue)


def _length(rng: np.random.Generator, choices: tuple[float, ...], weights: tuple[float, ...]) -> float:
    chosen = choices[int(np.searchsorted(np.cumsum(weights), rng.random() * sum(weights)))]
    return chosen if chosen in (0.0, 1.0) else chosen + float(rng.uniform(-0.06, 0.06))


def sample_outfit(rng: np.random.Generator) -> Outfit:
    """Sample the build and clothes of one figure."""
    child = rng.random() < 0.12
    skirted = rng.random() < 0.22
    dressed = skirted and rng.random() < 0.5
    top = _pick(rng, _CLOTHS, 9)
    pattern: Pattern = PATTERNS[int(rng.integers(1, len(PATTERNS)))] if rng.random() < 0.5 else "plain"
    return Outfit(
        stature=float(rng.uniform(0.6, 0.8) if child else np.clip(rng.normal(1.0, 0.05), 0.88, 1.12)),
        girth=float(np.clip(rng.normal(1.04, 0.13), 0.82, 1.42)),
        head=float(rng.uniform(1.2, 1.4) if child else rng.uniform(0.98, 1.12)),
        skin=_pick(rng, _SKINS, 5),
        hair=_pick(rng, _HAIRS, 5),
        top=top,
        bottom=top if dressed else _pick(rng, _BOTTOMS, 7),
        shoes=_pick(rng, _SHOES, 6),
        sleeve=_length(rng, (0.0, 0.3, 0.5, 1.0), (0.12, 0.34, 0.1, 0.44)),
        trouser=0.0 if skirted else _length(rng, (0.3, 0.5, 1.0), (0.16, 0.1, 0.74)),
        skirt=_length(rng, (0.35, 0.5, 0.85), (0.4, 0.4, 0.2)) if skirted else 0.0,
        hair_length=float(rng.choice([-1.0, 0.0, 0.35, 0.8, 1.1], p=[0.06, 0.44, 0.16, 0.22, 0.12])),
        hat=_pick(rng, _CLOTHS, 8) if rng.random() < 0.14 else None,
        bag=_pick(rng, _CLOTHS, 8) if rng.random() < 0.12 else None,
        pattern=pattern,
        pattern_color=_pick(rng, _CLOTHS, 9),
        pattern_period=float(rng.uniform(0.025, 0.09)),
    )


def shade(color: Color, gain: float) -> Color:
    """Scale a color's brightness, clipped to 0..255."""
    red, green, blue = (min(255.0, max(0.0, channel * gain)) for channel in color)
    return red, green, blue


def mix(first: Color, second: Color, share: float) -> Color:
    """Interpolate from the first color (share 0) to the second (share 1)."""
    red, green, blue = (a + share * (b - a) for a, b in zip(first, second, strict=True))
    return red, green, blue
