"""The same network, faster, for prediction only.

- Batch norms in eval mode are affine maps: they are folded into the convolutions before them.
- Kernels are laid out like the maps, with the channels together in memory.
- What is computed for each crop by itself can be compiled; what depends on how many persons stand in an image
  stays as it is, because each new number would be compiled anew.
"""

from itertools import pairwise

import torch
from torch import nn
from torch.nn.utils import fusion

Convolution = nn.Conv2d | nn.ConvTranspose2d


def accelerated(network: nn.Module, *, compiled: bool) -> nn.Module:
    """Rewrite a network in place; its outputs stay the same to rounding.

    Args:
        network: in eval mode, with its weights.
        compiled: compile its ``features``, or all of it if it has none.

    Returns:
        The network.
    """
    fold_batch_norms(network)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if compiled:
        name = "features" if hasattr(network, "features") else "forward"
        setattr(network, name, torch.compile(getattr(network, name), dynamic=True))
    return network


def fold_batch_norms(network: nn.Module) -> None:
    """Fold every batch norm that follows a convolution into it, in place.

    Pairs are found in `nn.Sequential`, where they stand one after the other, and in modules that name theirs
    in a class attribute ``folds``: pairs of attribute names, convolution first.
    """
    for module in network.modules():
        for before, after in _pairs(module):
            convolution, norm = module.get_submodule(before), module.get_submodule(after)
            if not isinstance(norm, nn.BatchNorm2d) or not isinstance(convolution, Convolution):
                continue  # folded before
            transposed = isinstance(convolution, nn.ConvTranspose2d)
            folded = fusion.fuse_conv_bn_eval(convolution, norm, transposed)
            setattr(module, before, folded)
            setattr(module, after, nn.Identity())


def _pairs(module: nn.Module) -> list[tuple[str, str]]:
    if isinstance(module, nn.Sequential):
        names = [name for name, _ in module.named_children()]
        return list(pairwise(names))
    return list(getattr(module, "folds", ()))
