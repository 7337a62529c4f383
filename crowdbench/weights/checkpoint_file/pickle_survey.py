"""Determine from a pickle's opcodes what it would do, without executing any.

A pickle is a program for a stack machine. Its instructions are followed with names and numbers in place of
objects: nothing is imported or called. The result is which classes and functions it names and which storages
of tensors it expects.
"""

import pickletools
from dataclasses import dataclass, field
from typing import Any, BinaryIO

_MOST_INSTRUCTIONS = 20_000_000
_MOST_NAMES = 1000
_BYTES = {
    "DoubleStorage": 8, "LongStorage": 8, "ComplexFloatStorage": 8, "ComplexDoubleStorage": 16,
    "FloatStorage": 4, "IntStorage": 4, "QInt32Storage": 4,
    "HalfStorage": 2, "BFloat16Storage": 2, "ShortStorage": 2,
    "CharStorage": 1, "ByteStorage": 1, "BoolStorage": 1, "QInt8Storage": 1, "QUInt8Storage": 1,
    "UntypedStorage": 1,
}  # fmt: skip


@dataclass(frozen=True)
class _Global:
    name: str


class _Mark:
    pass


@dataclass
class Survey:
    """What a pickle names.

    Attributes:
        names: full names of the classes and functions that it uses, in order, each once.
        storages: bytes of each storage by its key; None if its dtype is unknown.
        texts: the items of a pickled list of strings.
    """

    names: list[str] = field(default_factory=list)
    storages: dict[str, int | None] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)


def survey(file: BinaryIO) -> Survey:
    """Survey the pickle at the file's position, up to its end; ValueError if it is not a checkpoint's."""
    found = Survey()
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    try:
        for number, (code, argument, _) in enumerate(pickletools.genops(file)):
            if number > _MOST_INSTRUCTIONS:
                raise ValueError("it has more instructions than any checkpoint")
            _follow(code, argument, stack, memo, found)
    except (IndexError, KeyError, UnicodeDecodeError) as error:
        raise ValueError(f"its instructions make no sense ({type(error).__name__})") from error
    except (MemoryError, OverflowError) as error:
        raise ValueError("it announces more than fits into memory") from error
    return found


def _follow(
    code: pickletools.OpcodeInfo, argument: Any, stack: list[Any], memo: dict[int, Any], found: Survey
) -> None:
    name = code.name
    if name in ("GLOBAL", "INST"):
        stack.append(_named(str(argument).replace(" ", ".", 1), found))
    elif name == "STACK_GLOBAL":
        last, module = stack.pop(), stack.pop()
        stack.append(_named(f"{module}.{last}", found))
    elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
        memo[int(argument)] = stack[-1]
    elif name == "MEMOIZE":
        memo[len(memo)] = stack[-1]
    elif name in ("GET", "BINGET", "LONG_BINGET"):
        stack.append(memo[int(argument)])
    elif name == "BINPERSID":
        _note_storage(stack.pop(), found)
        stack.append(None)
    elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
        count = int(name[-1])
        stack[-count:] = [tuple(stack[-count:])]
    elif name == "TUPLE":
        stack.append(tuple(_to_mark(stack)))
    elif name in ("APPENDS", "APPEND"):
        items = _to_mark(stack) if name == "APPENDS" else [stack.pop()]
        found.texts += [item for item in items if isinstance(item, str)]
    else:
        _by_effect(code, argument, stack)


def _by_effect(code: pickletools.OpcodeInfo, argument: Any, stack: list[Any]) -> None:
    """All other instructions: what they take and leave is all that matters."""
    before = code.stack_before
    if pickletools.markobject in before:
        _to_mark(stack)
        for _ in range(before.index(pickletools.markobject)):
            stack.pop()
    else:
        for _ in before:
            stack.pop()
    for left in code.stack_after:
        if left is pickletools.markobject:
            stack.append(_Mark())
        else:
            # Never the stream's large contents: only what may name or count something.
            short = isinstance(argument, int) or (isinstance(argument, str) and len(argument) < 1000)
            stack.append(argument if short else None)


def _to_mark(stack: list[Any]) -> list[Any]:
    items = []
    while not isinstance(stack[-1], _Mark):
        items.append(stack.pop())
    stack.pop()
    return items[::-1]


def _named(name: str, found: Survey) -> _Global:
    if name not in found.names:
        if len(found.names) == _MOST_NAMES:
            raise ValueError(f"it names more than {_MOST_NAMES} classes and functions")
        found.names.append(name)
    return _Global(name)


def _note_storage(identity: Any, found: Survey) -> None:
    """``("storage", kind, key, device, numbers, …)``, as PyTorch names what it keeps outside the pickle."""
    if not (isinstance(identity, tuple) and len(identity) >= 5 and identity[0] == "storage"):
        return
    kind, key, count = identity[1], identity[2], identity[4]
    size = _BYTES.get(kind.name.rpartition(".")[2]) if isinstance(kind, _Global) else None
    known = size is not None and isinstance(count, int)
    found.storages[str(key)] = size * count if known and size is not None else None
