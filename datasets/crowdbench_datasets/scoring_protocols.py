"""The scoring rules of CrowdPose and COCO, as in the official tools."""

from crowdbench.api.scoring_protocol import ScoringProtocol
from crowdbench.api.types import KeypointSet
from crowdbench_datasets.keypoint_sets import CROWDPOSE_14


def crowd_protocol(name: str, keypoints: KeypointSet) -> ScoringProtocol:
    """CrowdPose's rules for any keypoint set.

    A person's area is 0.53 times the area of its box. Images are split by crowdIndex at 0.2 and 0.8, as in
    every code base (Jeff-sjtu/CrowdPose:crowdpose-api/PythonAPI/crowdposetools/cocoeval.py).
    """
    return ScoringProtocol(
        name=name,
        keypoints=keypoints,
        statistics=("AP", "AP50", "AP75", "AR", "AR50", "AR75", "AP_easy", "AP_medium", "AP_hard"),
        box_area_factor=0.53,
        crowding_splits=(("easy", 0.0, 0.2), ("medium", 0.2, 0.8), ("hard", 0.8, float("inf"))),
    )


def coco_protocol(name: str, keypoints: KeypointSet) -> ScoringProtocol:
    """COCO's keypoint rules: areas come from the annotations; AP and AR are also computed by area."""
    return ScoringProtocol(
        name=name,
        keypoints=keypoints,
        statistics=(
            *("AP", "AP50", "AP75", "AP_medium_area", "AP_large_area"),
            *("AR", "AR50", "AR75", "AR_medium_area", "AR_large_area"),
        ),
        area_ranges=(("medium", 32.0**2, 96.0**2), ("large", 96.0**2, 1e10)),
    )


CROWDPOSE_PROTOCOL = crowd_protocol("crowdpose", CROWDPOSE_14)
