"""Files of weights into networks: prefixes, wrappers, masks, and numbers of other widths."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from crowdbench.errors import WeightsError
from crowdbench.weights.checkpoint_file.state_dict import convert, put_weights


def small() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4))


@given(
    st.lists(st.sampled_from(["module", "_orig_mod", "model", "net", "backbone", "any_name"]), max_size=4),
    st.lists(st.sampled_from(["state_dict", "model", "network", "weights", "checkpoint"]), max_size=2),
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_weights_are_wrapped_in_they_load(
    tmp_path: Path, prefixes: list[str], wrappers: list[str]
) -> None:
    source, target = small(), small()
    before = "".join(f"{prefix}." for prefix in prefixes)
    content: Any = {f"{before}{name}": tensor for name, tensor in source.state_dict().items()}
    for wrapper in wrappers:
        content = {"epoch": 3, wrapper: content}
    torch.save(content, tmp_path / "w.pth")
    notes = put_weights(target, tmp_path / "w.pth")
    assert torch.equal(target.state_dict()["0.weight"], source.state_dict()["0.weight"])
    assert any("was taken off" in note for note in notes) == (before not in ("", "module."))


def test_names_that_match_as_they_are_stay(tmp_path: Path) -> None:
    inner = nn.ModuleDict({"module": small()})
    torch.save(inner.state_dict(), tmp_path / "w.pth")
    target = nn.ModuleDict({"module": small()})
    assert put_weights(target, tmp_path / "w.pth") == []
    assert torch.equal(target.state_dict()["module.0.weight"], inner.state_dict()["module.0.weight"])


def test_a_method_that_renames_is_asked_about_names_without_the_prefix(tmp_path: Path) -> None:
    def rename(state: Any) -> Any:
        return {"0.weight": state["w"], "0.bias": state["b"]}  # fails on names that it does not know

    source = small().state_dict()
    torch.save({"model.w": source["0.weight"], "model.b": source["0.bias"]}, tmp_path / "w.pth")
    target = small()
    put_weights(target, tmp_path / "w.pth", rename)
    assert torch.equal(target.state_dict()["0.bias"], source["0.bias"])


def test_a_mask_may_hold_the_infinities_that_the_network_has_itself(tmp_path: Path) -> None:
    def masked() -> nn.Module:
        network = small()
        network.register_buffer("mask", torch.tensor([0.0, -torch.inf]))
        return network

    torch.save(masked().state_dict(), tmp_path / "w.pth")
    put_weights(masked(), tmp_path / "w.pth")
    torch.save({**masked().state_dict(), "mask": torch.tensor([-torch.inf, 0.0])}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="mask holds infinity"):
        put_weights(masked(), tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="name the network"):
        convert(tmp_path / "w.pth", tmp_path / "out.safetensors")


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_numbers_of_another_width_are_rounded_and_that_is_said(tmp_path: Path, dtype: torch.dtype) -> None:
    source = {name: tensor.to(dtype) for name, tensor in small().state_dict().items()}
    torch.save(source, tmp_path / "w.pth")
    target = small()
    (note,) = put_weights(target, tmp_path / "w.pth")
    assert note == f"w.pth: {str(dtype).removeprefix('torch.')} numbers became float32"
    assert torch.equal(target.state_dict()["0.weight"], source["0.weight"].float())
