"""Check from a checkpoint's structure that it is complete, without loading or executing anything."""

import copy
import io
import json
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

from crowdbench.errors import CrowdbenchError, WeightsError
from crowdbench.system.text import GIB, in_bytes
from crowdbench.weights.checkpoint_file.formats import Form, form_of, open_regular
from crowdbench.weights.checkpoint_file.pickle_survey import Survey, survey
from crowdbench.weights.checkpoint_file.safetensors_header import read_header

# Checkpoints are not compressed. One that was packed again by hand shrinks little: weights are like noise.
_MOST_UNPACKED = 10
_CHUNK = 1 << 20
_LARGEST_JSON = 1 << 30
_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_PICKLES_BEFORE_DATA = 5  # magic number, protocol, the writer's machine, the object, the keys of its storages
# Of onnx.ModelProto: the graph, and which operators it is made of; a model has both.
_GRAPH, _OPERATORS = 7, 8
_MODEL_FIELDS = frozenset((*range(1, 9), 14, 20, 25, 26))


def require_whole(path: Path, *, checksums: bool = True) -> Form:
    """Refuse a file of which a part is missing or changed, as far as its structure tells.

    Args:
        path: the file.
        checksums: also read all of it and compare what has checksums (zip files).

    Returns:
        What it is.

    Raises:
        MissingDataError: it cannot be read.
        WeightsError: it is not whole, or nothing that any method takes; says which.
    """
    form = form_of(path)
    if form is Form.SAFETENSORS:
        read_header(path)
    elif form in (Form.CHECKPOINT, Form.TORCHSCRIPT):
        _require_zip(path, checksums)
    elif form is Form.PICKLE:
        _require_pickle(path)
    elif form is Form.ONNX:
        _require_model(path)
    elif checksums:
        _require_json(path)
    return form


def is_whole(path: Path) -> bool:
    """Whether `require_whole` has nothing to say against a file."""
    try:
        require_whole(path)
    except CrowdbenchError:
        return False
    return True


def _not_whole(path: Path, what: str, why: object) -> WeightsError:
    return WeightsError(f"{path}: not a whole {what} ({why}). Fetch it again.")


def _require_zip(path: Path, checksums: bool) -> None:
    what = "PyTorch checkpoint"
    with open_regular(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                require_unpackable(archive, path)
                size = file.seek(0, 2)
                for info in archive.infolist():
                    if info.header_offset + info.compress_size > size:
                        raise _not_whole(path, what, f"{info.filename} ends behind the file's end")
                _require_storages(archive, path)
                if checksums:
                    _require_checksums(archive, path)
        except (zipfile.BadZipFile, zlib.error, OSError, ValueError, RuntimeError) as error:
            raise _not_whole(path, what, error) from error
        except (NotImplementedError, EOFError, MemoryError, KeyError) as error:
            raise _not_whole(path, what, error or "it ends early") from error


def require_unpackable(archive: zipfile.ZipFile, path: Path) -> None:
    """Raise WeightsError if a zip file unpacks to far more than its size."""
    packed = sum(info.compress_size for info in archive.infolist())
    unpacked = sum(info.file_size for info in archive.infolist())
    if unpacked > max(GIB, _MOST_UNPACKED * packed):
        raise WeightsError(
            f"{path}: refused. It unpacks to {in_bytes(unpacked)}, from {in_bytes(packed)}: no weights "
            "can be packed so small."
        )


def _require_storages(archive: zipfile.ZipFile, path: Path) -> None:
    """See that every tensor's numbers are in the file, as many as there must be."""
    for pickled in (name for name in archive.namelist() if name.endswith("/data.pkl")):
        expected = survey_in(archive, pickled).storages
        folder = pickled.removesuffix("data.pkl")
        for key, size in expected.items():
            found = archive.getinfo(f"{folder}data/{key}").file_size
            if size not in (None, found):
                raise _not_whole(
                    path, "PyTorch checkpoint", f"{folder}data/{key} has {found} bytes instead of {size}"
                )


def survey_in(archive: zipfile.ZipFile, name: str) -> Survey:
    """Survey a pickle in a zip file, whatever its checksum; raises what `survey` raises."""
    unchecked = copy.copy(archive.getinfo(name))
    del unchecked.CRC
    with archive.open(unchecked) as stream:
        return survey(io.BytesIO(stream.read()))


def _require_checksums(archive: zipfile.ZipFile, path: Path) -> None:
    entries = archive.infolist()
    wrong = [info.filename for info in entries if not _has_its_checksum(archive, info)]
    # PyTorch can be set not to compute checksums; it then writes wrong ones.
    if wrong and len(wrong) < len(entries):
        raise _not_whole(path, "PyTorch checkpoint", f"the checksum of {wrong[0]} is another")


def _has_its_checksum(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bool:
    with archive.open(info) as stream:
        try:
            while stream.read(_CHUNK):
                pass
        except zipfile.BadZipFile:
            return False
    return True


def _require_pickle(path: Path) -> None:
    """A plain pickle ends with its last instruction; PyTorch's old form goes on with the tensors' numbers."""
    try:
        with open_regular(path) as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                file.seek(0)
                survey(file)
                return
            file.seek(0)
            parts = [survey(file) for _ in range(_PICKLES_BEFORE_DATA)]
            sizes, keys = parts[3].storages, parts[4].texts
            if set(keys) != set(sizes) or len(set(keys)) != len(keys):
                raise ValueError("its tensors and the list of them differ")
            for key in keys:
                size = sizes[key]
                if size is None:
                    raise ValueError("it has numbers of an unknown kind")
                if len(file.read(8)) < 8 or len(_skipped(file, size)) < min(size, 1):
                    raise ValueError("it ends early")
    except ValueError as error:
        raise _not_whole(path, "PyTorch checkpoint", error) from error


def _skipped(file: BinaryIO, size: int) -> bytes:
    """Go so many bytes on; the last of them, nothing if the file ends before."""
    if size == 0:
        return b""
    file.seek(size - 1, 1)
    return file.read(1)


def _require_model(path: Path) -> None:
    """Follow the outermost fields of an ONNX file to its end."""
    seen = set()
    try:
        with open_regular(path) as file:
            size = file.seek(0, 2)
            file.seek(0)
            while file.tell() < size:
                tag = _varint(file)
                number, kind = tag >> 3, tag & 7
                if number not in _MODEL_FIELDS:
                    raise ValueError(f"it has a field {number}, which no ONNX model has")
                seen.add(number)
                if kind == 0:
                    _varint(file)
                    continue
                length = {1: 8, 5: 4}.get(kind) if kind != 2 else _varint(file)
                if length is None or file.tell() + length > size:
                    raise ValueError("it ends early")
                file.seek(length, 1)
        if not {_GRAPH, _OPERATORS} <= seen:
            raise ValueError("it ends early")
    except ValueError as error:
        raise _not_whole(path, "ONNX model", error) from error


def _varint(file: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise ValueError("it ends early")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("it is damaged")


def _require_json(path: Path) -> None:
    what = "results file"
    with open_regular(path) as file:
        data = file.read(_LARGEST_JSON + 1)
    if len(data) > _LARGEST_JSON:
        raise WeightsError(f"{path}: results files of more than {in_bytes(_LARGEST_JSON)} are not fetched.")
    try:
        json.loads(data)
    except RecursionError as error:
        raise _not_whole(path, what, "lists are nested too deeply") from error
    except ValueError as error:
        raise _not_whole(path, what, error) from error
