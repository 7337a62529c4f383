"""The networks of the release, filled with deterministic weights, and their inputs; for tests."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from crowdbench.api.load_method import load_method
from crowdbench.api.method import NetworkMethod
from support.fills import fill_input, fill_state_dict, fill_state_dict_centered

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

    def __init__(self) -> None:
        self.weights: dict[str, Callable[[dict[str, Tensor]], dict[str, Tensor]]] = {
            "plain": cache_by_names(fill_state_dict),
            "centred": cache_by_names(fill_state_dict_centered),
        }
        self.input = fill_input

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
def filling() -> Filling:
    """The generators that the golden numbers were measured with."""
    return Filling()


def masks_of(rectangles: Sequence[Any], size: tuple[int, int]) -> Tensor:
    """Position masks ``(S, 1, H, W)`` that are 1 inside x0, y0, x1, y1."""
    masks = torch.zeros(len(rectangles), 1, *size)
    for mask, (x0, y0, x1, y1) in zip(masks, rectangles, strict=True):
        mask[0, y0:y1, x0:x1] = 1
    return masks
