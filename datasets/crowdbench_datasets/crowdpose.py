"""CrowdPose (Li et al., CVPR 2019): crowded scenes, 14 keypoints."""

from crowdbench.coco.dataset import CocoFormatDataset, PublishedCounts
from crowdbench_datasets.keypoint_sets import CROWDPOSE_14
from crowdbench_datasets.scoring_protocols import CROWDPOSE_PROTOCOL


class CrowdPose(CocoFormatDataset):
    """CrowdPose in its authors' directory layout or in mmpose's."""

    name = "crowdpose"
    splits = ("train", "val", "trainval", "test")
    default_split = "test"
    keypoints = CROWDPOSE_14
    protocol = CROWDPOSE_PROTOCOL
    annotation_files = {  # noqa: RUF012  (declared a ClassVar by the base)
        split: (
            f"json/crowdpose_{split}.json",
            f"annotations/crowdpose_{split}.json",
            f"annotations/mmpose_crowdpose_{split}.json",
        )
        for split in splits
    }
    published = {  # noqa: RUF012  (declared a ClassVar by the base)
        "train": PublishedCounts(10000, None, "the CrowdPose paper: 20,000 images split 5:1:4"),
        "val": PublishedCounts(2000, 8527, "the CrowdPose paper; persons counted in the released file"),
        "trainval": PublishedCounts(12000, None, "the CrowdPose paper: 20,000 images split 5:1:4"),
        "test": PublishedCounts(8000, None, "the CrowdPose paper: 20,000 images split 5:1:4"),
    }
