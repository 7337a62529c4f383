"""Find the weights among the contents of a checkpoint.

Training scripts wrap them with optimizer state, counters, and often a second set: an average, a teacher.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crowdbench.errors import WeightsError
from crowdbench.system.text import plain
from crowdbench.weights.checkpoint_file.unpickling import StoredArray

if TYPE_CHECKING:
    from torch import Tensor

# Names under which scripts keep the network's weights; the best ones come first.
WRAPPERS = (
    "best_state_dict", "state_dict", "model", "model_state_dict", "model_state", "network",
    "network_state_dict", "net", "net_state_dict", "weights", "params", "parameters", "module",
)  # fmt: skip
# Not weights, though full of tensors.
_OTHERS = ("optim", "sched", "scaler", "criterion", "loss", "amp", "rng", "hyper_parameters")
_DEPTH = 4
_SHOWN = 8


@dataclass(frozen=True)
class SelectedWeights:
    """The weights of a checkpoint.

    Attributes:
        state: tensors, or NumPy arrays, by name.
        note: the other sets that could have been meant, if any.
    """

    state: "Mapping[str, Tensor | StoredArray]"
    note: str | None = None


def choose(content: Any, path: Path, part: str | None = None) -> SelectedWeights:
    """Find the weights.

    Args:
        content: what is in the file.
        path: names it in messages.
        part: the name that the user wants, as in ``"ema"`` or ``"teacher.model"``; None takes what training
            scripts call the network's.

    Raises:
        WeightsError: there are none, or several of which the user must choose one.
    """
    found = _weights_first(dict(_candidates(content, set())))
    if part is not None:
        return SelectedWeights(_asked_for(part, content, found, path))
    if "" in found:
        return SelectedWeights(found[""])
    if not found:
        raise WeightsError(f"{path}: {_what_else(content)}")
    name = _best(found)
    if name is None:
        several = ", ".join(f"{_shown(name)} ({len(state)} tensors)" for name, state in found.items())
        raise WeightsError(
            f"{path}: holds several sets of weights, and which is meant is not for a program to guess: "
            f"{several}.\nTo choose: {how_to_choose(path, next(iter(found)))}"
        )
    others = [_shown(other) for other in found if other != name]
    if not others:
        usual = all(step in WRAPPERS for step in name.split("."))
        return SelectedWeights(found[name], None if usual else f"{path.name}: the weights are {_shown(name)}")
    return SelectedWeights(
        found[name],
        f"{path.name}: the weights are {_shown(name)}; it also holds {_some(others)}. "
        f"To take another: {how_to_choose(path, others[0])}",
    )


def how_to_choose(path: Path, part: str) -> str:
    """The command that makes a file of one part of another."""
    return f"crowdbench weights convert {path} OUT.safetensors --part {_shown(part)}"


def _weights_first(found: dict[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Arrays of NumPy beside tensors are facts (a dataset's sigmas), not weights."""
    import torch

    tensors = {n: s for n, s in found.items() if any(isinstance(v, torch.Tensor) for v in s.values())}
    return tensors or found


def _candidates(
    content: Any, seen: set[int], name: str = "", depth: int = 0
) -> list[tuple[str, Mapping[str, Any]]]:
    """All dictionaries of named tensors, by the way to them; each once, for a pickle can hold circles."""
    if not isinstance(content, Mapping) or depth > _DEPTH or id(content) in seen:
        return []
    if is_state(content):
        return [(name, content)]
    seen.add(id(content))
    found = []
    for key, value in content.items():
        if isinstance(key, str) and not key.lower().startswith(_OTHERS):
            found += _candidates(value, seen, f"{name}.{key}" if name else key, depth + 1)
    return found


def is_state(content: Mapping[Any, Any]) -> bool:
    """Whether this is named tensors and nothing else."""
    import torch

    return bool(content) and all(
        isinstance(name, str) and isinstance(value, torch.Tensor | StoredArray)
        for name, value in content.items()
    )


def _best(found: Mapping[str, Any]) -> str | None:
    """The one to take; None where several are as good."""
    if len(found) == 1:
        return next(iter(found))
    ways = {name: [_rank(step) for step in name.split(".")] for name in found}
    usual = {name: way for name, way in ways.items() if None not in way}
    return min(usual, key=lambda name: [rank or 0 for rank in usual[name]]) if usual else None


def _rank(step: str) -> int | None:
    return WRAPPERS.index(step) if step in WRAPPERS else None


def _asked_for(
    part: str, content: Any, found: Mapping[str, Mapping[str, Any]], path: Path
) -> Mapping[str, Any]:
    if part in found:
        return found[part]
    within = [name for name in found if name.startswith(f"{part}.")]
    if len(within) == 1:
        return found[within[0]]
    whole = found.get("")
    if whole is not None:
        chosen = {name[len(part) + 1 :]: t for name, t in whole.items() if name.startswith(f"{part}.")}
        if chosen:
            return chosen
    known = list(found) if "" not in found else sorted({name.split(".")[0] for name in found[""]})
    raise WeightsError(
        f"{path}: there are no weights called {_shown(part)}. "
        + (f"There are: {_some(map(_shown, within or known))}." if known else _what_else(content))
    )


def _what_else(content: Any) -> str:
    if not isinstance(content, Mapping) or not content:
        return f"holds {type(content).__name__}, not a dictionary of tensors."
    others = [str(name) for name, value in content.items() if not _is_named_tensor(name, value)]
    return (
        f"not a state dict: {_some(map(_shown, others))} are no named tensors. Looked for a dictionary of "
        f"tensors at the top, and under every name in it."
    )


def _is_named_tensor(name: Any, value: Any) -> bool:
    return isinstance(name, str) and is_state({name: value})


def _some(names: Any) -> str:
    names = list(names)
    return ", ".join(names[:_SHOWN]) + (f", … ({len(names) - _SHOWN} more)" if len(names) > _SHOWN else "")


def _shown(name: str) -> str:
    return plain(name[:80])
