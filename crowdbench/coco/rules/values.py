"""Classify the values of a JSON file: ids, numbers, pixel counts."""

import math
from typing import Any, TypeGuard

# Larger integers are not distinguished by every JSON reader.
LARGEST_ID = 2**53
# No image is this large. Sides of 1e200 are finite, but their product is not.
LARGEST_PX = 1e7
LARGEST_AREA_PX = LARGEST_PX**2


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def is_whole(value: object) -> bool:
    """Whether a value is a whole number: 12 and 12.0 are, 1e30 is not known exactly."""
    if isinstance(value, bool):
        return False
    if isinstance(value, int):
        return True
    return isinstance(value, float) and value.is_integer() and abs(value) <= LARGEST_ID


def is_id(value: object) -> bool:
    """Whether a value is an integer that every JSON reader represents exactly."""
    return is_whole(value) and abs(value) <= LARGEST_ID  # type: ignore[arg-type]  # it is a number


def identifier(value: Any) -> int | str:
    """Normalize a valid id."""
    return value if isinstance(value, str) else int(value)


def number_in(value: object) -> float | None:
    """A number, or the number that a string spells; None for anything else. It need not be finite."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except ValueError:
        return None
    except OverflowError:
        return math.inf


def kind(value: Any) -> str:
    """The name of a value's JSON type, for messages."""
    names: dict[type, str] = {dict: "an object", list: "a list", str: "a string", type(None): "null"}
    return names.get(type(value), f"a {type(value).__name__}")


def shown(value: Any) -> str:
    """A value for a message: its text if short, otherwise its type."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int) and value.bit_length() > 128:
        return f"a whole number of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= 40 else kind(value)
