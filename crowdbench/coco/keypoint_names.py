"""The order of a file's keypoints, by the names that its category gives them."""

import re
from collections.abc import Sequence

from crowdbench.api.types import KeypointSet

_SIDES = {"l": "left", "r": "right"}
# The same point of the body under another name.
_SYNONYMS = {"tophead": "head", "headtop": "head"}


def file_order(names: Sequence[object], keypoints: KeypointSet) -> tuple[int, ...] | None:
    """Where in the file's order each keypoint of a set stands.

    Names are compared without case, spaces, hyphens and underscores; ``l`` and ``r`` as words of their own
    are ``left`` and ``right``, before or behind the joint's name.

    Args:
        names: the file's, one a keypoint.
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
