"""Read a PyTorch checkpoint with PyTorch's restricted unpickler, which executes nothing in it."""

import pickle
import re
import warnings
import zipfile
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from crowdbench.errors import WeightsError
from crowdbench.system.text import plain
from crowdbench.weights.checkpoint_file.completeness import survey_in
from crowdbench.weights.checkpoint_file.formats import Form, open_regular
from crowdbench.weights.checkpoint_file.pickle_survey import survey

# Kinds of numbers, and texts: nothing of them can run, or point to anything.
_HARMLESS = "?bhilqpBHILQPefdgFDGSUmM"
_SHOWN = 5


def read_pickled(path: Path, form: Form) -> Any:
    """Read the contents of a checkpoint, with its tensors on the CPU.

    Args:
        path: a complete file (`crowdbench.weights.checkpoint_file.completeness`).
        form: its form.

    Raises:
        WeightsError: it holds more than tensors, plain values and NumPy's numbers, or is damaged.
    """
    import torch

    try:
        with torch.serialization.safe_globals(_numpy_numbers()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the pickle's version, and of storages' names
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refused(path, form, error) from error
    except MemoryError as error:
        raise WeightsError(f"{path}: does not fit into this machine's memory.") from error
    except Exception as error:  # a damaged file fails wherever its bytes lead: struct, index, assertion, ...
        raise WeightsError(
            f"{path}: not a PyTorch checkpoint ({_first_line(error)}). Fetch it again."
        ) from error


def _refused(path: Path, form: Form, error: pickle.UnpicklingError) -> WeightsError:
    names = _would_run(path, form, error)
    if not names:
        return WeightsError(
            f"{path}: refused. The file is damaged, or it holds objects other than tensors "
            f"({_first_line(error)}). Fetch it again."
        )
    shown = ", ".join(names[:_SHOWN]) + (f", … ({len(names) - _SHOWN} more)" if len(names) > _SHOWN else "")
    return WeightsError(
        f"{path}: refused. It holds objects other than tensors, and loading those would run code from the "
        f"file: {shown}.\n"
        "If you trust its maker, save the state dict alone with torch.save or safetensors, and pass that."
    )


def _would_run(path: Path, form: Form, error: pickle.UnpicklingError) -> list[str]:
    """Full names of what the file asks for and may not have; the one that was met first comes first."""
    known = import_module("torch._weights_only_unpickler")._get_allowed_globals()
    asked = _asked_for(path, form)
    allowed = {*known, *(name for _, name in _numpy_numbers())}
    met = re.search(r"GLOBAL (\S+)", str(error))
    # PyTorch leaves the first module's name out where it is Python's own.
    first = [
        name for name in asked if met and name in (met[1], f"builtins.{met[1]}", f"__builtin__.{met[1]}")
    ]
    others = [name for name in asked if _today(name) not in allowed and name not in first]
    return [plain(_today(name)) for name in (*first, *others)]


def _today(name: str) -> str:
    """Python 2 called the module of its own names by another name, which old pickles keep."""
    return name.replace("__builtin__.", "builtins.", 1)


def _asked_for(path: Path, form: Form) -> list[str]:
    found: list[str] = []
    with open_regular(path) as file:
        if form is Form.PICKLE:
            try:
                while True:
                    found += survey(file).names
            except ValueError:
                return found  # behind the pickles come numbers
        with zipfile.ZipFile(file) as archive:
            for name in archive.namelist():
                if name.endswith("/data.pkl"):
                    found += survey_in(archive, name).names
    return found


def _first_line(error: Exception) -> str:
    text = str(error).partition("WeightsUnpickler error: ")[2] or str(error)
    line = (text.strip().splitlines() or [type(error).__name__])[0]
    line = line.split(" In PyTorch 2.6")[0].split(". Please use `torch")[0]  # advice to load it unsafely
    return plain(line[:200].rstrip("."))


class StoredArray:
    """A NumPy array as a checkpoint holds it: its kind, shape and bytes."""

    def __init__(self, *_: Any) -> None:
        self._state: Any = None

    def __setstate__(self, state: Any) -> None:
        self._state = state

    def array(self) -> "np.ndarray[Any, Any]":
        """The array; raises ValueError if it does not hold numbers."""
        try:
            _, shape, dtype, by_columns, data = self._state
            raw = data.encode("latin-1") if isinstance(data, str) else data
            return np.frombuffer(raw, dtype=_number_kind(dtype)).reshape(
                shape, order="F" if by_columns else "C"
            )
        except (TypeError, ValueError, pickle.UnpicklingError) as error:
            raise ValueError(f"not an array of numbers ({error})") from error


def _numpy_numbers() -> list[Any]:
    """Safe stand-ins, under NumPy's names, for what rebuilds numbers and arrays stored with weights."""
    kinds = dict.fromkeys(type(np.dtype(kind)) for kind in _HARMLESS)
    cores = ("numpy.core", "numpy._core")
    return [
        *((_scalar, f"{core}.multiarray.scalar") for core in cores),
        *((StoredArray, f"{core}.multiarray._reconstruct") for core in cores),
        *((_from_buffer, f"{core}.numeric._frombuffer") for core in cores),
        (StoredArray, "numpy.ndarray"),
        (_dtype, "numpy.dtype"),
        (_encoded, "_codecs.encode"),
        *((kind, f"numpy.dtypes.{kind.__name__}") for kind in kinds),
    ]


def _dtype(kind: Any, *_: Any) -> "np.dtype[Any]":
    """``numpy.dtype``, of numbers and texts only."""
    return _number_kind(np.dtype(kind))


def _number_kind(dtype: Any) -> "np.dtype[Any]":
    if not isinstance(dtype, np.dtype) or dtype.char not in _HARMLESS:
        raise pickle.UnpicklingError(f"NumPy's kind {dtype!r} is not of numbers")
    return dtype


def _scalar(dtype: Any, data: Any) -> Any:
    raw = data.encode("latin-1") if isinstance(data, str) else data  # as Python 2 wrote them
    if not isinstance(raw, bytes):
        raise pickle.UnpicklingError("a NumPy number without its bytes")
    return np.frombuffer(raw, dtype=_number_kind(dtype), count=1)[0]


def _from_buffer(data: Any, dtype: Any, shape: Any, order: Any) -> StoredArray:
    stored = StoredArray()
    stored.__setstate__((1, shape, dtype, order == "F", bytes(data)))
    return stored


def _encoded(text: Any, encoding: str = "latin1") -> bytes:
    """How Python writes bytes in pickles of the old protocol."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1", "utf-8", "ascii"):
        raise pickle.UnpicklingError("bytes in an unknown encoding")
    return text.encode(encoding)
