"""The Transformer encoder of I2R-Net (Ding et al., IJCAI 2022): post-norm, positions added in every layer.

Persons are rows of a flat tensor; a `Group` says which rows stand in one picture. Attention is over all
tokens of an image's persons, everything else is per token, so padding is needed only for its
side effects.

Letters: S persons of the batch, L tokens of a person, D channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Group:
    """Images of equally many persons, to be attended in one call.

    Attributes:
        rows: ``(g, n)`` int64: image g's persons are these rows of the flat batch.
        present: ``(g, n)`` bool, false for a row that pads an image; None if none does.
    """

    rows: Tensor
    present: Tensor | None = None


def group_by_count(lengths: Sequence[int], device: torch.device) -> list[Group]:
    """Group images by their number of persons: attention without padding and without a loop over images.

    Args:
        lengths: persons of each image; an image's persons are consecutive rows. Zeros are skipped.
        device: where the indices are wanted.
    """
    starts: dict[int, list[int]] = {}
    start = 0
    for length in lengths:
        starts.setdefault(length, []).append(start)
        start += length
    return [
        Group(torch.tensor(first, device=device)[:, None] + torch.arange(count, device=device))
        for count, first in starts.items()
        if count > 0
    ]


class SelfAttention(nn.Module):
    """Multi-head self-attention with the parameters of `torch.nn.MultiheadAttention`."""

    def __init__(self, channels: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * channels, channels))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * channels))
        self.out_proj = nn.Linear(channels, channels)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, x: Tensor, positions: Tensor | None, groups: Sequence[Group]) -> Tensor:
        """Attend within each image.

        Args:
            x: ``(S, L, D)``.
            positions: ``(S, L, D)``, added to queries and keys, not to values; or None.
            groups: the images.

        Returns:
            ``(S, L, D)``.
        """
        placed = x if positions is None else x + positions
        q_weight, k_weight, v_weight = self.in_proj_weight.chunk(3)
        q_bias, k_bias, v_bias = self.in_proj_bias.chunk(3)
        queries = functional.linear(placed, q_weight, q_bias)
        keys = functional.linear(placed, k_weight, k_bias)
        values = functional.linear(x, v_weight, v_bias)
        attended = torch.empty_like(values)
        for group in groups:
            attended[group.rows.flatten()] = self._attend(queries, keys, values, group)
        result: Tensor = self.out_proj(attended)
        return result

    def _attend(self, queries: Tensor, keys: Tensor, values: Tensor, group: Group) -> Tensor:
        images, persons = group.rows.shape
        tokens, channels = values.shape[1:]

        def split(x: Tensor) -> Tensor:  # → (g, heads, n * L, D / heads)
            x = x[group.rows].reshape(images, persons * tokens, self.heads, channels // self.heads)
            return x.transpose(1, 2)

        mask = None
        if group.present is not None:
            mask = group.present.repeat_interleave(tokens, dim=1)[:, None, None, :]  # (g, 1, 1, n * L)
        mixed = functional.scaled_dot_product_attention(
            split(queries),
            split(keys),
            split(values),
            attn_mask=mask,
            dropout_p=self.dropout if self.training else 0.0,
        )
        return mixed.transpose(1, 2).reshape(images * persons, tokens, channels)


class EncoderLayer(nn.Module):
    """Self-attention and a two-layer perceptron, each added to its input, then normalised."""

    def __init__(self, channels: int, hidden: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = SelfAttention(channels, heads, dropout)
        self.linear1 = nn.Linear(channels, hidden)
        self.linear2 = nn.Linear(hidden, channels)
        self.norm1 = nn.LayerNorm(channels)
        self.norm2 = nn.LayerNorm(channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, positions: Tensor | None, groups: Sequence[Group]) -> Tensor:
        """``(S, L, D)`` to the same shape; see `SelfAttention.forward`."""
        x = self.norm1(x + self.dropout(self.self_attn(x, positions, groups)))
        hidden = self.dropout(functional.relu(self.linear1(x), inplace=True))
        y: Tensor = self.norm2(x + self.dropout(self.linear2(hidden)))
        return y


class Encoder(nn.Module):
    """A stack of encoder layers, without a final norm.

    Args:
        layers: how many.
        channels: D.
        hidden: channels inside the perceptron.
        heads: of the attention.
        dropout: on attention weights, and on everything that is added.
    """

    def __init__(
        self, layers: int, channels: int, hidden: int = 192, heads: int = 1, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(channels, hidden, heads, dropout) for _ in range(layers))
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)

    def forward(self, x: Tensor, positions: Tensor | None, groups: Sequence[Group]) -> Tensor:
        """``(S, L, D)`` to the same shape; see `SelfAttention.forward`."""
        for layer in self.layers:
            x = layer(x, positions, groups)
        return x
