"""PINet's released network, filled with the deterministic weights of the golden numbers; for tests."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from crowdbench.api.load_method import load_method
from crowdbench_pinet.method import PINet
from crowdbench_pinet.network import Maps, PINetNetwork
from support.goldens import DATA, load_arrays
from support.reference.i2rnet_networks import filling

DATASETS = ("crowdpose", "ochuman", "coco")


@cache
def golden(goldens: Path, name: str) -> Any:
    """A file of PINet's golden numbers."""
    path = goldens / "pinet" / name
    return json.loads(path.read_text()) if path.suffix == ".json" else load_arrays(path)


def pinet(dataset: str, **settings: Any) -> PINet:
    """The method on a dataset."""
    method = load_method("pinet", dataset, **settings)
    assert isinstance(method, PINet)
    return method


@cache
def released_network(dataset: str) -> PINetNetwork:
    """In eval mode; not to be changed."""
    return filled_network(dataset).eval()


def filled_network(dataset: str) -> PINetNetwork:
    """With the weights that the golden numbers were measured with."""
    network = pinet(dataset).build_network()
    assert isinstance(network, PINetNetwork)
    filled = dict(filling().weights["plain"](network.state_dict()))
    for name, factor in golden(DATA, "forward_meta.json")["tweak"].items():
        filled[name] = filled[name] * factor
    network.load_state_dict(filled)
    return network


def maps_of(parts: Tensor, offsets: Tensor, heatmaps: Tensor) -> Maps:
    """Maps without features, for poses that are not refined."""
    return Maps(torch.empty(len(parts), 0, *parts.shape[2:]), heatmaps, parts, offsets)
