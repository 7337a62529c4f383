"""HRNet (Sun et al., "Deep High-Resolution Representation Learning for Human Pose Estimation", CVPR 2019).

Submodules carry the names of the authors' release, so that its checkpoints load with strict keys. Pose
networks built on HRNet inherit from the trunk instead of holding it, because in their checkpoints the trunk's
keys have no prefix. Trunks of the same plan with other branches (HRFormer) pass what differs.

Letters in shape comments: N crops, H and W of the input, C the width of the highest-resolution branch.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    """A convolution without bias that keeps the map's size, up to the stride."""
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut (He et al., CVPR 2016)."""

    folds = (("conv1", "bn1"), ("conv2", "bn2"))

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = conv(channels, channels)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = conv(channels, channels)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, H, W)`` to the same shape."""
        y = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(y))
        return functional.relu(y + x, inplace=True)


def basic_blocks(channels: int, count: int) -> nn.Sequential:
    """A branch of HRNet."""
    return nn.Sequential(*(BasicBlock(channels) for _ in range(count)))


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 around a shortcut; widens the map fourfold (He et al., CVPR 2016)."""

    expansion = 4
    folds = (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3"))

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        outputs = channels * self.expansion
        self.conv1 = conv(inputs, channels, kernel=1)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = conv(channels, channels)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = conv(channels, outputs, kernel=1)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = (
            nn.Identity()
            if inputs == outputs
            else nn.Sequential(conv(inputs, outputs, kernel=1), nn.BatchNorm2d(outputs))
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(N, inputs, H, W)`` to ``(N, 4 * channels, H, W)``."""
        y = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        y = functional.relu(self.bn2(self.conv2(y)), inplace=True)
        y = self.bn3(self.conv3(y))
        return functional.relu(y + self.downsample(x), inplace=True)


class FusionModule(nn.Module):
    """Parallel branches, followed by an exchange among all resolutions.

    Args:
        branches: one per resolution, the highest first.
        fuse_layers: ``fuse_layers[i][j]`` brings branch j's map to branch i's width and resolution; there are
            as many i as maps that leave the module.
    """

    def __init__(self, branches: nn.ModuleList, fuse_layers: nn.ModuleList) -> None:
        super().__init__()
        self.branches = branches
        self.fuse_layers = fuse_layers

    def forward(self, maps: Sequence[Tensor], wanted: Sequence[int] | None = None) -> list[Tensor]:
        """One map per branch to one map per output.

        Args:
            maps: ``(N, channels[i], H / 2^i, W / 2^i)``.
            wanted: compute these outputs only.
        """
        maps = [branch(x) for branch, x in zip(self.branches, maps, strict=True)]
        fused = []
        for target in range(len(self.fuse_layers)) if wanted is None else wanted:
            layers = self.fuse_layers[target]
            assert isinstance(layers, nn.ModuleList)
            total = layers[0](maps[0]) + layers[1](maps[1])
            for layer, x in zip(layers[2:], maps[2:], strict=True):
                total += layer(x)
            fused.append(functional.relu(total, inplace=True))
        return fused


def _strided(inputs: int, outputs: int) -> list[nn.Module]:
    return [conv(inputs, outputs, stride=2), nn.BatchNorm2d(outputs)]


def fusion(
    channels: Sequence[int],
    source: int,
    target: int,
    *,
    downsampling: Callable[[int, int], list[nn.Module]] = _strided,
    upsampling: str = "nearest",
) -> nn.Module:
    """Build the layers that bring branch `source`'s map to branch `target`'s width and resolution."""
    if source == target:
        return nn.Identity()
    if source > target:
        return nn.Sequential(
            conv(channels[source], channels[target], kernel=1),
            nn.BatchNorm2d(channels[target]),
            nn.Upsample(scale_factor=2 ** (source - target), mode=upsampling),
        )
    halvings = target - source
    steps: list[nn.Module] = []
    for step in range(halvings):
        last = step == halvings - 1
        width = channels[target] if last else channels[source]
        layers = downsampling(channels[source], width)
        steps.append(nn.Sequential(*layers) if last else nn.Sequential(*layers, nn.ReLU(inplace=True)))
    return nn.Sequential(*steps)


def _transition(before: Sequence[int], after: Sequence[int]) -> nn.ModuleList:
    """Makes the maps of a stage out of those of the stage before it; new branches halve the last one."""
    layers: list[nn.Module] = []
    for index, width in enumerate(after):
        if index < len(before):
            same = before[index] == width
            layers.append(nn.Identity() if same else nn.Sequential(*_conv_bn_relu(before[index], width)))
        else:
            layers.append(nn.Sequential(nn.Sequential(*_conv_bn_relu(before[-1], width, stride=2))))
    return nn.ModuleList(layers)


def _conv_bn_relu(inputs: int, outputs: int, stride: int = 1) -> list[nn.Module]:
    return [conv(inputs, outputs, stride=stride), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


# (channels of the branch, index of the branch, index of the module among all) to the branch
Branch = Callable[[int, int, int], nn.Sequential]
# (channels of all branches, source, target) to a layer
Fusion = Callable[[Sequence[int], int, int], nn.Module]


class HRNetTrunk(nn.Module):
    """HRNet without a head.

    Args:
        width: C; the branches have C, 2C, 4C, 8C channels.
        modules: fusion modules in stage 2, stage 3, ...; HRNet-W48-S has ``(1, 4)``, HRNet ``(1, 4, 3)``.
        blocks: basic blocks of each branch of a module.
        stem: channels of the two strided convolutions, and inside the bottlenecks.
        bottlenecks: of the first stage, whose map has four times as many channels as the stem.
        branch: makes the branches, if they are not basic blocks.
        fusion: makes the layers between branches, if they are not HRNet's.
        outputs: maps that leave the last module, the highest resolutions first; None for all.
    """

    folds = (("conv1", "bn1"), ("conv2", "bn2"))

    def __init__(
        self,
        width: int = 48,
        modules: Sequence[int] = (1, 4),
        blocks: int = 4,
        *,
        stem: int = 64,
        bottlenecks: int = 4,
        branch: Branch | None = None,
        fusion: Fusion = fusion,
        outputs: int | None = None,
    ) -> None:
        super().__init__()
        self.conv1 = conv(3, stem, stride=2)
        self.bn1 = nn.BatchNorm2d(stem)
        self.conv2 = conv(stem, stem, stride=2)
        self.bn2 = nn.BatchNorm2d(stem)
        widened = stem * Bottleneck.expansion
        self.layer1 = nn.Sequential(
            Bottleneck(stem, stem), *(Bottleneck(widened, stem) for _ in range(bottlenecks - 1))
        )
        branch = branch or (lambda channels, *_: basic_blocks(channels, blocks))
        widths = [[widened]] + [[width << i for i in range(2 + stage)] for stage in range(len(modules))]
        built, last = 0, sum(modules) - 1
        for stage, ((before, after), count) in enumerate(zip(pairwise(widths), modules, strict=True)):
            self.add_module(f"transition{stage + 1}", _transition(before, after))
            stage_modules = nn.ModuleList()
            for index in range(built, built + count):
                targets = len(after) if outputs is None or index < last else outputs
                stage_modules.append(
                    FusionModule(
                        nn.ModuleList(branch(channels, i, index) for i, channels in enumerate(after)),
                        nn.ModuleList(
                            nn.ModuleList(fusion(after, source, target) for source in range(len(after)))
                            for target in range(targets)
                        ),
                    )
                )
            self.add_module(f"stage{stage + 2}", stage_modules)
            built += count
        self.stages = len(modules)

    def trunk(self, images: Tensor, wanted: Sequence[int] | None = None) -> list[Tensor]:
        """Maps of all resolutions, the highest first.

        Args:
            images: ``(N, 3, H, W)``, normalized.
            wanted: indices of the resolutions that are needed. In eval mode the last module computes no
                others; in training it does, because a released checkpoint's running statistics saw them.

        Returns:
            ``(N, C * 2^i, H / 2^(i+2), W / 2^(i+2))`` for each wanted i.
        """
        x = functional.relu(self.bn1(self.conv1(images)), inplace=True)
        x = functional.relu(self.bn2(self.conv2(x)), inplace=True)  # (N, stem, H/4, W/4)
        maps = [self.layer1(x)]  # (N, 4 * stem, H/4, W/4)
        for stage in range(self.stages):
            transition = self.get_submodule(f"transition{stage + 1}")
            modules = list(self.get_submodule(f"stage{stage + 2}").children())
            assert isinstance(transition, nn.ModuleList)
            # A new branch grows out of the lowest resolution so far.
            maps = [layer(maps[min(i, len(maps) - 1)]) for i, layer in enumerate(transition)]
            for module in modules:
                skip = not self.training and stage == self.stages - 1 and module is modules[-1]
                maps = module(maps, wanted if skip else None)
        if wanted is not None and self.training:
            maps = [maps[i] for i in wanted]
        return maps
