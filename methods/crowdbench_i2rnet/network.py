"""I2R-Net, vanilla (Ding et al., "I²R-Net: Intra- and Inter-Human Relation Network for Multi-Person Pose
Estimation", IJCAI 2022): HRNet-W48-S features of every person, related to each other by a Transformer.

Letters: S persons in the batch, K keypoints, H and W of the input, D = 96 channels of a token.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from crowdbench.errors import ShapeError
from crowdbench_backbones.hrnet import HRNetTrunk
from crowdbench_i2rnet.encoder import Encoder, Group, group_by_count
from crowdbench_i2rnet.positions import PositionMaskEmbedding, sine_table

CHANNELS = 96
ENCODER_LAYERS = 6
# The tokens are the lowest resolution of the trunk: 1/4 by the stem, twice halved by the stages.
HALVINGS = 2


class I2RNetVanillaNetwork(HRNetTrunk):
    """Crops and position masks of all persons of some images to heatmaps.

    The trunk has no prefix in the released checkpoints, hence the inheritance.

    Args:
        keypoints: K.
        input_size: (height, width) of the crops; both divisible by 16.
        use_position_mask: whether persons are told where they stand. The weights exist either way.
    """

    def __init__(
        self, keypoints: int, input_size: tuple[int, int] = (256, 192), use_position_mask: bool = True
    ) -> None:
        height, width = input_size
        if height % 16 or width % 16:
            raise ShapeError(f"input_size {input_size}: height and width must be divisible by 16.")
        super().__init__(width=48, modules=(1, 4))
        self.use_position_mask = use_position_mask
        # Part of every released checkpoint, used by no forward pass.
        table = sine_table(height // 4, width // 4, CHANNELS)
        self.pos_embedding = nn.Parameter(table, requires_grad=False)
        self.position_embedding = PositionMaskEmbedding(CHANNELS, HALVINGS)
        self.reduce = nn.Conv2d(192, CHANNELS, kernel_size=1, bias=False)
        self.global_encoder = Encoder(ENCODER_LAYERS, CHANNELS)
        self.deconv_layers = nn.Sequential(
            nn.ConvTranspose2d(CHANNELS, CHANNELS, kernel_size=4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(CHANNELS),
            nn.ReLU(inplace=True),
        )
        self.final_layer = nn.Conv2d(CHANNELS, keypoints, kernel_size=1)
        self._initialise()

    def _initialise(self) -> None:
        """As the release: tiny normal kernels everywhere but in the encoder, which initialises itself."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(module.weight, std=0.001)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, images: Tensor, masks: Tensor, lengths: Sequence[int]) -> dict[str, Tensor | None]:
        """Estimate all persons; those of one image see each other and nobody else.

        In training, images are padded to equally many persons, because the released statistics of the batch
        norms in the mask embedding and the upsampling have seen the padding. It changes no output otherwise.

        Args:
            images: ``(S, 3, H, W)``, normalised crops, the persons of an image consecutive.
            masks: ``(S, 1, H, W)`` in [0, 1], where each person is in the whole image.
            lengths: persons of each image; they sum to S.

        Returns:
            ``"inter"``: heatmaps ``(S, K, H / 4, W / 4)``; ``"intra"``: None, there is no
            first stage.

        Raises:
            ShapeError: the three inputs disagree on S.
        """
        if not len(images) == len(masks) == sum(lengths):
            raise ShapeError(
                f"{len(images)} crops, {len(masks)} masks and lengths {list(lengths)} "
                f"(sum {sum(lengths)}) must agree on the number of persons."
            )
        features = self.reduce(self.trunk(images, wanted=[2])[0])  # (S, D, H/16, W/16)
        if self.training:
            groups, real = _padded(lengths, images.device)
            features = _scattered(features, groups[0].rows.numel(), real)
            masks = _scattered(masks, groups[0].rows.numel(), real)
        else:
            groups, real = group_by_count(lengths, images.device), None
        positions = None
        if self.use_position_mask or self.training:  # training moves the embedding's batch norms regardless
            positions = _tokens(self.position_embedding(masks))  # (S, L, D)
        tokens = self.global_encoder(
            _tokens(features), positions if self.use_position_mask else None, groups
        )  # (S, L, D)
        related = tokens.transpose(1, 2).reshape(features.shape)  # (S, D, H/16, W/16)
        # One deconvolution, applied twice with the same weights.
        heatmaps = self.final_layer(self.deconv_layers(self.deconv_layers(related)))
        return {"intra": None, "inter": heatmaps if real is None else heatmaps[real]}


def _tokens(maps: Tensor) -> Tensor:
    """``(S, D, h, w)`` to ``(S, h * w, D)``, row by row."""
    return maps.flatten(2).transpose(1, 2)


def _padded(lengths: Sequence[int], device: torch.device) -> tuple[list[Group], Tensor]:
    """Every image with as many rows as the largest has, and which rows of all those are persons."""
    count = torch.tensor(lengths, device=device)
    present = torch.arange(max(lengths), device=device) < count[:, None]
    rows = torch.arange(present.numel(), device=device).view(present.shape)
    return [Group(rows, present)], present.flatten().nonzero().squeeze(1)


def _scattered(values: Tensor, size: int, rows: Tensor) -> Tensor:
    """Values at the given rows of a longer tensor of zeros."""
    return values.new_zeros(size, *values.shape[1:]).index_copy(0, rows, values)
