"""Digests of code without a file: classes defined in a notebook or an interpreter."""

import hashlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

_NOT_ITS_OWN = frozenset({"__dict__", "__weakref__", "__doc__", "__module__", "__firstlineno__"})
_PLAIN = (str, bytes, int, float, complex, bool, type(None))


def digest_of_classes(classes: Iterable[type]) -> tuple[str, set[str]]:
    """SHA-256 of what classes do, and the names of the modules that they use.

    It covers their compiled functions, and what these use of the same notebook, whatever else was typed in.
    """
    whole = hashlib.sha256()
    modules: set[str] = set()
    todo: list[Any] = list(classes)
    done: list[Any] = []
    while todo:
        thing = todo.pop()
        if any(thing is other for other in done):
            continue
        done.append(thing)
        texts, named = _of_class(thing) if isinstance(thing, type) else _of_function(thing)
        whole.update("\n".join(texts).encode(errors="backslashreplace") + b"\n")
        for value in named:
            if isinstance(value, ModuleType):
                modules.add(value.__name__)
            elif _is_in_a_file(value):
                modules.add(value.__module__)
            else:
                todo.append(value)
    return whole.hexdigest(), modules


def _of_class(cls: type) -> tuple[list[str], list[Any]]:
    texts, named = [f"class {cls.__qualname__}"], [*cls.__bases__]
    for name, value in sorted(vars(cls).items()):
        if name not in _NOT_ITS_OWN:
            texts.append(f"{name} {_value(value)}")
            named += _functions(value)
    return texts, named


def _of_function(function: FunctionType) -> tuple[list[str], list[Any]]:
    texts = [
        f"{function.__qualname__} {_value(function.__defaults__)} {_value(function.__kwdefaults__)}",
        _compiled(function.__code__),
    ]
    named: list[Any] = []
    around = [
        (name, function.__globals__[name])
        for name in sorted(_names(function))
        if name in function.__globals__
    ]
    for name, value in (*around, *_enclosed(function)):
        if isinstance(value, FunctionType | type | ModuleType):
            named.append(value)
        else:
            texts.append(f"{name} = {_value(value)}")
    return texts, named


def _functions(value: Any) -> list[Any]:
    """The functions behind an attribute: of a property, a class method, a decorated one."""
    inner = [value, *(getattr(value, name, None) for name in ("__func__", "fget", "__wrapped__"))]
    return [candidate for candidate in inner if isinstance(candidate, FunctionType | type)]


def _enclosed(function: FunctionType) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not set yet
            continue


def _is_in_a_file(value: Any) -> bool:
    if value.__module__ != "__main__":
        return True
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    return file is not None and Path(file).exists()


def _names(function: FunctionType) -> set[str]:
    names: set[str] = set()
    todo = [function.__code__]
    while todo:
        code = todo.pop()
        names.update(code.co_names)
        todo += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return names


def _compiled(code: CodeType) -> str:
    constants = [_compiled(c) if isinstance(c, CodeType) else _value(c) for c in code.co_consts]
    return f"{code.co_name} {code.co_code.hex()} {code.co_names} {code.co_varnames} {constants}"


def _value(value: Any) -> str:
    """Equal for equal values, in every process."""
    if isinstance(value, _PLAIN):
        return repr(value)
    if isinstance(value, tuple | list):
        return f"{type(value).__name__}({', '.join(map(_value, value))})"
    if isinstance(value, set | frozenset):
        return f"set({sorted(map(_value, value))})"
    if isinstance(value, dict):
        return f"dict({sorted((_value(k), _value(v)) for k, v in value.items())})"
    if hasattr(value, "tobytes") and hasattr(value, "dtype"):
        return f"{value.dtype} {value.shape} {hashlib.sha256(value.tobytes()).hexdigest()}"
    return type(value).__qualname__
