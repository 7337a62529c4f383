"""Checkpoints for tests, of a small network, and the commands that read them."""

import io
import sys
from collections import OrderedDict
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from crowdbench import plugins
from support.bad_input_cases import Cases
from support.methods.faulty_plugins import NETWORK, install

State = dict[str, torch.Tensor]
FIT = ["--method", "odd", "--dataset", "crowdpose"]
SMALL = """
    def build_network(self):
        layers = {"conv1": torch.nn.Conv2d(3, 4, 3), "bn1": torch.nn.BatchNorm2d(4)}
        return torch.nn.Sequential(OrderedDict(layers))
"""
FLOATS, COUNTER = "conv1.weight", "bn1.num_batches_tracked"


@cache
def small_state() -> State:
    layers = {"conv1": torch.nn.Conv2d(3, 4, 3), "bn1": torch.nn.BatchNorm2d(4)}
    return dict(torch.nn.Sequential(OrderedDict(layers)).state_dict())


def state(**changed: torch.Tensor) -> State:
    return {**small_state(), **changed}


def convert(path: Path, *more: str) -> list[str]:
    return ["weights", "convert", path.name, "out.safetensors", *FIT, *more]


def saved(folder: Path, content: Any, *more: str, **options: Any) -> list[str]:
    """The command on a checkpoint with this content."""
    torch.save(content, folder / "w.pth", **options)
    return convert(folder / "w.pth", *more)


def written(folder: Path, data: bytes, name: str = "w.pth") -> list[str]:
    (folder / name).write_bytes(data)
    return convert(folder / name)


def packed(content: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


def prefixed(prefix: str) -> State:
    return {f"{prefix}{name}": tensor for name, tensor in state().items()}


def spoiled(value: float, dtype: torch.dtype = torch.float32) -> State:
    tensor = small_state()[FLOATS].to(dtype).clone()
    tensor.view(-1)[5] = value
    return state(**{FLOATS: tensor})


def check(
    case: Cases, name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Give the command of a case, with the small network's method installed."""
    monkeypatch.syspath_prepend(str(folder / "site"))
    plugins.installed.cache_clear()
    install(folder / "site", "odd_small", f"from collections import OrderedDict\n{NETWORK}{SMALL}")
    monkeypatch.delitem(sys.modules, "odd_small", raising=False)
    said = case.check(name, folder, monkeypatch, capsys)
    assert "\x1b" not in said
    assert (folder / "out.safetensors").exists() == (case.rows[name].status == 0)
