"""Whole numbers that launchers and schedulers put into environment variables."""

import re
from collections.abc import Mapping

from crowdbench.errors import SettingsError

_LARGEST = 10_000_000  # no launcher counts so many processes, processors or starts


def count_in(environment: Mapping[str, str], name: str, default: int | None = None, *, least: int = 0) -> int:
    """The whole number that a variable holds.

    Args:
        environment: as `os.environ`.
        name: of the variable.
        default: where the variable is missing or empty.
        least: the smallest number that makes sense.

    Raises:
        SettingsError: it is missing and has no default, or holds something else; names the variable.
    """
    text = environment.get(name, "").strip()
    if not text and default is not None:
        return default
    if re.fullmatch(r"\d{1,8}", text, re.ASCII) and least <= int(text) <= _LARGEST:
        return int(text)
    held = f"is {text!r}" if text else "is not set"
    raise SettingsError(
        f"the environment variable {name} {held}; a launcher sets it to a whole number"
        f"{f' of at least {least}' if least else ''}.\n"
        f"Start with torchrun or srun, or `unset {name}` to compute in one process."
    )
