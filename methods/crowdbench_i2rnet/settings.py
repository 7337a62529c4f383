"""Settings of I2R-Net, and the release's values on each dataset."""

from dataclasses import dataclass

from crowdbench_backbones.top_down.settings import (
    CROWDPOSE_NMS_SIGMAS,
    TINY_BLUR,
    TINY_SIZE,
    TopDownSettings,
    require_count,
    require_divisible,
)
from crowdbench_i2rnet.mask_embedding import Kind


@dataclass(frozen=True)
class Settings(TopDownSettings):
    """Settings of I2R-Net; see `TopDownSettings` for the others.

    Attributes:
        use_position_mask: tell the network where in the image each person is. The weights for it are in every
            released checkpoint; six of the ten released networks do not use them.
        shift_position_mask: move masks by half a pixel along every side of the image that is odd, as the
            release does; False leaves them where the boxes are.
        group_detections: let the persons of an image see each other when a detector found their boxes. The
            release runs every detection alone, so its published figures with detectors need False; persons
            with ground-truth boxes are always together.
        relation_layers: of the encoder among persons.
        max_persons: in training, of an image's persons at most so many are used.
    """

    use_position_mask: bool = True
    shift_position_mask: bool = True
    group_detections: bool = False
    relation_layers: int = 6
    max_persons: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count("relation_layers", self.relation_layers)
        if self.max_persons < 1:
            raise ValueError(f"max_persons must be at least 1, got {self.max_persons}.")


@dataclass(frozen=True)
class TransPoseSettings(Settings):
    """Settings of I2R-Net on TransPose-H.

    Attributes:
        intra_layers: of TransPose-H's own encoder.
        mask_embedding: how position masks are embedded: two convolutions, or the head of a ResNet.
        shared_upsampling: one deconvolution applied twice, instead of two.
    """

    use_position_mask: bool = False
    relation_layers: int = 2
    intra_layers: int = 4
    mask_embedding: Kind = "conv"
    shared_upsampling: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count("intra_layers", self.intra_layers)


@dataclass(frozen=True)
class HRFormerSettings(Settings):
    """Settings of I2R-Net on HRFormer-B.

    Attributes:
        mask_embedding: see `TransPoseSettings`.
        relative_position_bias, mask_window_padding: see
            `crowdbench_backbones.top_down.settings.HRFormerSettings`.
    """

    use_position_mask: bool = False
    relation_layers: int = 2
    mask_embedding: Kind = "res"
    relative_position_bias: bool = False
    mask_window_padding: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        require_divisible(self.input_size, 32)


@dataclass(frozen=True)
class TinySettings(Settings):
    """Settings of I2R-Net on the tiny HRNet; the release has no such network."""

    input_size: tuple[int, int] = TINY_SIZE
    blur_kernel: int = TINY_BLUR
    relation_layers: int = 2
    max_persons: int = 6


# The release's configurations; a dataset that is not listed gets the defaults.
VANILLA = {
    "crowdpose": Settings(nms_sigmas=CROWDPOSE_NMS_SIGMAS, max_persons=5),
    "ochuman": Settings(use_position_mask=False, max_persons=3),
    "coco": Settings(max_persons=7),
}
TRANSPOSE = {
    "crowdpose": TransPoseSettings(nms_sigmas=CROWDPOSE_NMS_SIGMAS, max_persons=6),
    "ochuman": TransPoseSettings(use_position_mask=True, mask_embedding="res", max_persons=3),
    "coco": TransPoseSettings(
        use_position_mask=True, intra_layers=6, relation_layers=4, shared_upsampling=True, max_persons=4
    ),
}
HRFORMER = {
    "crowdpose": HRFormerSettings(nms_sigmas=CROWDPOSE_NMS_SIGMAS, max_persons=4),
    "ochuman": HRFormerSettings(max_persons=3),
    "coco": HRFormerSettings(max_persons=2),
}
TINY = {"crowdpose": TinySettings(nms_sigmas=CROWDPOSE_NMS_SIGMAS)}
