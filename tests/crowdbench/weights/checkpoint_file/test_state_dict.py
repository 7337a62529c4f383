import hashlib
import io
import json
import os
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save, save_file
from torch import nn

from crowdbench.errors import MissingDataError, WeightsError
from crowdbench.weights.checkpoint_file.state_dict import convert, load_weights, read_state_dict


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


def as_bytes(content: object, **options: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


def zip_with_swapped_pickle(content: object) -> bytes:
    """A real checkpoint in which the pickle alone was exchanged."""
    source, swapped = zipfile.ZipFile(io.BytesIO(as_bytes(network().state_dict()))), io.BytesIO()
    with zipfile.ZipFile(swapped, "w") as target:
        for name in source.namelist():
            exchange = name.endswith("data.pkl")
            target.writestr(name, pickle.dumps(content, protocol=2) if exchange else source.read(name))
    return swapped.getvalue()


def tar(content: object) -> bytes:
    """The form of the first versions of PyTorch: a tar file of pickles."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            data = pickle.dumps(content)
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


MALICIOUS = {
    "torch.save": as_bytes,
    "before PyTorch 1.6": lambda evil: as_bytes(evil, _use_new_zipfile_serialization=False),
    "plain pickle": lambda evil: pickle.dumps(evil, protocol=2),
    "plain pickle of today": pickle.dumps,
    "beside tensors": lambda evil: as_bytes({"state_dict": network().state_dict(), "note": evil}),
    "in place of a tensor": lambda evil: as_bytes({**network().state_dict(), "0.weight": evil}),
    "as a name": lambda evil: as_bytes({"state_dict": network().state_dict(), (evil,): 1}),
    "swapped into a zip": zip_with_swapped_pickle,
    "tar": tar,
}


@pytest.mark.parametrize("how", MALICIOUS)
@pytest.mark.parametrize("name", ["weights.pth", "weights.pth.tar", "weights.safetensors"])
def test_a_malicious_file_is_refused_and_not_run(tmp_path: Path, how: str, name: str) -> None:
    victim, path = tmp_path / "pwned", tmp_path / name
    path.write_bytes(MALICIOUS[how](Malicious(victim)))
    with pytest.raises(WeightsError):
        read_state_dict(path)
    with pytest.raises(WeightsError):
        convert(path, tmp_path / "out.safetensors")
    assert {entry.name for entry in tmp_path.iterdir()} == {name}


def test_the_malicious_files_of_these_tests_would_do_harm(tmp_path: Path) -> None:
    victim = tmp_path / "pwned"
    torch.load(io.BytesIO(as_bytes(Malicious(victim))), weights_only=False)
    assert victim.exists()


def test_a_refusal_names_what_would_run_and_never_advises_to_run_it(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save(Malicious(tmp_path / "pwned"), path)
    with pytest.raises(WeightsError, match=r"refused.*posix\.system") as caught:
        read_state_dict(path)
    path.write_bytes(tar(1))
    with pytest.raises(WeightsError) as other:
        read_state_dict(path)
    for error in (caught, other):
        assert "weights_only` set to `False`" not in str(error.value)
        assert "weights_only` argument" not in str(error.value)


@given(
    st.sampled_from(["zip", "old", "safetensors"]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=5),
    st.none() | st.floats(0, 1),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_is_an_error_of_ours_or_loads(
    tmp_path: Path, form: str, damage: list[tuple[float, int]], cut: float | None
) -> None:
    state = {"weight": torch.arange(12.0).reshape(3, 4), "steps": torch.tensor(3)}
    whole = {
        "zip": lambda: as_bytes(state),
        "old": lambda: as_bytes(state, _use_new_zipfile_serialization=False),
        "safetensors": lambda: save(state),
    }[form]()
    data = bytearray(whole)
    for where, value in damage:
        data[int(where * len(data))] = value
    path = tmp_path / "weights.pth"
    path.write_bytes(data if cut is None else data[: int(cut * len(data))])
    try:
        found = read_state_dict(path)
    except WeightsError:
        return
    assert all(isinstance(tensor, torch.Tensor) for tensor in found.values())


def test_the_content_decides_what_a_file_is(tmp_path: Path) -> None:
    """What comes from a URL may be called anything."""
    state = network().state_dict()
    save_file(state, tmp_path / "download")
    assert read_state_dict(tmp_path / "download").keys() == state.keys()


def test_tensors_under_numbers_are_no_state_dict(tmp_path: Path) -> None:
    torch.save({0: torch.zeros(2)}, tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match="0 are no named tensors"):
        read_state_dict(tmp_path / "weights.pth")


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


def odd_state() -> dict[str, torch.Tensor]:
    """What real checkpoints hold: counters, views of one memory, columns first, half floats, nothing."""
    base = torch.randn(4, 6)
    return {
        "conv.weight": torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last),
        "bn.num_batches_tracked": torch.tensor(2**40 + 1),
        "shared.a": base,
        "shared.b": base,
        "view": base[1:3],
        "transposed": base.T,
        "expanded": torch.ones(1, 3).expand(5, 3),
        "half": torch.randn(3).half(),
        "bfloat": torch.randn(3).bfloat16(),
        "mask": torch.tensor([True, False]),
        "empty": torch.zeros(0, 3),
        "signed zero": torch.tensor([0.0, -0.0]),
    }


@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(lambda s: s, id="flat"),
        pytest.param(lambda s: {"epoch": 2, "state_dict": {f"module.{k}": v for k, v in s.items()}}, id="wrapped"),
    ],
)  # fmt: skip
def test_a_converted_file_holds_the_same_bits_under_the_same_names(
    tmp_path: Path, wrap: Callable[[Any], Any]
) -> None:
    source, target = tmp_path / "released.pth", tmp_path / "folder" / "new.safetensors"
    state = odd_state()
    torch.save(wrap(state), source)
    convert(source, target)
    found = read_state_dict(target)
    assert found.keys() == state.keys()
    for name, tensor in read_state_dict(source).items():
        assert found[name].dtype == tensor.dtype, name
        assert found[name].shape == tensor.shape, name
        bits = [t.contiguous().flatten().view(torch.uint8).tolist() for t in (found[name], tensor)]
        assert bits[0] == bits[1], name


def test_a_converted_file_says_what_it_was_made_from(tmp_path: Path) -> None:
    source, target = tmp_path / "released.pth", tmp_path / "new.safetensors"
    torch.save(network().state_dict(), source)
    convert(source, target)
    with safe_open(target, "pt") as file:
        origin = json.loads(file.metadata()["source"])
    assert origin == {"file": "released.pth", "sha256": hashlib.sha256(source.read_bytes()).hexdigest()}


def test_equal_sources_give_equal_files(tmp_path: Path) -> None:
    source = tmp_path / "released.pth"
    torch.save(odd_state(), source)
    for number in range(5):
        convert(source, tmp_path / f"{number}.safetensors")
    assert len({(tmp_path / f"{number}.safetensors").read_bytes() for number in range(5)}) == 1


def test_weights_that_do_not_fit_are_not_converted(tmp_path: Path) -> None:
    torch.save({"other": torch.zeros(1)}, tmp_path / "released.pth")
    with pytest.raises(WeightsError, match="not for this network"):
        convert(tmp_path / "released.pth", tmp_path / "new.safetensors", network())
    assert not (tmp_path / "new.safetensors").exists()


def test_conversion_overwrites_nothing(tmp_path: Path) -> None:
    source, target = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    save_file(network().state_dict(), source)
    target.write_text("precious")
    for out in (target, source):
        before = out.read_bytes()
        with pytest.raises(WeightsError, match="is there already"):
            convert(source, out)
        assert out.read_bytes() == before
    with pytest.raises(WeightsError, match=r"must end in \.safetensors"):
        convert(source, tmp_path / "new.pth")


def test_sparse_tensors_are_refused_by_name(tmp_path: Path) -> None:
    torch.save({"odd": torch.eye(3).to_sparse()}, tmp_path / "released.pth")
    with pytest.raises(WeightsError, match="odd is sparse"):
        convert(tmp_path / "released.pth", tmp_path / "new.safetensors")
