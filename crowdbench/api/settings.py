"""Settings of a method: overrides from the command line, and values for records."""

import dataclasses
import math
import re
import reprlib
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, get_type_hints

import msgspec

from crowdbench.errors import PluginError, SettingsError, UnknownNameError
from crowdbench.system.plugin_calls import calling

_FAULTY_VALUE = (ValueError, TypeError, OverflowError)


@dataclasses.dataclass(frozen=True)
class NoSettings:
    """For methods that have nothing to set."""


def settings_as_values(settings: Any, whose: str) -> dict[str, Any]:
    """Convert settings to what records hold.

    Args:
        settings: an instance of a dataclass.
        whose: the owner's name in messages.

    Raises:
        PluginError: they are not a dataclass, have values that JSON cannot express, or a ``flip_test`` or
            ``input_size`` of another type than protocols have.
    """
    if not dataclasses.is_dataclass(settings) or isinstance(settings, type):
        raise PluginError(f"{whose} must be an instance of a dataclass, not {settings!r}.")
    try:
        values: dict[str, Any] = msgspec.to_builtins(settings, str_keys=True)
        msgspec.json.encode(values)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        raise PluginError(f"{whose}: a value cannot be written into a record ({error}).") from error
    for name, kind in (("flip_test", bool | None), ("input_size", tuple[int, int] | None)):
        try:
            msgspec.convert(values.get(name), kind)
        except msgspec.ValidationError as error:
            raise PluginError(f"{whose}: {name} is {values[name]!r}: {error}.") from error
    return values


def override(settings: Any, changes: Mapping[str, Any], *, of: str) -> Any:
    """A copy of a settings dataclass with some values replaced, each checked against its type.

    A value within a value is called ``outer.inner``.

    Raises:
        SettingsError: no such setting, or a value of the wrong kind.
    """
    known = {f.name: f for f in dataclasses.fields(settings)}
    values = {}
    inner: dict[str, dict[str, Any]] = {}
    for name, value in changes.items():
        outer, dot, rest = name.partition(".")
        if dot and dataclasses.is_dataclass(getattr(settings, outer, None)):
            inner.setdefault(outer, {})[rest] = value
            continue
        if name not in known:
            try:
                raise UnknownNameError(f"setting of {of}", name, known)
            except UnknownNameError as error:
                raise SettingsError(str(error)) from None
        values[name] = _converted(value, type(settings), name, of)
    for outer, parts in inner.items():
        values[outer] = override(values.get(outer, getattr(settings, outer)), parts, of=f"{of}, {outer}")
    try:
        with calling(of, "the check of its settings", passing=lambda e: isinstance(e, _FAULTY_VALUE)):
            return dataclasses.replace(settings, **values)
    except _FAULTY_VALUE as error:
        raise SettingsError(f"{of}: {error}") from error


def _refuse_what_json_has_not(value: Any) -> None:
    """NaN, infinity, and text that no encoding has: a record could not hold them."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("numbers must be finite")
    if isinstance(value, str):
        value.encode()
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        raise ValueError("whole numbers must fit into 64 bits")
    if isinstance(value, list | tuple | set | frozenset):
        for part in value:
            _refuse_what_json_has_not(part)
    if isinstance(value, dict):
        for key, part in value.items():
            _refuse_what_json_has_not(key)
            _refuse_what_json_has_not(part)


def _converted(value: Any, cls: type[Any], name: str, of: str) -> Any:
    with calling(of, "the types of its settings"):
        kind = get_type_hints(cls)[name]
    try:
        sizes = (tuple[int, int], tuple[int, int] | None)
        if isinstance(value, str) and kind in sizes and re.fullmatch(r"\d+x\d+", value):
            value = [int(side) for side in value.split("x")]  # as tables print sizes
        if isinstance(value, str) and kind is not str:
            # A bare word is not JSON; the conversion below decides whether it is valid.
            with suppress(msgspec.DecodeError, UnicodeError, RecursionError):
                value = msgspec.json.decode(value)
        converted = msgspec.convert(value, kind, strict=False)
        _refuse_what_json_has_not(converted)
        return converted
    # ValidationError is a ValueError; the others come of numbers without end and of lists within lists.
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise SettingsError(
            f"{of}: the setting {name} is {kind}; {reprlib.repr(value)} does not fit ({error})."
        ) from None
