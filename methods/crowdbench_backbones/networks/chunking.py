"""Compute many persons in chunks, so that memory does not grow with the crowd."""

from collections.abc import Callable

import torch
from torch import Tensor

PORTION = 64


def in_chunks(function: Callable[[Tensor], Tensor], x: Tensor, size: int | None = PORTION) -> Tensor:
    """Apply what is independent for each person to so many persons at a time.

    Args:
        function: of ``(n, ...)``, for any n.
        x: ``(S, ...)``.
        size: how many, at most; None for all at once, which batch norms in training need.
    """
    if size is None or len(x) <= size:
        return function(x)
    return torch.cat([function(portion) for portion in torch.split(x, size)])
