"""Initialize a network from the weights of a part of it: a trunk or a first stage.

The release loads what happens to fit and leaves the rest random without a word. Here all that is said to come
from a file comes from it, or the file is refused; what its published files are known to lack, and never use,
is excepted by name.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from crowdbench.errors import WeightsError
from crowdbench.weights.checkpoint_file.state_dict import load_weights
from crowdbench.weights.checkpoint_file.tensors import converted
from crowdbench_backbones.networks.transpose_h import UNUSED_FUSIONS

# The parts of a network that a classifier has too.
TRUNK = ("conv1", "bn1", "conv2", "bn2", "layer1", "transition1", "stage2", "transition2", "stage3")
HRFORMER_TRUNK = (*TRUNK, "transition3", "stage4")
# Counters and tables that nothing has learnt: old files do not hold them.
NOT_LEARNT = ("num_batches_tracked", "relative_position_index")
_SHOWN = 8


def start_hrnet(network: nn.Module, state: Mapping[str, Tensor], source: str) -> list[str]:
    """Start a network on HRNet from ImageNet's weights of the trunk, or from weights of all of it.

    Args:
        network: changed in place.
        state: tensors by name.
        source: names the file in messages.

    Returns:
        The names that were set.

    Raises:
        WeightsError: they do not fit.
    """
    if _is_classifier(state, network, TRUNK):
        return load_trunk(network, state, source, TRUNK)
    return load_whole(network, state, source)


def start_transpose_h(network: nn.Module, state: Mapping[str, Tensor], source: str) -> list[str]:
    """The same for TransPose-H, by itself or in I2R-Net; unused layers may be extra or missing."""
    if _is_classifier(state, network, TRUNK):
        return load_trunk(network, state, source, TRUNK)
    own = network.state_dict()
    used = {
        name: value
        for name, value in state.items()
        if name in own or not name.startswith(("deconv_layers.", *UNUSED_FUSIONS))
    }
    return load_whole(network, used, source, may_lack=UNUSED_FUSIONS)


def start_hrformer(network: nn.Module, state: Mapping[str, Tensor], source: str) -> list[str]:
    """The same for HRFormer-B, by itself or in I2R-Net; a classifier's names lack ``backbone.``."""
    if any(name.startswith("keypoint_head.") for name in state):
        return load_whole(network, state, source)
    bare = {name.removeprefix("backbone."): value for name, value in state.items()}
    names = load_trunk(network.get_submodule("backbone"), bare, source, HRFORMER_TRUNK)
    return [f"backbone.{name}" for name in names]


def _is_classifier(state: Mapping[str, Tensor], network: nn.Module, trunk: Sequence[str]) -> bool:
    """Whether none of the weights is of this network but not of its trunk."""
    own = network.state_dict()
    return not any(name in own and _first(name) not in trunk for name in state)


def load_trunk(
    network: nn.Module, state: Mapping[str, Tensor], source: str, trunk: Sequence[str]
) -> list[str]:
    """Put a classifier's weights into the trunk of a network.

    Args:
        network: the trunk, with or without a head; changed in place.
        state: tensors by name; those that the trunk does not have are left out.
        source: names the file in messages.
        trunk: first parts of the names that the trunk's tensors have.

    Returns:
        The names that were set.

    Raises:
        WeightsError: weights of the trunk are missing, or of another shape.
    """
    own = {name: value for name, value in network.state_dict().items() if _first(name) in trunk}
    found = {name: value for name, value in state.items() if name in own}
    missing = [name for name in own if name not in found and not name.endswith(NOT_LEARNT)]
    differing = [
        f"{name} (file {tuple(value.shape)}, network {tuple(own[name].shape)})"
        for name, value in found.items()
        if value.shape != own[name].shape
    ]
    for what, names in (("lacks", missing), ("has in another shape", differing)):
        if names:
            more = f", … ({len(names) - _SHOWN} more)" if len(names) > _SHOWN else ""
            raise WeightsError(
                f"{source}: {what} {len(names)} of the {len(own)} tensors of this network's trunk: "
                f"{', '.join(names[:_SHOWN])}{more}.\n"
                "To begin with, this network takes the ImageNet weights of its trunk, or weights of its own."
            )
    fitting = {name: converted(name, value, own[name], source) for name, value in found.items()}
    network.load_state_dict(fitting, strict=False)
    return list(found)


def load_whole(
    network: nn.Module, state: Mapping[str, Tensor], source: str, *, may_lack: tuple[str, ...] = ()
) -> list[str]:
    """Put weights into all of a network.

    Args:
        network: changed in place.
        state: tensors by name.
        source: names the file in messages.
        may_lack: tensors whose names begin so stay as they are if they are not given.

    Returns:
        The names that were set.

    Raises:
        WeightsError: weights are missing, unexpected, or of another shape.
    """
    kept = {name: value for name, value in network.state_dict().items() if name.startswith(may_lack)}
    load_weights(network, {**kept, **state}, source)
    return list(state)


def _first(name: str) -> str:
    return name.partition(".")[0]
