"""The header of a safetensors file, trusted only if it describes the file that it is in."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crowdbench.errors import WeightsError
from crowdbench.weights.checkpoint_file.formats import is_safetensors, open_regular

_LONGEST = 100_000_000  # the format's own limit
_BITS = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    "F4": 4,
}


@dataclass(frozen=True)
class Header:
    """The header of a safetensors file.

    Attributes:
        metadata: the writer's strings by name.
        tensors: names of its tensors.
    """

    metadata: dict[str, str]
    tensors: tuple[str, ...]


def read_header(path: Path) -> Header:
    """Read the header, and verify that it accounts for every byte of the file.

    Raises:
        MissingDataError: the file cannot be read.
        WeightsError: the header is damaged, or the file truncated.
    """
    with open_regular(path) as file:
        size = file.seek(0, 2)
        file.seek(0)
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > size - 8:
            raise _broken(path, f"its header is {length} bytes long, the whole file {size}")
        if length > _LONGEST:
            raise _broken(path, f"its header is {length} bytes long; the format allows {_LONGEST}")
        raw = file.read(length)
    content = _decoded(raw, path)
    metadata = content.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _broken(path, "__metadata__ is not texts by name")
    spans = sorted(_span(name, value, path) for name, value in content.items())
    end = 0
    for begin, stop, name in spans:
        if begin != end:
            raise _broken(path, f"{name} begins at byte {begin}, and the one before it ends at {end}")
        end = stop
    data = size - 8 - length
    if end != data:
        raise _broken(path, f"its tensors take {end} bytes, and {data} are there")
    return Header(metadata, tuple(content))


def read_facts(path: Path) -> dict[str, Any]:
    """The facts in the header of weights trained by crowdbench, else empty; raises MissingDataError."""
    with open_regular(path) as file:
        if not is_safetensors(file.read(9)):
            return {}
    try:
        facts = json.loads(read_header(path).metadata["crowdbench"])
    except (WeightsError, ValueError, KeyError, RecursionError):
        return {}  # what is wrong with the file is said when it is loaded
    return facts if isinstance(facts, dict) else {}


def _decoded(raw: bytes, path: Path) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            seen: set[str] = set()
            twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
            raise ValueError(f"it names {twice!r} twice")
        return found

    try:
        content = json.loads(raw.decode("utf-8"), object_pairs_hook=unique)
    except RecursionError as error:
        raise _broken(path, "its header is nested too deeply") from error
    except MemoryError as error:
        raise _broken(path, "its header does not fit into memory") from error
    except ValueError as error:
        raise _broken(path, f"its header is damaged: {error}") from error
    if not isinstance(content, dict):
        raise _broken(path, "its header is not a JSON object")
    return content


def _span(name: str, value: Any, path: Path) -> tuple[int, int, str]:
    """First byte of a tensor's data, the one behind its last, and its name."""
    try:
        dtype, shape, (begin, end) = value["dtype"], value["shape"], value["data_offsets"]
        counts = [*shape, begin, end]
    except (TypeError, KeyError, ValueError) as error:
        raise _broken(path, f"{name} has no dtype, shape and data_offsets") from error
    if any(type(count) is not int or not 0 <= count < 1 << 63 for count in counts) or begin > end:
        raise _broken(path, f"{name} has a shape or data_offsets that are no numbers of bytes")
    if not isinstance(dtype, str) or dtype not in _BITS:
        raise _broken(path, f"{name} is of an unknown kind, {str(dtype)[:40]!r}")
    if math.prod(shape) * _BITS[dtype] != (end - begin) * 8:
        shown = f"{shape}" if len(shape) <= 8 else f"of {len(shape)} axes"
        raise _broken(path, f"{name}, {dtype} {shown}, has {end - begin} bytes")
    return begin, end, name


def _broken(path: Path, why: str) -> WeightsError:
    return WeightsError(f"{path}: not a whole safetensors file ({why}). Fetch it again.")
