"""What a value of a JSON file can stand for: an id, a number, a count of pixels."""

import math
from typing import Any, TypeGuard

# Whole numbers beyond are not kept apart by everything that reads JSON.
LARGEST_ID = 2**53
# No picture is as large. Sides of 1e200 are finite, and their product is not.
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
    """Whether a value is a whole number that every reader of JSON keeps apart from others."""
    return is_whole(value) and abs(value) <= LARGEST_ID  # type: ignore[arg-type]  # it is a number


def identifier(value: Any) -> int | str:
    """A value that is an id, however it is written."""
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
    """What messages call a value of this kind."""
    names: dict[type, str] = {dict: "an object", list: "a list", str: "a string", type(None): "null"}
    return names.get(type(value), f"a {type(value).__name__}")


def shown(value: Any) -> str:
    """A value in a message: as JSON writes it if it is short, else its kind."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int) and value.bit_length() > 128:
        return f"a whole number of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= 40 else kind(value)
