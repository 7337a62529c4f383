"""Poses as SVG paths, kept short because a page may hold tens of thousands of them."""

from collections.abc import Sequence
from functools import cache
from itertools import pairwise

from crowdbench.api.types import FloatArray, KeypointSet

FARTHEST = 4000
"""Poses are cut at this many units from the image's corner."""


def view_size(width: int, height: int, long_side: int) -> tuple[int, int]:
    """Width and height of an image in its SVG's own units, to which poses are rounded."""
    scale = long_side / max(width, height, 1)
    return max(1, round(width * scale)), max(1, round(height * scale))


def bones_path(keypoints: FloatArray, layout: KeypointSet, scale: float) -> str:
    """The bones of a person as the ``d`` of a path.

    Args:
        keypoints: ``(K, 3)``; those with a third value of 0 or less are missing.
        layout: which of them are joined.
        scale: SVG units per pixel.
    """
    return "".join(
        _polyline([_place(keypoints[index], scale) for index in part])
        for chain in _chains(layout)
        for part in _unbroken(chain, keypoints)
    )


def _unbroken(chain: Sequence[int], keypoints: FloatArray) -> list[list[int]]:
    """The parts of a chain between keypoints that are not there."""
    parts: list[list[int]] = [[]]
    for index in chain:
        if keypoints[index][2] > 0:
            parts[-1].append(index)
        else:
            parts.append([])
    return [part for part in parts if part]


def _polyline(places: Sequence[tuple[int, int]]) -> str:
    steps = [f"{x - last_x} {y - last_y}" for (last_x, last_y), (x, y) in pairwise(places)]
    # A line that leads nowhere has round ends: a dot. A minus sign separates by itself.
    return f"M{places[0][0]} {places[0][1]}l{' '.join(steps) or '0 0'}".replace(" -", "-")


def _place(row: FloatArray, scale: float) -> tuple[int, int]:
    # Far outside is as good as just outside, and shorter.
    def unit(value: float) -> int:
        return round(max(-FARTHEST, min(FARTHEST, value * scale)))

    return unit(float(row[0])), unit(float(row[1]))


@cache
def _chains(layout: KeypointSet) -> tuple[tuple[int, ...], ...]:
    """The bones as few chains, so that a keypoint is written once and not once for every bone."""
    left = list(layout.skeleton)
    chains = []
    while left:
        chain = list(left.pop(0))
        grown = True
        while grown:
            grown = False
            for bone in left:
                if chain[-1] in bone:
                    chain.append(bone[0] if bone[1] == chain[-1] else bone[1])
                elif chain[0] in bone:
                    chain.insert(0, bone[0] if bone[1] == chain[0] else bone[1])
                else:
                    continue
                left.remove(bone)
                grown = True
                break
        chains.append(tuple(chain))
    joined = {index for chain in chains for index in chain}
    chains += [(index,) for index in range(layout.count) if index not in joined]
    return tuple(chains)


def marks_path(keypoints: FloatArray, kinds: Sequence[str], kind: str, scale: float) -> str:
    """Marks on the keypoints of one kind, as the ``d`` of a path; each kind has a shape of its own."""
    return "".join(
        _SHAPES[kind].format(*_place(row, scale))
        for row, found in zip(keypoints, kinds, strict=False)
        if found == kind
    )


_SHAPES = {
    # A ring, a triangle, a square, a cross.
    "jitter": "M{0} {1}m-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0",
    "inversion": "M{0} {1}m0-6l6 10h-12z",
    "swap": "M{0} {1}m-5-5h10v10h-10z",
    "miss": "M{0} {1}m-5-5l10 10m0-10l-10 10",
}
