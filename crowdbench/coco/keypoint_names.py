"""Derive the order of a file's keypoints from their names."""

import re
from collections.abc import Sequence

from crowdbench.api.types import KeypointSet

_SIDES = {"l": "left", "r": "right"}
# Other names for the same keypoint.
_SYNONYMS = {"tophead": "head", "headtop": "head"}


def file_order(names: Sequence[object], keypoints: KeypointSet) -> tuple[int, ...] | None:
    """Return the index, in the file's order, of each keypoint of a set.

    Names are compared without case, spaces, hyphens and underscores; ``l`` and ``r`` as separate
    words mean ``left`` and ``right``, before or after the joint's name.

    Args:
        names: the file's keypoint names.
        keypoints: the set.

    Returns:
        K indices into the file's keypoints; None if these are not the set's keypoints.
    """
    given = [_plain(name) if isinstance(name, str) else "" for name in names]
    wanted = [_plain(name) for name in keypoints.keypoints]
    if len(set(given)) < len(given) or set(given) != set(wanted):
        return None
    return tuple(given.index(name) for name in wanted)


def _plain(name: str) -> str:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).casefold()
    parts = [part for part in re.split(r"[^0-9a-z]+", words) if part]
    parts = [_SIDES.get(part, part) for part in parts]
    if len(parts) > 1 and parts[-1] in _SIDES.values():
        parts = [parts[-1], *parts[:-1]]
    joined = "".join(parts)
    return _SYNONYMS.get(joined, joined)
