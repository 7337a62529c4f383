"""Check that tensors can be weights: dense, numeric, and no larger than the file they came from."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from crowdbench.errors import WeightsError
from crowdbench.system.text import in_bytes, plain
from crowdbench.weights.checkpoint_file.unpickling import StoredArray

if TYPE_CHECKING:
    from torch import Tensor

# Memory that views claim beyond what is stored: one number can be seen as a tensor of any size.
_MOST_REPEATED = 256 << 20


def plain_tensors(state: "Mapping[str, Tensor | StoredArray]", path: Path) -> "dict[str, Tensor]":
    """Convert weights to ordinary tensors on the CPU.

    Args:
        state: the contents of a checkpoint, by name.
        path: the file's name in messages.

    Raises:
        WeightsError: a tensor is of a kind that cannot be weights, or holds NaN; names it.
    """
    found = {name: _plain_tensor(name, value, path) for name, value in state.items()}
    repeated = 0
    for name, tensor in found.items():
        repeated += max(0, tensor.numel() * tensor.element_size() - tensor.untyped_storage().nbytes())
        if repeated > _MOST_REPEATED:
            raise WeightsError(
                f"{path}: {plain(name)}, {_shape(tensor)}, is a small piece of memory seen many times over; "
                f"of such tensors no more than {in_bytes(_MOST_REPEATED)} are read."
            )
    for name, tensor in found.items():
        _refuse_nan(name, tensor, path)
    return found


def _plain_tensor(name: str, value: "Tensor | StoredArray", path: Path) -> "Tensor":
    import torch

    if isinstance(value, StoredArray):
        return _of_array(name, value, path)
    kind = _odd_kind(value)
    if kind is not None:
        raise WeightsError(
            f"{path}: {plain(name)} is {kind}, and weights are plain dense tensors. Save the network's "
            "weights again in that form (safetensors holds no other)."
        )
    return value.detach() if isinstance(value, torch.nn.Parameter) else value


def _odd_kind(tensor: "Tensor") -> str | None:
    import torch

    kinds = (torch.Tensor, torch.nn.Parameter, torch.nn.Buffer)
    found = {
        "a nested tensor": tensor.is_nested,
        "a meta tensor, which has a shape and no numbers": tensor.is_meta,
        f"sparse ({str(tensor.layout).removeprefix('torch.')})": tensor.layout != torch.strided,
        f"quantized ({_kind(tensor)})": tensor.is_quantized,
        f"of a class of its own, {type(tensor).__qualname__}": type(tensor) not in kinds,
        f"on the device {tensor.device}": tensor.device.type != "cpu",
    }
    return next((words for words, is_so in found.items() if is_so), None)


def _of_array(name: str, stored: StoredArray, path: Path) -> "Tensor":
    import torch

    try:
        return torch.from_numpy(stored.array().copy())
    except (TypeError, ValueError) as error:
        raise WeightsError(
            f"{path}: {plain(name)} is a NumPy array that cannot be a tensor ({error})."
        ) from error


def _refuse_nan(name: str, tensor: "Tensor", path: Path) -> None:
    if not (tensor.is_floating_point() or tensor.is_complex()) or _surely_finite(tensor):
        return
    wide = tensor if tensor.element_size() > 1 else tensor.float()  # kinds of 8 bits know no comparison
    count = int(wide.isnan().sum())
    if count:
        raise WeightsError(
            f"{path}: {plain(name)} holds NaN ({count} of {tensor.numel()} numbers): these weights are "
            "broken. Take the checkpoint before them, or fetch the file again."
        )


def _surely_finite(tensor: "Tensor") -> bool:
    """A quick look: where the sum is finite, all numbers are. Where it is not, it may have overflowed."""
    import torch

    return bool(torch.isfinite(tensor.sum(dtype=None if tensor.element_size() > 1 else torch.float32)))


def finite(tensor: "Tensor") -> "Tensor":
    """Which numbers are finite: a boolean tensor of the same shape."""
    import torch

    wide = tensor if tensor.element_size() > 1 or not tensor.is_floating_point() else tensor.float()
    return torch.isfinite(wide)


def _kind(tensor: "Tensor") -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _shape(tensor: "Tensor") -> str:
    shape = tuple(tensor.shape)
    return f"{shape}" if len(shape) <= 8 else f"of {len(shape)} axes"


def converted(name: str, tensor: "Tensor", own: "Tensor", source: str) -> "Tensor":
    """A tensor of a file as the kind of number that the network has there.

    Floating-point numbers are rounded where the network's have fewer bits. Whole numbers stay what they are,
    whatever they were written as: counters of batches come as floats from networks that were cast.

    Args:
        name: of the tensor.
        tensor: of the file, as large as the network's.
        own: the network's.
        source: names the file in messages.

    Raises:
        WeightsError: it is of another kind, or holds a number that is infinite, or would be.
    """
    import torch

    kinds = _family(tensor), _family(own)
    if kinds in (("float", "float"), ("complex", "complex")):
        # Eight bits mean nothing without the scale that belongs to them.
        if tensor.dtype == own.dtype or tensor.element_size() > 1:
            return _without_infinities(name, tensor, tensor.to(own.dtype), own, source)
    elif kinds in (("int", "int"), ("bool", "bool"), ("float", "int"), ("int", "bool")):
        found = tensor.to(own.dtype)
        if torch.equal(found.to(tensor.dtype), tensor):
            return found
    raise WeightsError(
        f"{source}: {plain(name)} is {_kind(tensor)}, and the network's is {_kind(own)}: these are not the "
        "numbers that a training wrote. Save the weights as they were trained."
    )


def _family(tensor: "Tensor") -> str:
    import torch

    if tensor.is_floating_point():
        return "float"
    if tensor.is_complex():
        return "complex"
    return "bool" if tensor.dtype == torch.bool else "int"


def rounding(state: "Mapping[str, Tensor]", own: "Mapping[str, Tensor]") -> str | None:
    """What `converted` does to floating-point numbers of another width, in words; None for nothing."""
    pairs = {
        (_kind(tensor), _kind(own[name]))
        for name, tensor in state.items()
        if name in own and tensor.is_floating_point() and tensor.dtype != own[name].dtype
    }
    if not pairs:
        return None
    return "; ".join(f"{given} numbers became {kept}" for given, kept in sorted(pairs))


def _without_infinities(name: str, tensor: "Tensor", found: "Tensor", own: "Tensor", source: str) -> "Tensor":
    """Masks have infinities, and then the new network has the same; nothing else may."""
    import torch

    if _surely_finite(found):
        return found
    bad = ~finite(found)
    if bool(bad.any()) and not torch.equal(found, own.detach().to("cpu")):
        meant = finite(tensor)
        count = int((bad & meant).sum())
        if count:
            largest = float(tensor[meant].abs().max())
            raise WeightsError(
                f"{source}: {plain(name)} holds {count} numbers up to {largest:.3g}, too large for the "
                f"network's {_kind(own)}: these weights are broken."
            )
        raise WeightsError(
            f"{source}: {plain(name)} holds infinity ({int(bad.sum())} of {found.numel()} numbers): these "
            "weights are broken. Take the checkpoint before them, or fetch the file again."
        )
    return found
