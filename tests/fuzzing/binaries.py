"""Checkpoints and images."""

import json
import random
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from safetensors.torch import save
from torch import nn

from crowdbench.system.images import read_rgb
from crowdbench.weights.checkpoint_file.state_dict import load_weights, read_state_dict
from fuzzing import json_trees, raw_bytes
from fuzzing.targets import Target, WrongOutcome, encoded


def _network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1))


class Checkpoints(Target):
    """Weights, pickled by PyTorch or as safetensors."""

    name = "checkpoints"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.state = _network().state_dict()
        self.path = folder / "weights.pth"
        torch.save(self.state, folder / "sound.pth")
        self.pickled = (folder / "sound.pth").read_bytes()
        torch.save(self.state, folder / "sound.pth", _use_new_zipfile_serialization=False)
        self.legacy = (folder / "sound.pth").read_bytes()
        self.safe = save({name: tensor.contiguous() for name, tensor in self.state.items()})

    @property
    def file(self) -> Path:
        return self.path

    def damage(self, rng: random.Random) -> None:
        kind = rng.randrange(6)
        if kind < 3:
            self.path.write_bytes(raw_bytes.mutated((self.pickled, self.legacy, self.safe)[kind], rng))
        elif kind == 3:
            self.path.write_bytes(self._another_header(rng))
        else:
            torch.save(self._another_state(rng), self.path)

    def _another_header(self, rng: random.Random) -> bytes:
        """A safetensors file whose header lies."""
        length = struct.unpack("<Q", self.safe[:8])[0]
        tree = json_trees.mutated(json.loads(self.safe[8 : 8 + length]), rng)
        header = encoded(tree)
        said = rng.choice((len(header), len(header), len(header), len(header) + 1, 2**40, 0))
        return struct.pack("<Q", said) + header + self.safe[8 + length :]

    def _another_state(self, rng: random.Random) -> Any:
        state: dict[Any, Any] = dict(self.state)
        name = rng.choice(list(state))
        tensor = state[name]
        changes = (
            *(lambda: tensor.to(torch.int32), lambda: tensor.to(torch.bool), tensor.double),
            *(tensor.half, lambda: tensor.to(torch.complex64), lambda: tensor * float("nan")),
            *(lambda: tensor * float("inf"), lambda: tensor.double() * 1e300, lambda: tensor.to("meta")),
            *(lambda: tensor.to_sparse() if tensor.dim() else tensor, lambda: tensor.unsqueeze(0), lambda: 1),
            *(
                lambda: torch.zeros(0),
                lambda: torch.zeros(()).expand(tensor.shape),
                lambda: None,
                lambda: [tensor],
            ),
            *(lambda: np.float64(1.0), tensor.tolist, lambda: nn.Parameter(tensor.float())),
        )
        kind = rng.randrange(4)
        if kind == 0:
            state[name] = rng.choice(changes)()
        elif kind == 1:
            prefix = rng.choice(
                ("module.", "model.", "net.", "_orig_mod.", "module.module.", "backbone.", "x.")
            )
            state = {prefix + key: value for key, value in state.items()}
        elif kind == 2:
            wrapper = rng.choice(
                ("state_dict", "model", "weights", "ema", "epoch", "model_state_dict", "a.b")
            )
            state = {wrapper: state, "epoch": rng.choice((1, np.int64(3), "x", None, torch.tensor(1)))}
        else:
            state[rng.choice(("extra", "", 7, None, ("a", 1)))] = rng.choice((tensor, 1, "x", None, {}))
        return state

    def attempt(self) -> str:
        network = _network()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.fill_(torch.nan)
        load_weights(network, read_state_dict(self.path), str(self.path))
        for name, tensor in network.state_dict().items():
            if not torch.isfinite(tensor).all():
                raise WrongOutcome(f"{name} is not finite, and nothing is said")
        return "right"


class Images(Target):
    """A photograph."""

    name = "images"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        rng = np.random.default_rng(0)
        self.pixels = cv2.GaussianBlur(rng.integers(0, 255, (40, 60, 3), dtype=np.uint8), (9, 9), 0)
        self.sound = [
            cv2.imencode(kind, self.pixels)[1].tobytes() for kind in (".jpg", ".png", ".bmp", ".webp")
        ]

    @property
    def file(self) -> Path:
        return self.folder / "image.jpg"

    def damage(self, rng: random.Random) -> None:
        self.file.write_bytes(raw_bytes.mutated(rng.choice(self.sound), rng))

    def attempt(self) -> str:
        image = read_rgb(self.file)
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
            raise WrongOutcome(f"an image of shape {image.shape}")
        return "right"
