"""Autocast to half precision, and the parts of a network that stay in float32."""

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from crowdbench.api.types import Precision

if TYPE_CHECKING:
    import torch


def autocast(device: "torch.device", precision: Precision) -> AbstractContextManager[object]:
    """The context in which a network computes with a precision."""
    import torch

    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16 if precision == "bf16" else torch.float16)
