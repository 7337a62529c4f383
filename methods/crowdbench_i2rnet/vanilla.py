"""I2R-Net, vanilla: HRNet-W48-S features of every person, related to each other by a Transformer.

Ding et al., "I²R-Net: Intra- and Inter-Human Relation Network for Multi-Person Pose Estimation", IJCAI 2022.

Letters: S persons in the batch, K keypoints, H and W of the input, D = 96 channels of a token.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from crowdbench_backbones.networks.chunking import PORTION, in_chunks
from crowdbench_backbones.networks.hrnet import HRNetTrunk
from crowdbench_backbones.networks.input_sizes import require_multiple
from crowdbench_backbones.networks.position_encoding import sine_table
from crowdbench_backbones.networks.transformer import Encoder, Group, as_map, as_tokens, group_by_count
from crowdbench_i2rnet.mask_embedding import ConvEmbedding
from crowdbench_i2rnet.person_padding import Heatmaps, padded_rows, require_same_persons, scattered
from crowdbench_i2rnet.upsampling import shared_deconvolution

CHANNELS = 96
# The tokens are the lowest resolution of the trunk: 1/4 by the stem, twice halved by the stages.
HALVINGS = 2


class VanillaNetwork(HRNetTrunk):
    """Crops and position masks of all persons of some images to heatmaps.

    The trunk has no prefix in the released checkpoints, hence the inheritance.

    Args:
        keypoints: K.
        input_size: (height, width) of the crops; both divisible by 16.
        relation_layers: of the encoder.
        use_position_mask: whether to add the embedded position masks. The weights exist either way.
    """

    def __init__(
        self,
        keypoints: int,
        input_size: tuple[int, int] = (256, 192),
        relation_layers: int = 6,
        use_position_mask: bool = True,
    ) -> None:
        require_multiple(input_size, 16)
        super().__init__(width=48, modules=(1, 4))
        self.use_position_mask = use_position_mask
        # Part of every released checkpoint, used by no forward pass.
        table = sine_table(input_size[0] // 4, input_size[1] // 4, CHANNELS)
        self.pos_embedding = nn.Parameter(table, requires_grad=False)
        self.position_embedding = ConvEmbedding(CHANNELS, HALVINGS)
        self.reduce = nn.Conv2d(192, CHANNELS, kernel_size=1, bias=False)
        self.global_encoder = Encoder(relation_layers, CHANNELS)
        self.deconv_layers = shared_deconvolution(CHANNELS)
        self.final_layer = nn.Conv2d(CHANNELS, keypoints, kernel_size=1)
        self._initialise()

    def _initialise(self) -> None:
        """As the release: tiny normal kernels everywhere but in the encoder, which initialises itself."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(module.weight, std=0.001)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def features(self, images: Tensor) -> Tensor:
        """What is computed for each crop by itself: ``(S, 3, H, W)`` to ``(S, D, H / 16, W / 16)``."""
        features: Tensor = self.reduce(self.trunk(images, wanted=[2])[0])
        return features

    def forward(
        self, images: Tensor, masks: Tensor, lengths: Sequence[int], portion: int = PORTION
    ) -> Heatmaps:
        """Estimate all persons; attention is among the persons of one image.

        In training, images are padded to equally many persons, because the released statistics of the batch
        norms in the mask embedding and the upsampling have seen the padding. It changes no output otherwise.

        Args:
            images: ``(S, 3, H, W)``, normalized crops, the persons of an image consecutive.
            masks: ``(S, 1, H, W)`` in [0, 1], where each person is in the whole image.
            lengths: persons of each image; they sum to S.
            portion: what is computed for each crop by itself is computed for so many at a time, but in
                training.

        Returns:
            ``"inter"``: heatmaps ``(S, K, H / 4, W / 4)``; ``"intra"``: None, there is no
            first stage.

        Raises:
            ShapeError: the three inputs disagree on S.
        """
        require_same_persons(images, masks, lengths)
        size = None if self.training else portion
        features = in_chunks(self.features, images, size)
        if self.training:
            rows, present, real = padded_rows(lengths, images.device)
            count = rows.numel()
            groups = [Group(rows, present, in_order=True)] if count else []
            features, masks = scattered(features, count, real), scattered(masks, count, real)
        else:
            groups, real = group_by_count(lengths, images.device), None
        positions = None
        if self.use_position_mask or self.training:  # training moves the embedding's batch norms regardless
            positions = as_tokens(in_chunks(self.position_embedding, masks, size))
        tokens = self.global_encoder(
            as_tokens(features), positions if self.use_position_mask else None, groups
        )  # (S, L, D)
        related = as_map(tokens, features.shape[-2:])

        def upsampled(maps: Tensor) -> Tensor:  # one deconvolution, applied twice with the same weights
            heatmaps: Tensor = self.final_layer(self.deconv_layers(self.deconv_layers(maps)))
            return heatmaps

        heatmaps = in_chunks(upsampled, related, size)
        return {"intra": None, "inter": heatmaps if real is None else heatmaps[real]}
