"""The section "Weights" of docs/bad-input.md: files on this disk."""

import argparse
import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save
from support.bad_input_cases import Cases
from support.data import onnx_models
from support.data.weights_files import (
    check,
    convert,
    packed,
    saved,
    state,
    written,
)

case = Cases("Weights")


def weights_case(name: str) -> Callable[[Callable[[], Any]], None]:
    """A case that is one object, given to torch.save."""

    def register(content: Callable[[], Any]) -> None:
        case(name)(lambda folder: saved(folder, content()))

    return register


# What is not weights.


@case("no-such-weights")
def _(folder: Path) -> list[str]:
    return convert(folder / "nowhere.pth")


@case("weights-that-are-a-folder")
def _(folder: Path) -> list[str]:
    (folder / "w.pth").mkdir()
    return convert(folder / "w.pth")


@case("weights-that-are-an-unpacked-checkpoint")
def _(folder: Path) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(packed({"a": torch.zeros(2)}))) as archive:
        archive.extractall(folder / "w")
    return convert(folder / "w")


@case("weights-that-are-a-pipe")
def _(folder: Path) -> list[str]:
    os.mkfifo(folder / "w.pth")
    return convert(folder / "w.pth")


@case("a-web-page-for-weights")
def _(folder: Path) -> list[str]:
    return written(folder, b"<!DOCTYPE html><html><title>Quota exceeded</title></html>")


@case("a-lfs-pointer-for-weights")
def _(folder: Path) -> list[str]:
    return written(folder, b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")


@case("an-xml-answer-for-weights")
def _(folder: Path) -> list[str]:
    return written(folder, b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>')


@case("a-json-answer-for-weights")
def _(folder: Path) -> list[str]:
    return written(folder, b'{"error": "no permission"}')


@case("weights-that-are-empty")
def _(folder: Path) -> list[str]:
    return written(folder, b"")


@case("weights-in-a-tar")
def _(folder: Path) -> list[str]:
    with tarfile.open(folder / "w.pth", "w") as archive:
        archive.addfile(tarfile.TarInfo("model.pth"))
    return convert(folder / "w.pth")


@case("weights-in-a-zip")
def _(folder: Path) -> list[str]:
    with zipfile.ZipFile(folder / "w.pth", "w") as archive:
        archive.writestr("model.pth", packed({"a": torch.zeros(2)}))
    return convert(folder / "w.pth")


@case("weights-in-a-7z")
def _(folder: Path) -> list[str]:
    return written(folder, b"7z\xbc\xaf\x27\x1c" + bytes(40))


@case("weights-that-are-gzipped")
def _(folder: Path) -> list[str]:
    return written(folder, b"\x1f\x8b" + bytes(40))


@case("weights-that-are-torchscript")
def _(folder: Path) -> list[str]:
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)), folder / "w.pth")  # type: ignore[no-untyped-call]
    return convert(folder / "w.pth")


@case("weights-that-are-onnx")
def _(folder: Path) -> list[str]:
    onnx_models.constant(folder / "w.onnx", (1, 3, 16, 16), {"out": np.zeros((1, 4))})
    return convert(folder / "w.onnx")


# What is not whole.


@case("half-a-checkpoint")
def _(folder: Path) -> list[str]:
    data = packed(state())
    return written(folder, data[: len(data) // 2])


@case("half-a-checkpoint-of-the-old-form")
def _(folder: Path) -> list[str]:
    data = packed(state(), _use_new_zipfile_serialization=False)
    return written(folder, data[:-20])


@case("half-a-safetensors-file")
def _(folder: Path) -> list[str]:
    data = save(state())
    return written(folder, data[: len(data) // 2], "w.safetensors")


def with_header(folder: Path, header: str, data: bytes = bytes(8), length: int | None = None) -> list[str]:
    raw = header.encode()
    count = len(raw) if length is None else length
    return written(folder, count.to_bytes(8, "little") + raw + data, "w.safetensors")


@case("a-header-that-is-longer-than-its-file")
def _(folder: Path) -> list[str]:
    return with_header(folder, '{"a":{}}', length=1 << 38)


@case("a-header-that-names-a-tensor-twice")
def _(folder: Path) -> list[str]:
    one = '"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}'
    return with_header(folder, f"{{{one},{one}}}")


@case("a-header-nested-deeply")
def _(folder: Path) -> list[str]:
    return with_header(folder, '{"__metadata__":' + "[" * 200_000 + "]" * 200_000 + "}")


@case("a-header-that-promises-a-terabyte")
def _(folder: Path) -> list[str]:
    return with_header(folder, '{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,8]}}')


@case("a-header-of-an-unknown-kind-of-number")
def _(folder: Path) -> list[str]:
    return with_header(folder, '{"a":{"dtype":"F31","shape":[2],"data_offsets":[0,8]}}')


@case("a-checkpoint-that-promises-a-terabyte")
def _(folder: Path) -> list[str]:
    # The old form: a storage's length stands in the pickle, and its numbers behind it.
    data = packed({"a": torch.zeros(300)}, _use_new_zipfile_serialization=False)
    return written(folder, data.replace(b"M,\x01N", b"J\xff\xff\xff\x7fN", 1))


@case("a-checkpoint-that-unpacks-to-terabytes")
def _(folder: Path) -> list[str]:
    with zipfile.ZipFile(folder / "w.pth", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("w/data.pkl", b"\x80\x02}.")
        info = zipfile.ZipInfo("w/data/0")
        archive.writestr(info, b"")
        info.file_size = 1 << 42
    return convert(folder / "w.pth")


# What would run code.


@weights_case("weights-with-a-namespace")
def _() -> Any:
    return {"state_dict": state(), "args": argparse.Namespace(lr=1)}


@weights_case("weights-that-are-a-whole-network")
def _() -> Any:
    return torch.nn.Sequential(torch.nn.Linear(2, 2))


@weights_case("weights-with-an-array-of-objects")
def _() -> Any:
    return {"state_dict": state(), "log": np.array([print, None], dtype=object)}


def test_every_row_has_a_case() -> None:
    case.check_complete()


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")  # of torch, on odd tensors
@pytest.mark.parametrize("name", case.makers)
def test_the_command_says_what_the_page_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    check(case, name, tmp_path, monkeypatch, capsys)
