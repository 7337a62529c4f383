"""The section "Weights: what is in them" of docs/bad-input.md."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save
from support.bad_input_cases import Cases
from support.data.weights_files import (
    COUNTER,
    FLOATS,
    check,
    prefixed,
    saved,
    small_state,
    spoiled,
    state,
    written,
)

case = Cases("Weights: what is in them")


def weights_case(name: str) -> Callable[[Callable[[], Any]], None]:
    """A case that is one object, given to torch.save."""

    def register(content: Callable[[], Any]) -> None:
        case(name)(lambda folder: saved(folder, content()))

    return register


# What lies beside weights, and how they are wrapped.


@weights_case("numpy-numbers-beside-weights")
def _() -> Any:
    numbers = [np.dtype(kind).type(1) for kind in "?bhiqBHIQefdFD"]
    return {"state_dict": state(), "best": numbers, "when": np.datetime64("2026-01-01"), "name": np.str_("a")}


@weights_case("weights-that-are-numpy-arrays")
def _() -> Any:
    return {"state_dict": {name: tensor.numpy() for name, tensor in state().items()}}


@weights_case("names-behind-model")
def _() -> Any:
    return {"state_dict": prefixed("model."), "epoch": 3}


@weights_case("names-behind-wrappers-in-wrappers")
def _() -> Any:
    return prefixed("module._orig_mod.net.")


@weights_case("names-behind-another-prefix")
def _() -> Any:
    return {"model": {"state_dict": prefixed("pose_estimator.")}}


@weights_case("names-behind-a-prefix-among-others")
def _() -> Any:
    return {**prefixed("model."), "criterion.weight": torch.ones(2)}


@case("a-part-of-flat-weights")
def _(folder: Path) -> list[str]:
    return saved(folder, {**prefixed("model."), "criterion.weight": torch.ones(2)}, "--part", "model")


@weights_case("weights-beside-their-average")
def _() -> Any:
    return {"model": state(), "model_ema": {"module": state()}}


@case("the-average-on-request")
def _(folder: Path) -> list[str]:
    ema = state(**{FLOATS: torch.zeros_like(small_state()[FLOATS])})
    return saved(folder, {"model": {"a": torch.zeros(1)}, "ema": ema}, "--part", "ema")


@case("a-part-that-is-not-there")
def _(folder: Path) -> list[str]:
    return saved(folder, {"model": state(), "ema": state()}, "--part", "emma")


@weights_case("teacher-and-student")
def _() -> Any:
    return {"teacher": state(), "student": state()}


@weights_case("no-weights-at-all")
def _() -> Any:
    return {"epoch": 3, "lr": 0.1}


# Which tensors can be weights.


@weights_case("weights-of-whole-numbers")
def _() -> Any:
    return state(**{FLOATS: small_state()[FLOATS].to(torch.int32)})


@weights_case("weights-of-bytes")
def _() -> Any:
    return state(**{FLOATS: small_state()[FLOATS].to(torch.uint8)})


@weights_case("weights-of-truth-values")
def _() -> Any:
    return state(**{FLOATS: small_state()[FLOATS] > 0})


@weights_case("complex-weights")
def _() -> Any:
    return state(**{FLOATS: small_state()[FLOATS].to(torch.complex64)})


@weights_case("a-counter-with-a-fraction")
def _() -> Any:
    return state(**{COUNTER: torch.tensor(1.5)})


@weights_case("a-counter-written-as-a-float")
def _() -> Any:
    return state(**{COUNTER: torch.tensor(3.0)})


@weights_case("weights-with-nan")
def _() -> Any:
    return spoiled(float("nan"))


@weights_case("weights-with-infinity")
def _() -> Any:
    return spoiled(float("-inf"))


@weights_case("weights-too-large-for-float32")
def _() -> Any:
    return spoiled(1e308, torch.float64)


@case("nan-in-a-safetensors-file")
def _(folder: Path) -> list[str]:
    return written(folder, save(spoiled(float("nan"))), "w.safetensors")


@case("infinity-without-a-network")
def _(folder: Path) -> list[str]:
    torch.save(spoiled(float("inf")), folder / "w.pth")
    return ["weights", "convert", "w.pth", "out.safetensors"]


@weights_case("weights-of-half-precision")
def _() -> Any:
    return {n: t.half() if t.is_floating_point() else t for n, t in state().items()}


@weights_case("weights-of-double-precision")
def _() -> Any:
    return {n: t.double() if t.is_floating_point() else t for n, t in state().items()}


@weights_case("sparse-weights")
def _() -> Any:
    return state(**{FLOATS: small_state()[FLOATS].to_sparse()})


@weights_case("meta-weights")
def _() -> Any:
    return state(**{FLOATS: small_state()[FLOATS].to("meta")})


@weights_case("quantized-weights")
def _() -> Any:
    return state(**{FLOATS: torch.quantize_per_tensor(small_state()[FLOATS], 0.1, 0, torch.qint8)})


@weights_case("nested-weights")
def _() -> Any:
    return state(**{FLOATS: torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)])})


@weights_case("one-number-seen-as-a-terabyte")
def _() -> Any:
    return state(**{FLOATS: torch.zeros(1).expand(10**12)})


@weights_case("weights-of-a-hundred-axes")
def _() -> Any:
    return state(**{FLOATS: torch.zeros((1,) * 100)})


@weights_case("weights-of-nothing")
def _() -> Any:
    return state(**{FLOATS: torch.zeros(0)})


@case("names-with-escapes")
def _(folder: Path) -> list[str]:
    return written(folder, save(state(**{"\x1b[31mred": torch.zeros(1)})), "w.safetensors")


def test_every_row_has_a_case() -> None:
    case.check_complete()


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")  # of torch, on odd tensors
@pytest.mark.parametrize("name", case.makers)
def test_the_command_says_what_the_page_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    check(case, name, tmp_path, monkeypatch, capsys)


def test_what_was_asked_for_by_name_is_what_was_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors import safe_open

    from crowdbench.weights.checkpoint_file.state_dict import convert as rewrite

    torch.save({"model": {"a": torch.ones(1)}, "ema": {"a": torch.zeros(1)}}, tmp_path / "w.pth")
    rewrite(tmp_path / "w.pth", tmp_path / "ema.safetensors", part="ema")
    with safe_open(tmp_path / "ema.safetensors", "pt") as file:
        assert file.get_tensor("a").tolist() == [0.0]
        assert json.loads(file.metadata()["source"])["part"] == "ema"
