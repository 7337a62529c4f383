"""State dicts: read safely, matched strictly, stored as safetensors.

Nothing in a file is executed: ``.safetensors`` holds tensors only, and everything else goes through PyTorch's
restricted unpickler (``weights_only=True``).
"""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crowdbench.errors import WeightsError
from crowdbench.system.files.digests import file_digest
from crowdbench.system.files.writing import write_whole
from crowdbench.system.text import plain
from crowdbench.weights.cache import get_again
from crowdbench.weights.checkpoint_file.completeness import require_whole
from crowdbench.weights.checkpoint_file.formats import Form
from crowdbench.weights.checkpoint_file.prefixes import fitted, unwrapped
from crowdbench.weights.checkpoint_file.selection import choose
from crowdbench.weights.checkpoint_file.tensors import converted, finite, plain_tensors, rounding
from crowdbench.weights.checkpoint_file.unpickling import read_pickled

if TYPE_CHECKING:
    from torch import Tensor, nn

log = logging.getLogger("crowdbench")

Rename = Callable[[Mapping[str, "Tensor"]], Mapping[str, "Tensor"]]
_SHOWN = 8
_AGAIN = "Fetch it again."
_OTHER_FORMS = {
    Form.TORCHSCRIPT: (
        "a TorchScript program, which is code. If you trust its maker, save its weights alone, in Python: "
        "torch.save(torch.jit.load(FILE).state_dict(), 'weights.pth')"
    ),
    Form.ONNX: "an ONNX model; expected a PyTorch checkpoint or safetensors. Other methods take ONNX models",
    Form.RESULTS: "a results file or other JSON; expected a PyTorch checkpoint or safetensors",
}


@dataclass(frozen=True)
class Loaded:
    """The weights of a file.

    Attributes:
        state: tensors by the file's names, on the CPU.
        notes: how the weights were selected, where that can change numbers.
    """

    state: "dict[str, Tensor]"
    notes: tuple[str, ...] = ()


def read_weights(path: Path, part: str | None = None) -> Loaded:
    """The weights in a checkpoint file, by the names in it.

    Args:
        path: the file.
        part: which, if the file has several sets; None takes what training scripts call the network's.

    Raises:
        MissingDataError: there is no such file.
        WeightsError: the file is incomplete or not a checkpoint, or holds more than tensors and plain values,
            or tensors that cannot be weights.
    """
    try:
        return _read(path, part)
    except WeightsError as error:
        way = get_again(path) if str(error).endswith(_AGAIN) else None
        if way is None:
            raise
        raise WeightsError(f"{error}\nThe cached file does not load; {way}") from error


def _read(path: Path, part: str | None) -> Loaded:
    # Before anything is loaded: a file of a kilobyte can announce a terabyte.
    form = require_whole(path, checksums=False)
    if form in _OTHER_FORMS:
        raise WeightsError(f"{path}: this is {_OTHER_FORMS[form]}.")
    content = _read_safetensors(path) if form is Form.SAFETENSORS else read_pickled(path, form)
    chosen = choose(content, path, part)
    return Loaded(plain_tensors(chosen.state, path), (chosen.note,) if chosen.note else ())


def read_state_dict(path: Path) -> "dict[str, Tensor]":
    """The tensors of a checkpoint file, by name, on the CPU.

    Like `read_weights`, without the prefixes ``module.`` (DataParallel) and ``_orig_mod.`` (torch.compile).

    Raises:
        MissingDataError: there is no such file.
        WeightsError: see `read_weights`.
    """
    return unwrapped(read_weights(path).state)


def _read_safetensors(path: Path) -> "dict[str, Tensor]":
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, RuntimeError, MemoryError, KeyError) as error:
        raise WeightsError(
            f"{path}: not a whole safetensors file ({plain(str(error))}). Fetch it again."
        ) from error


def put_weights(
    network: "nn.Module", path: Path, rename: Rename = lambda state: state, *, part: str | None = None
) -> list[str]:
    """Load a file's weights into a network; every name and shape must match.

    Prefixes of all names (``module.``, ``model.``, ``backbone.``, ...) are removed if the names match the
    network's only without them.

    Args:
        network: changed in place.
        path: the file.
        rename: maps the file's names, without prefixes, to the network's.
        part: see `read_weights`.

    Returns:
        The decisions that were made, in sentences for the record; also logged.

    Raises:
        MissingDataError: there is no such file.
        WeightsError: see `read_weights` and `load_weights`.
    """
    loaded = read_weights(path, part)
    state, notes = _without_prefixes(loaded, network, path, rename)
    notes += load_weights(network, rename(state), str(path))
    for note in notes:
        log.info("%s", note)
    return notes


def starting_weights(network: "nn.Module", path: Path) -> "tuple[dict[str, Tensor], list[str]]":
    """Initial weights of a training, by the network's names as far as they match; and notes.

    Raises:
        MissingDataError: there is no such file.
        WeightsError: see `read_weights`.
    """
    return _without_prefixes(read_weights(path), network, path)


def _without_prefixes(
    loaded: Loaded, network: "nn.Module", path: Path, rename: Rename = lambda state: state
) -> "tuple[dict[str, Tensor], list[str]]":
    state, taken = fitted(loaded.state, network.state_dict(), rename)
    notes = [*loaded.notes]
    if taken not in (None, "module."):  # DataParallel's is what everybody expects
        notes.append(f"{path.name}: {taken} was taken off the names of the tensors")
    return state, notes


def load_weights(network: "nn.Module", state: "Mapping[str, Tensor]", source: str) -> list[str]:
    """Load weights into a network; every name, shape and dtype must match.

    Floating-point numbers of another width become the network's.

    Args:
        network: changed in place.
        state: tensors by name.
        source: the file's name in messages.

    Returns:
        The conversions, in sentences for the record.

    Raises:
        WeightsError: lists missing and unexpected names, and different shapes; or names a tensor of another
            kind of number, or with numbers that are not finite.
    """
    own = network.state_dict()
    missing = sorted(own.keys() - state.keys())
    unexpected = sorted(state.keys() - own.keys())
    differing = [
        f"{name} (file {_axes(state[name])}, network {_axes(own[name])})"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    if not (missing or unexpected or differing):
        fitting = {name: converted(name, tensor, own[name], source) for name, tensor in state.items()}
        network.load_state_dict(fitting, strict=True)
        rounded = rounding(state, own)
        return [f"{Path(source).name}: {rounded}"] if rounded else []
    lines = [f"{source}: these weights are not for this network ({len(own)} tensors)."]
    for what, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", differing)):
        if names:
            lines.append(f"  {len(names)} {what}: {_some(plain(name) for name in names)}")
    lines += _part_that_fits(state, own, source)
    lines.append("Check that method, dataset and settings are those the weights were trained with.")
    raise WeightsError("\n".join(lines))


def _part_that_fits(state: "Mapping[str, Tensor]", own: "Mapping[str, Tensor]", source: str) -> list[str]:
    """Where all the network's tensors are in the file behind one prefix, and others beside them."""
    for part in dict.fromkeys(name.partition(".")[0] for name in state):
        if all(f"{part}.{name}" in state for name in own):
            return [
                f"All its tensors are there, as {plain(part)}.…, among others. To take those: crowdbench "
                f"weights convert {source} OUT.safetensors --part {plain(part)}"
            ]
    return []


def _axes(tensor: "Tensor") -> str:
    shape = tuple(tensor.shape)
    return f"{shape}" if len(shape) <= 8 else f"{len(shape)} axes"


def _some(names: Any) -> str:
    names = list(names)
    return ", ".join(names[:_SHOWN]) + (f", … ({len(names) - _SHOWN} more)" if len(names) > _SHOWN else "")


def convert(
    source: Path,
    target: Path,
    network: "nn.Module | None" = None,
    *,
    part: str | None = None,
    rename: Rename = lambda state: state,
) -> list[str]:
    """Rewrite a checkpoint as safetensors, which needs no trust.

    The new file holds the same tensors under the names that `read_state_dict` gives them, or under those that
    fit the network; its header has name and SHA-256 of the source. Equal sources give equal files.

    Args:
        source: anything that `read_weights` reads.
        target: ends in ``.safetensors``; must not exist.
        network: if given, the weights must fit it.
        part: which weights, if the file has several sets.
        rename: maps names of the file to names of the network, for the method.

    Returns:
        The decisions that were made, in sentences.

    Raises:
        WeightsError: the source is refused or does not fit, or the target exists or has another ending.
        MissingDataError: the source does not exist.
        MachineError: the target cannot be written.
    """
    from safetensors.torch import save

    if target.suffix != ".safetensors":
        raise WeightsError(f"{target}: the new file's name must end in .safetensors.")
    if target.exists():
        raise WeightsError(f"{target}: is there already. Delete it, or choose another name.")
    loaded = read_weights(source, part)
    if network is None:
        state, notes = unwrapped(loaded.state), list(loaded.notes)
        _refuse_infinities(state, source)
    else:
        state, notes = _without_prefixes(loaded, network, source, rename)
        load_weights(network, rename(state), str(source))
    # One entry only: safetensors writes several in an order that changes from run to run.
    origin = {"file": source.name, "sha256": file_digest(source), **({"part": part} if part else {})}
    try:
        data = save({name: _own(tensor) for name, tensor in state.items()}, {"source": json.dumps(origin)})
    except (KeyError, ValueError, RuntimeError, MemoryError) as error:  # a kind that safetensors lacks
        raise WeightsError(f"{source}: cannot be written as safetensors ({plain(str(error))}).") from error
    write_whole(target, data)
    return notes


def _refuse_infinities(state: "Mapping[str, Tensor]", source: Path) -> None:
    for name, tensor in state.items():
        if not bool(finite(tensor).all()):
            raise WeightsError(
                f"{source}: {plain(name)} holds infinity, as broken weights do, and some masks. If it is a "
                "mask, name the network, which then has it too: --method and --dataset."
            )


def _own(tensor: "Tensor") -> "Tensor":
    """A plain copy: in row-major order, and sharing memory with no other tensor."""
    import torch

    return tensor.detach().clone(memory_format=torch.contiguous_format)
