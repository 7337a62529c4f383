"""Detect the format of a checkpoint from its content, since names from URLs say little."""

import os
import re
import stat
import zipfile
from enum import Enum
from pathlib import Path
from typing import BinaryIO

from crowdbench.errors import MissingDataError, WeightsError
from crowdbench.system.files.content import recognise

_START = 1024
_PICKLE = re.compile(rb"\x80[\x02-\x05]")
_ONNX_FIRST = re.compile(rb"\x08[\x01-\x7f][\x12\x1a\x22\x28\x32\x3a\x42]")
_REMEDIES = {
    "a web page": "The download was answered with a page; fetch the file itself.",
    "a Git LFS pointer, not the file itself": "Fetch the file itself with `git lfs pull`.",
    "an answer of a server in JSON": "The server refused to give the file; it says why in there.",
    "an answer of a server in XML": "The server refused to give the file; it says why in there.",
    "a results file or other JSON": "Only the method `results` takes such a file.",
    "an empty file": "Fetch or copy it again.",
    "gzip data": "Unpack it with gunzip, and give what is in it.",
}
_UNPACK = "Unpack it, and give the file of weights that is in it."


class Form(Enum):
    """The kinds of files that methods take as weights."""

    SAFETENSORS = "a safetensors file"
    CHECKPOINT = "a PyTorch checkpoint"
    PICKLE = "a PyTorch checkpoint of the old form"
    TORCHSCRIPT = "a TorchScript program"
    ONNX = "an ONNX model"
    RESULTS = "a results file or other JSON"


def open_regular(path: Path) -> BinaryIO:
    """Open a weights file without blocking; raises MissingDataError unless it is a readable file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError as error:
        raise MissingDataError(
            f"{path}: no such weights file. Pass --weights FILE, or --weights none."
        ) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise MissingDataError(f"{path}: cannot read the file ({reason}).") from error
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        if stat.S_ISDIR(mode):
            raise MissingDataError(f"{path}: this is a folder, not a file of weights. {_in_folder(path)}")
        raise MissingDataError(f"{path}: this is a pipe or a device, not a file of weights.")
    return open(descriptor, "rb")  # noqa: PTH123


def _in_folder(path: Path) -> str:
    if (path / "data.pkl").is_file() or any(path.glob("*/data.pkl")):
        return "It is an unpacked PyTorch checkpoint: give the file as it was before it was unpacked."
    return "Give a file inside."


def form_of(path: Path) -> Form:
    """Determine the form of a file from its beginning, or from the directory of a zip file.

    Raises:
        MissingDataError: as `open_regular`.
        WeightsError: no method accepts it; says what it is, and what to do.
    """
    with open_regular(path) as file:
        start = file.read(_START)
        form = form_of_start(start)
        if form is Form.CHECKPOINT:
            form = _form_of_zip(file, path)
    if form is None:
        raise WeightsError(f"{path}: {not_weights(start)}")
    return form


def refuse_others(path: Path) -> None:
    """Refuse a file that does not begin like weights, such as a web page or an archive.

    Raises:
        MissingDataError: as `open_regular`.
        WeightsError: says what it is, and what to do.
    """
    with open_regular(path) as file:
        start = file.read(_START)
    if form_of_start(start) is None:
        raise WeightsError(f"{path}: {not_weights(start)}")


def form_of_start(start: bytes) -> Form | None:
    """The form of a file by its first bytes (any zip file counts as a checkpoint); None if not weights."""
    if is_safetensors(start):
        return Form.SAFETENSORS
    if start.startswith(b"PK\x03\x04"):
        return Form.CHECKPOINT
    if _PICKLE.match(start):
        return Form.PICKLE
    if _ONNX_FIRST.match(start):
        return Form.ONNX
    if start.lstrip()[:1] == b"[":
        return Form.RESULTS
    return None


def is_safetensors(start: bytes) -> bool:
    """Whether a file begins as safetensors: eight bytes of a JSON header's length, then the header."""
    return start[5:9] == b"\0\0\0{"


def not_weights(start: bytes) -> str:
    """What a file is instead of weights, and what to do; two sentences."""
    found = _named(start)
    if found is None:
        return (
            "not a file of weights: neither safetensors, nor a PyTorch checkpoint, nor ONNX. Fetch it again."
        )
    instead = "" if ", not" in found else ", not a file of weights"
    return f"this is {found}{instead}. {_REMEDIES.get(found, _UNPACK)}"


def _named(start: bytes) -> str | None:
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    is_page = re.search(rb"<!doctype html|<html", start, re.IGNORECASE)
    kinds = {
        "an empty file": not start,
        "gzip data": start.startswith(b"\x1f\x8b"),
        "a tar archive": start[257:262] == b"ustar",
        "an answer of a server in XML": text.startswith(b"<?xml") and not is_page,
        "an answer of a server in JSON": text.startswith(b"{"),
        "a web page": re.match(rb"<[a-z!/]", text, re.IGNORECASE),
    }
    return next((name for name, is_so in kinds.items() if is_so), None) or recognise(start)


def _form_of_zip(file: BinaryIO, path: Path) -> Form:
    names = zip_names(file, path)
    inner = {name.split("/", 1)[-1] for name in names}
    if "constants.pkl" in inner and any(name.startswith("code/") for name in inner):
        return Form.TORCHSCRIPT
    if "data.pkl" in inner:
        return Form.CHECKPOINT
    shown = ", ".join(names[:4]) + (", …" if len(names) > 4 else "")
    raise WeightsError(
        f"{path}: this is a zip archive ({shown or 'of nothing'}), not a file of weights. {_UNPACK}"
    )


def zip_names(file: BinaryIO, path: Path) -> list[str]:
    """The names in a zip file's directory; raises WeightsError if that is missing or damaged."""
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        raise WeightsError(
            f"{path}: not a whole PyTorch checkpoint: its directory, at the end, is missing or damaged "
            f"({error}). Fetch it again."
        ) from error
