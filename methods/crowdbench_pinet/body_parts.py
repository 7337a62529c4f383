"""Body parts and limbs for any set of named keypoints.

PINet's authors write both down for CrowdPose's 14 keypoints and COCO's 17; the same rules, by name, give
theirs for those two and sensible ones for others (Wang et al., NeurIPS 2021, section 3.1).
"""

from crowdbench.api.types import KeypointSet
from crowdbench.errors import SettingsError

Part = tuple[int, ...]

# Hips belong to two parts; elbows and wrists to none.
_PARTS = (
    ("head", ("nose", "eye", "ear", "head", "neck")),
    ("body", ("shoulder", "hip")),
    ("legs", ("hip", "knee", "ankle")),
)
PARTS = len(_PARTS)

# By kind of keypoint; a bone joins two of one side, or either side with the middle.
_BONES = (
    *(("head", "neck"), ("neck", "shoulder"), ("nose", "eye"), ("eye", "ear")),
    *(("shoulder", "hip"), ("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle")),
)
# Joined to their own likes on the other side.
_ACROSS = ("eye", "shoulder", "hip")


def _kind(name: str) -> str:
    return name.removeprefix("left_").removeprefix("right_").removeprefix("top_").removesuffix("_top")


def _side(name: str) -> str:
    return next((side for side in ("left", "right") if name.startswith(f"{side}_")), "")


def part_keypoints(keypoints: KeypointSet) -> tuple[Part, ...]:
    """The keypoints, by index, of head, body and legs; raises SettingsError if a part has none."""
    kinds = [_kind(name) for name in keypoints.keypoints]
    parts = tuple(tuple(i for i, kind in enumerate(kinds) if kind in members) for _, members in _PARTS)
    for (part, members), found in zip(_PARTS, parts, strict=True):
        if not found:
            raise SettingsError(
                f"PINet finds persons by their {part}, by its {', '.join(members)}; "
                f"{keypoints.name} has no such keypoint: {', '.join(keypoints.keypoints)}."
            )
    return parts


def bones(keypoints: KeypointSet) -> tuple[tuple[int, int], ...]:
    """Pairs of joined keypoints, by index, that the refinement's graph begins with."""
    names = keypoints.keypoints
    joined = {frozenset(pair) for pair in _BONES}
    pairs = []
    for i, first in enumerate(names):
        for j in range(i + 1, len(names)):
            second = names[j]
            sides = {_side(first), _side(second)} - {""}
            across = _kind(first) == _kind(second) and _kind(first) in _ACROSS
            if across or (len(sides) <= 1 and frozenset({_kind(first), _kind(second)}) in joined):
                pairs.append((i, j))
    return tuple(pairs)
