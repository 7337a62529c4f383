"""The two scoring protocols of the reference sets, written out by hand from their published rules."""

import pytest

from crowdbench.api.scoring_protocol import ScoringProtocol
from crowdbench.api.types import KeypointSet

LIMBS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
BODY = tuple(f"{side}_{limb}" for limb in LIMBS for side in ("left", "right"))
NAMES = {
    "14": (*BODY, "head", "neck"),
    "17": ("nose", "left_eye", "right_eye", "left_ear", "right_ear", *BODY),
}


def _keypoints(name: str, sigmas: tuple[float, ...]) -> KeypointSet:
    return KeypointSet(name, NAMES[name], flip_pairs=(), skeleton=(), sigmas=sigmas, upper_body=())


CROWD = ScoringProtocol(
    name="crowdpose",
    keypoints=_keypoints(
        "14",
        (0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089, 0.079, 0.079),
    ),
    statistics=("AP", "AP50", "AP75", "AR", "AR50", "AR75", "AP_easy", "AP_medium", "AP_hard"),
    box_area_factor=0.53,
    crowding_splits=(("easy", 0, 0.2), ("medium", 0.2, 0.8), ("hard", 0.8, float("inf"))),
)
COCO = ScoringProtocol(
    name="coco",
    keypoints=_keypoints(
        "17",
        (
            *(0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072),
            *(0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089),
        ),
    ),
    statistics=(
        *("AP", "AP50", "AP75", "AP_medium_area", "AP_large_area"),
        *("AR", "AR50", "AR75", "AR_medium_area", "AR_large_area"),
    ),
    area_ranges=(("medium", 32**2, 96**2), ("large", 96**2, 1e10)),
)
# The sets with golden numbers; of the largest, only the whole numbers are there.
SETS = (
    *("crowd_50", "crowd_small", "crowd_small_ties", "crowd_small_flood", "crowd_small_perfect"),
    *("crowd_small_conf0", "crowd_small_bbox", "crowd_small_sparse", "crowd_small_allfp", "crowd_nohard"),
    *("crowd_edges", "coco_small", "coco_small_ties", "coco_small_conf0", "coco_small_numkp"),
    *("ochuman_small", "crowd_gtid0", "coco_gtid0", "coco_oddgt", "crowd_oddgt"),
)
WHOLE_SETS = (*SETS, "crowd_full", "coco_full")
# For tests with the parameters `goldens`, which is indirect, and `name`.
GOLDEN_SETS = [
    *(("compact", name) for name in SETS),
    *(pytest.param("whole", name, marks=pytest.mark.reference) for name in WHOLE_SETS),
]
OF_NAME = {"crowdpose": CROWD, "coco": COCO, "ochuman": COCO}
