"""Weights: read safely, matched strictly, kept as safetensors.

Reading never executes what a file says: ``.safetensors`` holds tensors only, and everything else goes through
PyTorch's restricted unpickler (``weights_only=True``).
"""

import json
import pickle
import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from crowdbench.errors import MissingDataError, WeightsError
from crowdbench.files import write_whole
from crowdbench.hashing import file_digest

if TYPE_CHECKING:
    from torch import Tensor, nn

# Training scripts wrap the weights with optimizer state and counters; the best ones come first.
_WRAPPERS = ("best_state_dict", "state_dict", "model")
_SHOWN = 8
_LONGEST_HEADER = 100_000_000  # the format's own limit
_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"  # torch.save writes one or the other, by its age


def looks_like_weights(path: Path) -> bool:
    """Whether a file begins as weights do; tells a web page saved under a wrong name at no cost.

    Raises:
        MissingDataError: the file cannot be read.
    """
    start = _start(path)
    return start.startswith((_ZIP, _PICKLE)) or _is_safetensors(start)


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(9)
    except OSError as error:
        raise MissingDataError(f"{path}: cannot read the file ({error.strerror}).") from error


def _is_safetensors(start: bytes) -> bool:
    # The length of a JSON header, in eight bytes of which the highest are never used; then the header.
    return start[5:9] == b"\0\0\0{"


def read_state_dict(path: Path) -> "dict[str, Tensor]":
    """The tensors of a checkpoint file, by name, on the CPU.

    A dictionary under ``best_state_dict``, ``state_dict`` or ``model`` is unwrapped, in this order, and a
    ``module.`` in front of every name (DataParallel) is taken off.

    Raises:
        MissingDataError: there is no such file.
        WeightsError: the file is no checkpoint, or holds more than tensors and plain values.
    """
    if not path.is_file():
        raise MissingDataError(f"{path}: no such weights file. Pass --weights FILE, or --weights none.")
    # The content decides, not the name: what comes from a URL may be called anything.
    is_safetensors = path.suffix == ".safetensors" or _is_safetensors(_start(path))
    content = _read_safetensors(path) if is_safetensors else _read_pickled(path)
    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
            break
    state = _tensors_only(content, path)
    if all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    return state


def _read_safetensors(path: Path) -> "dict[str, Tensor]":
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise WeightsError(f"{path}: not a whole safetensors file ({error}). Fetch it again.") from error


def read_facts(path: Path) -> dict[str, Any]:
    """What crowdbench wrote into the header of weights that it trained; empty for all other files.

    Raises:
        MissingDataError: the file cannot be read.
    """
    if not _is_safetensors(_start(path)):
        return {}
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        try:
            header = json.loads(file.read(min(length, _LONGEST_HEADER)))
            facts = json.loads(header["__metadata__"]["crowdbench"])
        except (ValueError, KeyError, TypeError):
            return {}
    return facts if isinstance(facts, dict) else {}


def _read_pickled(path: Path) -> Any:
    import torch

    try:
        with torch.serialization.safe_globals(_numpy_scalars()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path}: refused. The file is damaged, or it holds objects other than tensors, and loading "
            f"those would run code from the file: {_what_it_holds(error)}.\n"
            "If you trust its maker, save the state dict alone with torch.save or safetensors, and pass that."
        ) from error
    except Exception as error:  # a damaged file fails wherever its bytes lead: struct, index, assertion, ...
        raise WeightsError(
            f"{path}: not a PyTorch checkpoint ({_first_line(error)}). Fetch it again."
        ) from error


def _numpy_scalars() -> list[Any]:
    """What rebuilds the numpy numbers (a best AP, a learning rate) that scripts save beside weights."""
    rebuild = import_module("numpy._core.multiarray").scalar
    kinds = [type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64, np.int32)]
    # numpy 1 wrote another module's name for the same function.
    return [np.dtype, *kinds, *((rebuild, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core"))]


def _what_it_holds(error: pickle.UnpicklingError) -> str:
    """The offending part of PyTorch's message, without its advice to load the file unsafely."""
    found = re.search(r"GLOBAL (\S+)|WeightsUnpickler error: ([^.\n]+)", str(error))
    return (found[1] or found[2]) if found else "something else"


def _first_line(error: Exception) -> str:
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return line.split(" In PyTorch 2.6")[0][:200]  # advice to load the file unsafely


def _tensors_only(content: Any, path: Path) -> "dict[str, Tensor]":
    import torch

    if not isinstance(content, Mapping) or not content:
        raise WeightsError(f"{path}: holds {type(content).__name__}, not a dictionary of tensors.")
    strangers = [
        name
        for name, value in content.items()
        if not (isinstance(name, str) and isinstance(value, torch.Tensor))
    ]
    if strangers:
        raise WeightsError(
            f"{path}: not a state dict: {_some(map(str, strangers))} are no named tensors. Looked for a "
            f"dictionary of tensors at the top or under {', '.join(_WRAPPERS)}."
        )
    return dict(content)


def load_weights(network: "nn.Module", state: "Mapping[str, Tensor]", source: str) -> None:
    """Put weights into a network; every name and shape must match.

    Args:
        network: changed in place.
        state: tensors by name.
        source: names the file in messages.

    Raises:
        WeightsError: lists missing and unexpected names, and shapes that differ.
    """
    own = network.state_dict()
    missing = sorted(own.keys() - state.keys())
    unexpected = sorted(state.keys() - own.keys())
    differing = [
        f"{name} (file {tuple(state[name].shape)}, network {tuple(own[name].shape)})"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    if not (missing or unexpected or differing):
        network.load_state_dict(dict(state), strict=True)
        return
    lines = [f"{source}: these weights are not for this network ({len(own)} tensors)."]
    for what, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", differing)):
        if names:
            lines.append(f"  {len(names)} {what}: {_some(names)}")
    lines.append("Check that method, dataset and settings are those the weights were trained with.")
    raise WeightsError("\n".join(lines))


def _some(names: Any) -> str:
    names = list(names)
    return ", ".join(names[:_SHOWN]) + (f", … ({len(names) - _SHOWN} more)" if len(names) > _SHOWN else "")


def convert(source: Path, target: Path, network: "nn.Module | None" = None) -> None:
    """Rewrite a checkpoint as safetensors, which no reader needs to trust.

    The new file holds the same tensors under the names that `read_state_dict` gives them, and in its header
    the name and SHA-256 of the file they came from. Equal sources give equal files.

    Args:
        source: anything that `read_state_dict` reads.
        target: ends in ``.safetensors``; must not exist.
        network: if given, the weights must fit it.

    Raises:
        WeightsError: the source is refused or does not fit, or the target is there or has another ending.
        MissingDataError: the source is not there.
        MachineError: the target cannot be written.
    """
    from safetensors.torch import save

    if target.suffix != ".safetensors":
        raise WeightsError(f"{target}: the new file's name must end in .safetensors.")
    if target.exists():
        raise WeightsError(f"{target}: is there already. Delete it, or choose another name.")
    state = read_state_dict(source)
    if network is not None:
        load_weights(network, state, str(source))
    # One entry only: safetensors writes several in an order that changes from run to run.
    header = {"source": json.dumps({"file": source.name, "sha256": file_digest(source)})}
    data = save({name: _own(tensor, name, source) for name, tensor in state.items()}, header)
    write_whole(target, data)


def _own(tensor: "Tensor", name: str, source: Path) -> "Tensor":
    """A plain copy: in row-major order, and sharing memory with no other tensor."""
    import torch

    if tensor.layout != torch.strided or tensor.is_quantized:
        raise WeightsError(f"{source}: {name} is sparse or quantized, which safetensors cannot hold.")
    return tensor.detach().clone(memory_format=torch.contiguous_format)
