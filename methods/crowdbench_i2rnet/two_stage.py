"""I2R-Net on a single-person network (Ding et al., IJCAI 2022, section 3).

Intra-human relations within every crop, then inter-human relations among the persons of an image.

Letters: S persons in the batch, K keypoints, H and W of the input, D channels of the first stage's features.
"""

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from crowdbench_backbones.networks.chunking import PORTION, in_chunks
from crowdbench_backbones.networks.hrformer import HRFormerPose
from crowdbench_backbones.networks.hrnet_pose import HRNetPose, hrnet_tiny, start_at_zero
from crowdbench_backbones.networks.input_sizes import require_multiple
from crowdbench_backbones.networks.transformer import Encoder, as_map, as_tokens, group_by_count
from crowdbench_backbones.networks.transpose_h import TransPoseHNetwork
from crowdbench_i2rnet.mask_embedding import Kind, halved, mask_embedding
from crowdbench_i2rnet.person_padding import Heatmaps, padded_rows, require_same_persons, scattered
from crowdbench_i2rnet.upsampling import Deconvolutions, shared_deconvolution

# The released networks pool the features until their rows are about so many tokens long.
TOKENS_ACROSS = 12


class TwoStageNetwork(nn.Module):
    """Crops and position masks of all persons of some images to heatmaps of both stages.

    Args:
        first_stage: a single-person network with `channels`, `features` and `heatmaps`.
        keypoints: K.
        input_size: (height, width) of the crops; both divisible by 16.
        relation_layers: of the encoder among persons.
        embedding: how position masks are embedded.
        use_position_mask: whether to add the embedded position masks. The weights exist either way.
        shared_upsampling: one deconvolution applied twice, instead of two.
        tokens_across: of a person; the features are pooled to as many columns, or up to twice as many.
    """

    def __init__(
        self,
        first_stage: TransPoseHNetwork | HRFormerPose | HRNetPose,
        keypoints: int,
        input_size: tuple[int, int] = (256, 192),
        *,
        relation_layers: int = 2,
        embedding: Kind = "conv",
        use_position_mask: bool = True,
        shared_upsampling: bool = False,
        tokens_across: int = TOKENS_ACROSS,
    ) -> None:
        super().__init__()
        require_multiple(input_size, 16)
        channels = first_stage.channels
        self.use_position_mask = use_position_mask
        self.halvings = (input_size[1] // 4 // tokens_across).bit_length() - 1
        self.singleformer = first_stage
        self.multi_position_embedding = mask_embedding(embedding, channels, self.halvings)
        self.multi_global_encoder = Encoder(relation_layers, channels)
        if shared_upsampling:
            self.deconv_layers = shared_deconvolution(channels)
        else:
            self.upsample_layer = Deconvolutions(channels, self.halvings)
        self.shared_upsampling = shared_upsampling
        self.final_layer = nn.Conv2d(channels, keypoints, kernel_size=1)

    def features(self, images: Tensor) -> Tensor:
        """What is computed for each crop by itself: ``(S, 3, H, W)`` to ``(S, D, H / 4, W / 4)``."""
        return self.singleformer.features(images)

    def forward(
        self, images: Tensor, masks: Tensor, lengths: Sequence[int], portion: int = PORTION
    ) -> Heatmaps:
        """Estimate all persons; attention is among the persons of one image.

        Args:
            images: ``(S, 3, H, W)``, normalized crops, the persons of an image consecutive.
            masks: ``(S, 1, H, W)`` in [0, 1], where each person is in the whole image.
            lengths: persons of each image; they sum to S.
            portion: what is computed for each crop by itself is computed for so many at a time, but in
                training.

        Returns:
            ``"intra"`` and ``"inter"``: heatmaps ``(S, K, H / 4, W / 4)`` of the first and the second stage.

        Raises:
            ShapeError: the three inputs disagree on S.
        """
        require_same_persons(images, masks, lengths)
        size = None if self.training else portion
        features = in_chunks(self.features, images, size)
        pooled = halved(features, self.halvings)  # (S, D, h, w)
        tokens = self.multi_global_encoder(
            as_tokens(pooled), self._positions(masks, lengths, size), group_by_count(lengths, images.device)
        )
        related = as_map(tokens, pooled.shape[-2:])
        upsampled = in_chunks(self._upsampled, related, size)
        return {
            "intra": self.singleformer.heatmaps(features),
            "inter": self.final_layer(features + upsampled),
        }

    def _positions(self, masks: Tensor, lengths: Sequence[int], size: int | None) -> Tensor | None:
        """``(S, h * w, D)``, or None without position masks."""
        if not self.use_position_mask:
            return None
        if not self.training:
            return as_tokens(in_chunks(self.multi_position_embedding, masks, size))
        # The released batch norms have seen images padded to equally many persons, with empty masks.
        rows, _, real = padded_rows(lengths, masks.device)
        return as_tokens(self.multi_position_embedding(scattered(masks, rows.numel(), real)))[real]

    def _upsampled(self, related: Tensor) -> Tensor:
        """``(S, D, h, w)`` to ``(S, D, H / 4, W / 4)``."""
        steps: Sequence[Callable[[Tensor], Tensor]] = (
            [self.deconv_layers] * self.halvings if self.shared_upsampling else [self.upsample_layer]
        )
        for step in steps:
            related = step(related)
        return related


def two_stage_tiny(
    keypoints: int,
    input_size: tuple[int, int] = (128, 96),
    relation_layers: int = 2,
    use_position_mask: bool = True,
) -> TwoStageNetwork:
    """`hrnet_tiny` and a second stage on its 32 channels: 1.8 million parameters, heatmaps start near 0."""
    network = TwoStageNetwork(
        hrnet_tiny(keypoints, input_size),
        keypoints,
        input_size,
        relation_layers=relation_layers,
        use_position_mask=use_position_mask,
        tokens_across=6,  # a sixteenth of the crop, as in the large networks
    )
    start_at_zero(network.final_layer)
    return network
