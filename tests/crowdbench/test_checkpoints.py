import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from crowdbench.checkpoints import load_weights, read_state_dict
from crowdbench.errors import MissingDataError, WeightsError


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(lambda s: s, id="flat"),
        pytest.param(lambda s: {"state_dict": s, "epoch": 3}, id="state_dict"),
        pytest.param(lambda s: {"state_dict": {}, "best_state_dict": s}, id="best_state_dict"),
        pytest.param(lambda s: {f"module.{k}": v for k, v in s.items()}, id="DataParallel"),
        pytest.param(
            lambda s: {"model": s, "perf": np.float64(0.7), "lr": np.float32(1e-4)}, id="numpy scalars"
        ),
    ],
)
def test_checkpoints_load_in_the_forms_that_training_scripts_write(tmp_path: Path, wrap: Any) -> None:
    source, target = network(), network()
    torch.save(wrap(source.state_dict()), tmp_path / "weights.pth")
    load_weights(target, read_state_dict(tmp_path / "weights.pth"), "weights.pth")
    for name, tensor in source.state_dict().items():
        assert torch.equal(target.state_dict()[name], tensor), name


def test_safetensors_load(tmp_path: Path) -> None:
    state = network().state_dict()
    save_file(state, tmp_path / "weights.safetensors")
    assert read_state_dict(tmp_path / "weights.safetensors").keys() == state.keys()


class Malicious:
    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.victim}",)


@pytest.mark.parametrize("how", ["torch.save", "pickle", "hidden beside tensors"])
def test_a_malicious_pickle_is_refused_and_not_run(tmp_path: Path, how: str) -> None:
    victim, path = tmp_path / "pwned", tmp_path / "weights.pth"
    if how == "pickle":
        path.write_bytes(pickle.dumps(Malicious(victim), protocol=2))
    elif how == "torch.save":
        torch.save(Malicious(victim), path)
    else:
        torch.save({"state_dict": network().state_dict(), "note": Malicious(victim)}, path)
    with pytest.raises(WeightsError, match="refused"):
        read_state_dict(path)
    assert not victim.exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 broken zip"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_broken_file_is_an_error_that_names_it(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="weights"):
        read_state_dict(path)


def test_a_truncated_download_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save(network().state_dict(), path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(WeightsError):
        read_state_dict(path)


def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="nowhere.pth"):
        read_state_dict(tmp_path / "nowhere.pth")


def test_something_else_than_a_state_dict_is_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "lr": 0.1}, tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match="epoch"):
        read_state_dict(tmp_path / "weights.pth")


def test_every_kind_of_mismatch_is_listed_and_nothing_is_loaded() -> None:
    target = network()
    before = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    state = {name: torch.ones_like(tensor) for name, tensor in before.items()}
    del state["0.bias"]
    state["2.extra"] = torch.zeros(1)
    state["0.weight"] = torch.zeros(4, 5)
    with pytest.raises(WeightsError) as caught:
        load_weights(target, state, "some.pth")
    message = str(caught.value)
    assert "some.pth" in message
    assert "1 missing: 0.bias" in message
    assert "1 unexpected: 2.extra" in message
    assert "0.weight (file (4, 5), network (4, 3))" in message
    assert all(torch.equal(tensor, before[name]) for name, tensor in target.state_dict().items())
