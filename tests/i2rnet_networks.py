"""The networks of the release, filled with deterministic weights, and their inputs; for tests.

The generators of weights and inputs lie beside the golden numbers.
"""

import importlib.util
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from crowdbench.api.method import NetworkMethod, load_method

VARIANTS = {"w48": "i2rnet-vanilla", "tph": "i2rnet-transpose", "hrt": "i2rnet-hrformer"}
SHORT = {"vanilla": "w48_pure_en6", "transpose": "tph", "hrformer": "hrt"}


def build(method: str, dataset: str, input_size: tuple[int, int] = (256, 192)) -> nn.Module:
    """A method's network in eval mode, as the method's own settings for a dataset make it."""
    found = load_method(method, dataset, input_size=input_size)
    assert isinstance(found, NetworkMethod)
    return found.build_network().eval()


def build_config(config: str) -> nn.Module:
    """The network of a released configuration, by the configuration's name."""
    _, dataset, variant, size, *_ = config.split("_")
    return build(VARIANTS[variant], dataset, (384, 288) if size == "288" else (256, 192))


class Filling:
    """Deterministic weights (`plain`, and better conditioned `centred`) and inputs."""

    def __init__(self, reference: Path) -> None:
        sys.path.insert(0, str(reference))  # one of the two imports the other by its bare name
        try:
            plain, centred = _module(reference / "fill.py"), _module(reference / "i2rnet/fill_centered.py")
        finally:
            sys.path.remove(str(reference))
        self.weights: dict[str, Callable[[dict[str, Tensor]], dict[str, Tensor]]] = {
            "plain": cache_by_names(plain.fill_state_dict),
            "centred": cache_by_names(centred.fill_state_dict_centered),
        }
        self.input: Callable[[str, tuple[int, ...]], Tensor] = plain.fill_input

    def into(self, network: nn.Module, kind: str = "centred") -> nn.Module:
        """Fill a network in place; in float32."""
        network.float().load_state_dict(self.weights[kind](network.state_dict()))
        return network


def cache_by_names(fill: Callable[..., Any]) -> Callable[..., Any]:
    """Each weight is drawn from its name and shape: drawn once for all tests of a process."""
    drawn: dict[tuple[str, tuple[int, ...]], Tensor] = {}

    def filled(state: dict[str, Tensor]) -> dict[str, Tensor]:
        missing = {k: v for k, v in state.items() if (k, tuple(v.shape)) not in drawn}
        drawn.update({(k, tuple(v.shape)): v for k, v in fill(missing).items()})
        return {k: drawn[k, tuple(v.shape)] for k, v in state.items()}

    return filled


@cache
def filling(reference: Path) -> Filling:
    """The generators beside the golden numbers."""
    return Filling(reference)


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def masks_of(rectangles: Sequence[Any], size: tuple[int, int]) -> Tensor:
    """Position masks ``(S, 1, H, W)`` that are 1 inside x0, y0, x1, y1."""
    masks = torch.zeros(len(rectangles), 1, *size)
    for mask, (x0, y0, x1, y1) in zip(masks, rectangles, strict=True):
        mask[0, y0:y1, x0:x1] = 1
    return masks
