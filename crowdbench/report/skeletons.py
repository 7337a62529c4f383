"""Poses as SVG paths, as short as they can be: a page may hold tens of thousands of them."""

from collections.abc import Sequence
from functools import cache

from crowdbench.types import FloatArray, KeypointSet

FARTHEST = 4000
"""Beyond this many units from the picture's corner nobody looks."""


def view_size(width: int, height: int, long_side: int) -> tuple[int, int]:
    """Width and height of a picture in its SVG's own units, to which poses are rounded."""
    scale = long_side / max(width, height, 1)
    return max(1, round(width * scale)), max(1, round(height * scale))


def bones_path(keypoints: FloatArray, layout: KeypointSet, scale: float) -> str:
    """The bones of a person as the ``d`` of a path.

    Args:
        keypoints: ``(K, 3)``; those with a third value of 0 or less are not there.
        layout: which of them are joined.
        scale: SVG units a pixel.
    """
    places = [_place(row, scale) for row in keypoints]
    there = [float(row[2]) > 0 for row in keypoints]
    written: list[str] = []
    for chain in _chains(layout):
        previous: tuple[int, int] | None = None
        for index in chain:
            place = places[index]
            if not there[index]:
                previous = None
                continue
            if previous is None:
                written.append(f"M{place[0]} {place[1]}")
                written.append("l")
            else:
                dx, dy = place[0] - previous[0], place[1] - previous[1]
                # A minus sign separates by itself.
                written.append(f"{dx}{'' if dy < 0 else ' '}{dy}")
                written.append(" ")
            previous = place
    return _tidied("".join(written))


def _tidied(path: str) -> str:
    # A chain of one keypoint is a move that leads nowhere; a round line cap makes a dot of "l0 0".
    return path.replace(" M", "M").replace("lM", "l0 0M").replace(" -", "-").removesuffix(" ") + (
        "0 0" if path.endswith("l") else ""
    )


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
