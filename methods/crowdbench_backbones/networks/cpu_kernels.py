"""Matrix products of Transformers, each by the fastest available CPU kernel.

Networks call them through an attribute ``operations``, which is `Operations`, PyTorch's own, until
`crowdbench_backbones.networks.fuse` replaces it.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Operations:
    """PyTorch's own."""

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """``(..., I)`` times a weight ``(O, I)``, plus a bias ``(O,)``, to ``(..., O)``."""
        return functional.linear(x, weight, bias)

    def attention(
        self, queries: Tensor, keys: Tensor, values: Tensor, seen: Tensor | None = None, dropout: float = 0.0
    ) -> Tensor:
        """Softmax of the scaled products of queries and keys, times values.

        Args:
            queries, keys, values: ``(g, heads, n, D)``.
            seen: ``(g, 1, 1, n)`` bool, the keys that count, or a bias to add to the products; None for all.
            dropout: of the softmax.
        """
        return functional.scaled_dot_product_attention(
            queries, keys, values, attn_mask=seen, dropout_p=dropout
        )

    def convolution_norm_gelu(self, convolution: nn.Conv2d, norm: nn.Module, x: Tensor) -> Tensor:
        """``gelu(norm(convolution(x)))``."""
        return functional.gelu(norm(convolution(x)))


class ProcessorOperations(Operations):
    """For predictions on a CPU, in float32; other types are left to PyTorch.

    oneDNN computes convolutions, and is fast on every maker's CPUs; MKL computes products, and is fast
    on one maker's. So products are written as convolutions of single pixels. Measured with PyTorch 2.13 on an
    AMD EPYC with AVX-512: products 2 to 3 times as fast, attention among 3,072 tokens 1.5 times.
    """

    # Between them, PyTorch's attention is the fastest.
    short, long = 64, 512
    # Queries at a time: their products with all keys stay in the CPU's cache.
    block = 512

    def __init__(self) -> None:
        # oneDNN refuses to fuse what it would have to emulate.
        self.fused = [torch.float32]
        if torch.ops.mkldnn._is_mkldnn_bf16_supported():
            self.fused.append(torch.bfloat16)

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """See `Operations`."""
        if weight.dtype != torch.float32:
            return super().linear(x, weight, bias)
        return _product(x.reshape(-1, x.shape[-1]), weight, bias).view(*x.shape[:-1], -1)

    def attention(
        self, queries: Tensor, keys: Tensor, values: Tensor, seen: Tensor | None = None, dropout: float = 0.0
    ) -> Tensor:
        """See `Operations`; dropout has no place in predictions."""
        tokens = queries.shape[-2]
        if queries.dtype == torch.float32 and seen is None:
            if tokens <= self.short:
                return _attention_in_windows(queries, keys, values)
            if tokens >= self.long:
                return _attention_in_blocks(queries, keys, values, self.block)
        return super().attention(queries, keys, values, seen)

    def convolution_norm_gelu(self, convolution: nn.Conv2d, norm: nn.Module, x: Tensor) -> Tensor:
        """In one pass if the norm has been folded into the convolution and the CPU knows the type."""
        kind = convolution.weight.dtype
        if not isinstance(norm, nn.Identity) or kind not in self.fused:
            return super().convolution_norm_gelu(convolution, norm, x)
        fused: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x.to(kind),
            convolution.weight,
            convolution.bias,
            convolution.padding,
            convolution.stride,
            convolution.dilation,
            convolution.groups,
            *("gelu", [], "none"),
        )
        return fused


def _attention_in_windows(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Many groups of few tokens: three calls for all."""
    shape = queries.shape[:2]
    queries, keys, values = (x.flatten(0, 1) for x in (queries, keys, values))
    weights = torch.bmm(queries, keys.transpose(1, 2)).mul_(queries.shape[-1] ** -0.5).softmax(-1)
    return torch.bmm(weights, values).view(*shape, *values.shape[1:])


def _attention_in_blocks(queries: Tensor, keys: Tensor, values: Tensor, block: int) -> Tensor:
    """Few groups of many tokens: one after the other."""
    attended = torch.empty_like(queries, memory_format=torch.contiguous_format)
    scaled = keys * queries.shape[-1] ** -0.5
    flat = (x.flatten(0, 1) for x in (queries, scaled, values, attended))
    for query, key, value, out in zip(*flat, strict=True):
        transposed = value.t().contiguous()
        for start in range(0, len(query), block):
            rows = slice(start, start + block)
            out[rows] = _product(_product(query[rows], key).softmax(-1), transposed)
    return attended


def _product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``(n, I)`` times ``(O, I)`` transposed, plus ``(O,)``, to ``(n, O)``."""
    # A map of one row and n columns, channels together in memory: (1, I, 1, n).
    pixels = x[None, None].permute(0, 3, 1, 2)
    product = functional.conv2d(pixels, weight[:, :, None, None], bias)
    return product.permute(0, 2, 3, 1)[0, 0]


PLAIN = Operations()
