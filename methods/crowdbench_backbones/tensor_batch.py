"""A base class of batches: PyTorch's loader pins their tensors, and `predict` and `loss` move them."""

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import torch


class TensorBatch:
    """A dataclass with tensors, which may also be in its lists and in dataclasses within it."""

    def to(self, device: "torch.device | str") -> Self:
        """A copy with all tensors on a device."""
        moved: Self = _changed(self, lambda tensor: tensor.to(device, non_blocking=True))
        return moved

    def pin_memory(self) -> Self:
        """A copy with all tensors in memory that a GPU can read by itself; PyTorch's loader calls this."""
        pinned: Self = _changed(self, lambda tensor: tensor.pin_memory())
        return pinned


def _changed(value: Any, change: "Callable[[torch.Tensor], torch.Tensor]") -> Any:
    import torch

    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, list):
        return [_changed(item, change) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: _changed(getattr(value, f.name), change) for f in fields(value)})
    return value
