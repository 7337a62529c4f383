"""The Transformer encoder that TransPose and I2R-Net share: post-norm, positions added in every layer.

It is DETR's (Carion et al., ECCV 2020). Persons are rows of a flat tensor; a `Group` says which rows see each
other. Attention is over all tokens of a group's persons, everything else is per token, so nothing is ever
computed on padding.

Letters: S persons of the batch, L tokens of a person, D channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from crowdbench_backbones.networks.cpu_kernels import PLAIN


@dataclass(frozen=True)
class Group:
    """Images of equally many persons, to be attended in one call.

    Attributes:
        rows: ``(g, n)`` int64: image g's persons are these rows of the flat batch.
        present: ``(g, n)`` bool, false for a row that pads an image; None if none does.
        in_order: the rows are 0, 1, 2, ... to the last of the batch: nothing has to be gathered.
    """

    rows: Tensor
    present: Tensor | None = None
    in_order: bool = False


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
        Group(
            torch.tensor(first, device=device)[:, None] + torch.arange(count, device=device),
            in_order=count * len(first) == start,
        )
        for count, first in starts.items()
        if count > 0
    ]


def as_tokens(maps: Tensor) -> Tensor:
    """``(S, D, h, w)`` to ``(S, h * w, D)``, row by row."""
    return maps.flatten(2).transpose(1, 2)


def as_map(tokens: Tensor, size: Sequence[int]) -> Tensor:
    """``(S, h * w, D)`` to ``(S, D, h, w)``; channels stay together in memory ("channels last")."""
    return tokens.transpose(1, 2).reshape(len(tokens), tokens.shape[-1], *size)


class SelfAttention(nn.Module):
    """Multi-head self-attention with the parameters of `torch.nn.MultiheadAttention`."""

    operations = PLAIN

    def __init__(self, channels: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * channels, channels))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * channels))
        self.out_proj = nn.Linear(channels, channels)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, x: Tensor, positions: Tensor | None, groups: Sequence[Group] | None = None) -> Tensor:
        """Attend within each group.

        Args:
            x: ``(S, L, D)``.
            positions: ``(S, L, D)`` or ``(1, L, D)``, added to queries and keys, not to values; or None.
            groups: who sees whom; None if every person is alone.

        Returns:
            ``(S, L, D)``.
        """
        channels = x.shape[-1]
        weight, bias = self.in_proj_weight, self.in_proj_bias
        if positions is None:
            queries, keys, values = self.operations.linear(x, weight, bias).chunk(3, -1)
        else:
            # Queries and keys in one product; values know no positions.
            both = 2 * channels
            queries, keys = self.operations.linear(x + positions, weight[:both], bias[:both]).chunk(2, -1)
            values = self.operations.linear(x, weight[both:], bias[both:])
        if not groups:  # every person is alone, or there are none
            attended = self._attend(queries, keys, values)
        elif len(groups) == 1 and groups[0].in_order:
            (group,) = groups
            mixed = self._attend(*_gathered(group, queries, keys, values), _seen(group, x))
            attended = mixed.reshape(x.shape)
        else:
            attended = torch.empty_like(x)
            for group in groups:
                mixed = self._attend(*_gathered(group, queries, keys, values), _seen(group, x))
                attended[group.rows.flatten()] = mixed.reshape(-1, *x.shape[1:])
        return self.operations.linear(attended, self.out_proj.weight, self.out_proj.bias)

    def _attend(self, queries: Tensor, keys: Tensor, values: Tensor, seen: Tensor | None = None) -> Tensor:
        """``(g, n, D)`` each, to the same; `seen` is ``(g, 1, 1, n)`` bool, the keys that count."""

        def split(x: Tensor) -> Tensor:  # → (g, heads, n, D / heads)
            return x.reshape(*x.shape[:2], self.heads, x.shape[2] // self.heads).transpose(1, 2)

        dropout = self.dropout if self.training else 0.0
        mixed = self.operations.attention(split(queries), split(keys), split(values), seen, dropout)
        return mixed.transpose(1, 2).flatten(2)


def _gathered(group: Group, queries: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """``(S, L, D)`` each, to a group's ``(g, n * L, D)``."""
    shape = (len(group.rows), -1, values.shape[-1])
    if group.in_order:
        return queries.reshape(shape), keys.reshape(shape), values.reshape(shape)
    return queries[group.rows].view(shape), keys[group.rows].view(shape), values[group.rows].view(shape)


def _seen(group: Group, x: Tensor) -> Tensor | None:
    """``(g, 1, 1, n * L)`` bool, the tokens of persons that are present; None if all are."""
    if group.present is None:
        return None
    return group.present.repeat_interleave(x.shape[1], dim=1)[:, None, None, :]


class EncoderLayer(nn.Module):
    """Self-attention and a two-layer perceptron, each added to its input, then normalized."""

    operations = PLAIN

    def __init__(self, channels: int, hidden: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = SelfAttention(channels, heads, dropout)
        self.linear1 = nn.Linear(channels, hidden)
        self.linear2 = nn.Linear(hidden, channels)
        self.norm1 = nn.LayerNorm(channels)
        self.norm2 = nn.LayerNorm(channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, positions: Tensor | None, groups: Sequence[Group] | None = None) -> Tensor:
        """``(S, L, D)`` to the same shape; see `SelfAttention.forward`."""
        x = self.norm1(x + self.dropout(self.self_attn(x, positions, groups)))
        hidden = self.operations.linear(x, self.linear1.weight, self.linear1.bias)
        hidden = self.dropout(functional.relu(hidden, inplace=True))
        update = self.operations.linear(hidden, self.linear2.weight, self.linear2.bias)
        y: Tensor = self.norm2(x + self.dropout(update))
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

    def forward(self, x: Tensor, positions: Tensor | None, groups: Sequence[Group] | None = None) -> Tensor:
        """``(S, L, D)`` to the same shape; see `SelfAttention.forward`."""
        for layer in self.layers:
            x = layer(x, positions, groups)
        return x
