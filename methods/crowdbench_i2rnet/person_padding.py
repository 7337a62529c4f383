"""Batch the persons of several images, padded to equal numbers.

Letters: S persons in the batch.
"""

from collections.abc import Sequence
from typing import TypedDict

import torch
from torch import Tensor

from crowdbench.errors import ShapeError


class Heatmaps(TypedDict):
    """What the networks return: heatmaps ``(S, K, H / 4, W / 4)`` of both stages."""

    intra: Tensor | None
    inter: Tensor


def require_same_persons(images: Tensor, masks: Tensor, lengths: Sequence[int]) -> None:
    """Raise ShapeError if inputs disagree on the number of persons."""
    if not len(images) == len(masks) == sum(lengths):
        raise ShapeError(
            f"{len(images)} crops, {len(masks)} masks and lengths {list(lengths)} "
            f"(sum {sum(lengths)}) must agree on the number of persons."
        )


def padded_rows(lengths: Sequence[int], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Every image with as many rows as the largest has; images without persons have none.

    Returns:
        rows: ``(images with persons, largest)`` int64, counting all rows.
        present: the same shape, bool, which of them are persons.
        real: ``(S,)`` int64, the rows that are persons.
    """
    # An image without persons has no keys to attend to: the softmax would give NaN.
    count = torch.tensor([length for length in lengths if length], dtype=torch.int64, device=device)
    present = torch.arange(max(lengths, default=0), device=device) < count[:, None]
    rows = torch.arange(present.numel(), device=device).view(present.shape)
    return rows, present, present.flatten().nonzero().squeeze(1)


def scattered(values: Tensor, size: int, rows: Tensor) -> Tensor:
    """Values at the given rows of a longer tensor of zeros."""
    return values.new_zeros(size, *values.shape[1:]).index_copy(0, rows, values)
