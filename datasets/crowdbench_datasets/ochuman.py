"""OCHuman (Zhang et al., CVPR 2019): heavily occluded people, COCO's 17 keypoints."""

from crowdbench.coco_format import CocoFormatDataset, PublishedCounts
from crowdbench_datasets.keypoint_sets import COCO_17
from crowdbench_datasets.protocols import coco_protocol


class OCHuman(CocoFormatDataset):
    """OCHuman as its authors' converter writes it.

    Image ids collide between val and test; file names do not.
    """

    name = "ochuman"
    splits = ("val", "test")
    default_split = "test"
    keypoints = COCO_17
    protocol = coco_protocol("ochuman", COCO_17)
    annotation_files = {  # noqa: RUF012  (declared a ClassVar by the base)
        split: (
            f"ochuman_coco_format_{split}_range_0.00_1.00.json",
            f"annotations/ochuman_coco_format_{split}_range_0.00_1.00.json",
            f"annotations/ochuman_{split}.json",
        )
        for split in splits
    }
    # No source tells how many persons are in each.
    published = {  # noqa: RUF012  (declared a ClassVar by the base)
        "val": PublishedCounts(2500, None, "liruilong940607/OCHumanApi"),
        "test": PublishedCounts(2231, None, "liruilong940607/OCHumanApi"),
    }
    published_together = PublishedCounts(4731, 8110, "liruilong940607/OCHumanApi")
