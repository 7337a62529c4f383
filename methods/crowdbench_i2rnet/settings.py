"""Everything that changes the numbers of I2R-Net, and what the release sets it to on each dataset."""

from dataclasses import dataclass

# The release suppresses with sigmas of its own: the head has .062, but is scored with .079.
CROWDPOSE_NMS_SIGMAS = (
    *(0.079, 0.079, 0.072, 0.072, 0.062, 0.062),
    *(0.107, 0.107, 0.087, 0.087, 0.089, 0.089),
    *(0.062, 0.079),
)


@dataclass(frozen=True)
class Settings:
    """Settings of I2R-Net.

    Attributes:
        input_size: (height, width) of the crops; both divisible by 16.
        flip_test: average with the mirrored crop.
        blur_kernel: of DARK decoding, in heatmap pixels.
        confidence_threshold: keypoints at or below it do not count in a pose's score.
        nms_threshold: poses whose OKS with a better one is above it are dropped.
        nms_sigmas: per keypoint, for that OKS; None takes the dataset's.
        box_enlargement: how much larger than its box a crop is.
        use_position_mask: tell the network where in the image each person is.
        group_detections: let the persons of an image see each other when a detector found their boxes. The
            release runs every detection alone, so its published figures with detectors need False; persons
            with ground-truth boxes are always together.
        max_persons: in training, of an image's persons at most so many are used.
    """

    input_size: tuple[int, int] = (256, 192)
    flip_test: bool = True
    blur_kernel: int = 11
    confidence_threshold: float = 0.2
    nms_threshold: float = 0.9
    nms_sigmas: tuple[float, ...] | None = None
    box_enlargement: float = 1.25
    use_position_mask: bool = True
    group_detections: bool = False
    max_persons: int = 5

    def __post_init__(self) -> None:
        height, width = self.input_size
        if height < 16 or width < 16 or height % 16 or width % 16:
            raise ValueError(f"input_size is (height, width), both divisible by 16; got {self.input_size}.")
        if self.blur_kernel < 3 or self.blur_kernel % 2 == 0:
            raise ValueError(f"blur_kernel must be odd and at least 3, got {self.blur_kernel}.")
        if not self.box_enlargement > 0:
            raise ValueError(f"box_enlargement must be positive, got {self.box_enlargement}.")
        if self.max_persons < 1:
            raise ValueError(f"max_persons must be at least 1, got {self.max_persons}.")


# The release's vanilla configurations; a dataset that is not listed gets the defaults.
VANILLA = {
    "crowdpose": Settings(nms_sigmas=CROWDPOSE_NMS_SIGMAS, max_persons=5),
    "ochuman": Settings(use_position_mask=False, max_persons=3),
    "coco": Settings(max_persons=7),
}
