"""Compare values of arbitrary types, since each method chooses the types of its examples and batches."""

import dataclasses
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np


def difference(  # noqa: C901, PLR0911  (a case a line)
    one: object, other: object, where: str = "the value"
) -> str | None:
    """Describe the first place where two values differ; None if they are equal.

    Arrays, tensors, dataclasses, mappings and sequences are compared element by element, and objects without
    their own ``__eq__`` attribute by attribute. All other values are compared with ``==``.
    """
    import torch

    if type(one) is not type(other):
        return f"{where} is a {type(one).__name__} and a {type(other).__name__}"
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return difference(one.detach().cpu().float().numpy(), other.detach().cpu().float().numpy(), where)
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        if one.shape != other.shape:
            return f"{where} is of shape {one.shape} and {other.shape}"
        same = np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
        return None if same else f"{where} differs in {int((one != other).sum())} of {one.size} numbers"
    if dataclasses.is_dataclass(one) and not isinstance(one, type):
        names = [field.name for field in dataclasses.fields(one)]
        return _first((getattr(one, name), getattr(other, name), f"{where}.{name}") for name in names)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        if one.keys() != other.keys():
            return f"{where} has the keys {sorted(map(str, one))} and {sorted(map(str, other))}"
        return _first((one[key], other[key], f"{where}[{key!r}]") for key in one)
    if isinstance(one, Sequence) and isinstance(other, Sequence) and not isinstance(one, str | bytes):
        if len(one) != len(other):
            return f"{where} has {len(one)} and {len(other)} entries"
        return _first((a, b, f"{where}[{i}]") for i, (a, b) in enumerate(zip(one, other, strict=True)))
    if type(one).__eq__ is object.__eq__:
        return difference(vars(one), vars(other), where) if hasattr(one, "__dict__") else None
    return None if one == other else f"{where} is {one!r} and {other!r}"


def _first(pairs: Iterable[tuple[object, object, str]]) -> str | None:
    for one, other, where in pairs:
        found = difference(one, other, where)
        if found:
            return found
    return None


@contextmanager
def own_randomness(seed: int | None = None) -> Iterator[None]:
    """Restore the global Python, NumPy and PyTorch generators on exit; seed them first if `seed` is set."""
    import torch

    before = random_state()
    if seed is not None:
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002  (the old generator is what is watched)
        torch.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(before[0])  # type: ignore[arg-type]
        np.random.set_state(before[1])  # type: ignore[arg-type]  # noqa: NPY002
        torch.set_rng_state(before[2])  # type: ignore[arg-type]


def random_state() -> tuple[object, object, object]:
    """The state of the global generators of Python, NumPy and PyTorch."""
    import torch

    return random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
