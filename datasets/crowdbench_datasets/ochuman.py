"""OCHuman (Zhang et al., CVPR 2019): heavily occluded people, COCO's 17 keypoints."""

from collections.abc import Mapping
from typing import Any

from crowdbench.coco.dataset import CocoFormatDataset, PublishedCounts
from crowdbench_datasets.keypoint_sets import COCO_17
from crowdbench_datasets.scoring_protocols import coco_protocol


class OCHuman(CocoFormatDataset):
    """OCHuman in COCO format. Image ids collide between val and test; file names do not."""

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
    # No source gives the number of persons per split.
    published = {  # noqa: RUF012  (declared a ClassVar by the base)
        "val": PublishedCounts(2500, None, "liruilong940607/OCHumanApi"),
        "test": PublishedCounts(2231, None, "liruilong940607/OCHumanApi"),
    }
    published_together = PublishedCounts(4731, 8110, "liruilong940607/OCHumanApi")

    @classmethod
    def explain_foreign_file(cls, content: Mapping[str, Any]) -> str | None:
        """Recognize OCHuman's own ``ochuman.json``: images contain their annotations, 19 keypoints each."""
        images = content.get("images")
        first = images[0] if isinstance(images, list) and images else None
        if not (isinstance(first, Mapping) and isinstance(first.get("annotations"), list)):
            return None
        if "keypoint_names" not in content and "keypoint_visible" not in content:
            return None
        return (
            "this is OCHuman's own format (ochuman.json), not COCO's: its images contain their annotations, "
            "with 19 keypoints each.\nUse ochuman_coco_format_val_range_0.00_1.00.json or "
            "ochuman_coco_format_test_range_0.00_1.00.json, or convert this file with OCHumanApi "
            "(github.com/liruilong940607/OCHumanApi)."
        )
