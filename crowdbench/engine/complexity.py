"""Parameters of a network, and the operations it needs per person.

Counted, not estimated: one real pass of the method's own prepare, collate and predict runs under
`torch.utils.flop_counter`, which sees the shapes of every convolution and matrix product. A multiply-add
(MAC) counts as two operations (FLOPs); papers mostly print MACs and call them FLOPs.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from crowdbench.api.method import Method, NetworkMethod
from crowdbench.api.settings import override
from crowdbench.api.types import Instance, Sample
from crowdbench.engine import hooks

if TYPE_CHECKING:
    from torch import nn

SIDE_PX = 512  # of the image, where the method does not say how large its input is


@dataclass(frozen=True)
class Complexity:
    """The size of a network and the price of a pass.

    Attributes:
        parameters: all of them, fixed tables included.
        trainable: those that training changes.
        flops: of one pass without flip test; 2 per multiply-add. Normalization, activations and what is no
            matrix product are not counted, as usual.
        per: what the pass was over: one person for top-down methods, one image for the others.
        image_size: (height, width) of the image that was passed, in pixels.
    """

    parameters: int
    trainable: int
    flops: int
    per: Literal["person", "image"]
    image_size: tuple[int, int]

    @property
    def macs(self) -> int:
        """Multiply-adds, which is what most papers print as FLOPs."""
        return self.flops // 2


def complexity(method: NetworkMethod) -> Complexity:
    """Measure a method's network on a drawn image with one person, whose box is the whole image.

    Args:
        method: configured for a dataset. Its network gets random weights, always the same ones, on the CPU:
            a method that computes more where it finds more is asked what it makes of noise.
    """
    import torch

    single = _without_flip_test(method)
    size = _image_size(single)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = hooks.build_network(single).eval()
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        sample = _drawn_sample(single, size, Path(folder) / "person.png")
        batch = hooks.collate(single, [hooks.prepare(single, sample)])
        with _every_product_counted() as counted:
            hooks.predict(single, network, batch, [sample])
    return Complexity(
        parameters=_count(network),
        trainable=_count(network, trainable=True),
        flops=counted.get_total_flops(),
        per="person" if single.paradigm == "top-down" else "image",
        image_size=size,
    )


def _without_flip_test(method: NetworkMethod) -> NetworkMethod:
    """The flip test is a second pass of the same price; papers print one."""
    if not any(field.name == "flip_test" for field in fields(method.settings)):
        return method
    settings = override(method.settings, {"flip_test": False}, of=method.name)
    return type(method)(method.keypoints, settings, method.name)


def _image_size(method: Method) -> tuple[int, int]:
    size = getattr(method.settings, "input_size", None)
    if isinstance(size, int):
        return size, size
    return tuple(size) if size else (SIDE_PX, SIDE_PX)


def _drawn_sample(method: Method, size: tuple[int, int], path: Path) -> Sample:
    """An image of noise, in which also a method that finds persons by itself has something to look at."""
    import cv2

    height, width = size
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    if not cv2.imwrite(str(path), noise):
        raise OSError(f"{path}: cannot write a temporary image")
    whole = np.array([0, 0, width, height], dtype=np.float64)
    person = Instance(whole, np.zeros((method.keypoints.count, 3)), area=float(height * width))
    return Sample(1, path, width, height, (person,))


@contextmanager
def _every_product_counted() -> "Iterator[Any]":
    """Count FLOPs, with attention as plain matrix products: fused kernels may hide theirs."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    fast, threads = torch.backends.mha.get_fastpath_enabled(), torch.get_num_threads()
    torch.backends.mha.set_fastpath_enabled(False)
    # A pass over one person is short; on a busy machine threads that wait for each other make it long.
    torch.set_num_threads(1)
    try:
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            yield counter
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        torch.set_num_threads(threads)


def _count(network: "nn.Module", *, trainable: bool = False) -> int:
    return sum(p.numel() for p in network.parameters() if p.requires_grad or not trainable)
