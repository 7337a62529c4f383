"""COCO keypoints (Lin et al., ECCV 2014), 17 keypoints."""

from crowdbench.api.server_file import ServerFile
from crowdbench.coco.dataset import CocoFormatDataset, PublishedCounts
from crowdbench_datasets.keypoint_sets import COCO_17
from crowdbench_datasets.scoring_protocols import coco_protocol


class COCO(CocoFormatDataset):
    """COCO 2017. The ground truth of test-dev2017 is not public; COCO's server scores it."""

    name = "coco"
    splits = ("train2017", "val2017", "test-dev2017")
    default_split = "val2017"
    keypoints = COCO_17
    protocol = coco_protocol("coco", COCO_17)
    annotation_files = {  # noqa: RUF012  (declared a ClassVar by the base)
        "train2017": ("annotations/person_keypoints_train2017.json", "annotations/coco_train.json"),
        "val2017": ("annotations/person_keypoints_val2017.json", "annotations/coco_val.json"),
        "test-dev2017": ("annotations/image_info_test-dev2017.json",),
    }
    # The images of test-dev2017 are a subset of test2017.
    image_folders = ("images/{split}", "{split}", "images/test2017", "test2017", "images")
    unannotated_splits = frozenset({"test-dev2017"})
    server_files = {  # noqa: RUF012  (declared a ClassVar by the base)
        "coco-server": ServerFile(
            images={"test-dev2017": 20288, "val2017": 5000},
            name="person_keypoints_{split}_{algorithm}_results",
            source="cocodataset.org, pages format-results and upload",
        )
    }
    published = {  # noqa: RUF012  (declared a ClassVar by the base)
        "train2017": PublishedCounts(118287, None, "cocodataset.org"),
        "val2017": PublishedCounts(5000, None, "cocodataset.org"),
    }
