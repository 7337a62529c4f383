"""The deterministic weights and inputs that the golden numbers were measured with.

Every entry of a state dict is drawn from a generator seeded with the CRC-32 of its own name, so that the same name
and shape give the same values on any machine and in any order.
"""

import zlib

import numpy as np
import torch
from torch import Tensor

# Integer entries and these keep the values that a network computes for itself.
KEPT = ("num_batches_tracked", "pos_embedding", "relative_position_index")


def _rng(name: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))


def fill_state_dict(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a variance of 1 / fan-in, so that activations stay of order one through any depth."""
    filled = {}
    for key, value in state.items():
        if not value.is_floating_point() or key.rsplit(".", 1)[-1] in KEPT:
            filled[key] = value.clone()
            continue
        noise = _rng(key).standard_normal(tuple(value.shape)).astype(np.float32)
        if key.endswith("running_mean"):
            array = 0.1 * noise
        elif key.endswith("running_var"):
            array = 1.0 + 0.1 * np.abs(noise)
        elif value.ndim >= 2:
            array = noise / np.sqrt(np.prod(value.shape[1:]))
        elif key.endswith("weight"):
            array = 1.0 + 0.1 * noise
        else:
            array = 0.1 * noise
        filled[key] = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
    return filled


def fill_state_dict_centered(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same with the mean of every filter removed, which is better conditioned."""
    filled = fill_state_dict(state)
    for key, value in filled.items():
        if not value.is_floating_point() or value.ndim < 2 or key.rsplit(".", 1)[-1] == "pos_embedding":
            continue
        if value[0].numel() > 1:
            rows = value.double()
            filled[key] = (rows - rows.mean(dim=tuple(range(1, rows.ndim)), keepdim=True)).float()
    return filled


def fill_input(name: str, shape: tuple[int, ...]) -> Tensor:
    """A standard-normal float32 tensor, drawn from a name."""
    return torch.from_numpy(_rng(name).standard_normal(shape).astype(np.float32))
