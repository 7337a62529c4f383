"""Fuse and optimize a network for inference.

- Batch norms in eval mode are affine maps: they are folded into the convolutions before them.
- Kernels are laid out like the maps, with the channels together in memory.
- Products and attention are computed by what is fastest on the device
  (`crowdbench_backbones.networks.cpu_kernels`).
- What is computed for each crop by itself can be compiled; what depends on how many persons stand in an image
  stays as it is, because each new number would be compiled anew.
"""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils import fusion

from crowdbench.api.types import Precision
from crowdbench_backbones.networks.cpu_kernels import ProcessorOperations

Convolution = nn.Conv2d | nn.ConvTranspose2d
TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def optimize(network: nn.Module, *, precision: Precision, compiled: bool) -> nn.Module:
    """Rewrite a network in place; its outputs stay the same to rounding.

    Args:
        network: in eval mode, with its weights, on its device.
        precision: under autocast to which it will run.
        compiled: compile its ``features``, or all of it if it has none.

    Returns:
        The network.
    """
    fold_batch_norms(network)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    on_processor = next(network.parameters()).device.type == "cpu"
    if on_processor and torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        _use_processor_operations(network)
    if precision != "fp32":
        _cast_weights(network, TYPES[precision])
    if compiled:
        name = "features" if hasattr(network, "features") else "forward"
        setattr(network, name, _compiled(getattr(network, name)))
    return network


def _compiled(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Compile for any number of crops of one size."""
    # Weights do not change any more: kernels can be laid out once.
    fast = torch.compile(function, options={"freezing": True})

    def for_any_number(crops: Tensor) -> Tensor:
        torch._dynamo.maybe_mark_dynamic(crops, 0)
        return fast(crops)

    return for_any_number


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
            setattr(module, before, _folded(convolution, norm))
            setattr(module, after, nn.Identity())


def _pairs(module: nn.Module) -> list[tuple[str, str]]:
    if isinstance(module, nn.Sequential):
        names = [name for name, _ in module.named_children()]
        return list(pairwise(names))
    return list(getattr(module, "folds", ()))


def _folded(convolution: nn.Conv2d | nn.ConvTranspose2d, norm: nn.BatchNorm2d) -> nn.Module:
    """Computed in float64: rounded once, the new kernels cost the outputs no accuracy."""
    kind = convolution.weight.dtype
    transposed = isinstance(convolution, nn.ConvTranspose2d)
    folded = fusion.fuse_conv_bn_eval(convolution.double(), norm.double(), transposed)
    return folded.to(kind)


def _use_processor_operations(network: nn.Module) -> None:
    operations = ProcessorOperations()
    for module in network.modules():
        if hasattr(module, "operations"):
            module.operations = operations  # type: ignore[assignment]  # no Module, Tensor or Parameter


def _cast_weights(network: nn.Module, kind: torch.dtype) -> None:
    """Cast once what autocast would cast in every call; norms stay in float32, as under autocast."""
    norms = (nn.LayerNorm, nn.BatchNorm1d, nn.BatchNorm2d)
    for module in network.modules():
        if isinstance(module, norms):
            continue
        for parameter in module.parameters(recurse=False):
            if parameter.requires_grad:  # fixed tables are added, not multiplied
                parameter.data = parameter.data.to(kind)
