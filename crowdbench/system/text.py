"""Make text from files, plugins and servers safe to show."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from msgspec import UnsetType

# Spreadsheets take the full-width signs of East Asian keyboards for the narrow ones.
_FORMULAS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


def plain(text: str) -> str:
    """Text in which nothing moves the cursor, changes colors or turns the writing around."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def plain_lines(text: str) -> str:
    """Like `plain`, for text of several lines: line breaks stay."""
    return "\n".join(plain(line) for line in text.split("\n"))


def words_of(error: BaseException) -> str:
    """The message of an error of third-party code, whose ``__str__`` may itself fail."""
    try:
        return str(error).strip()
    except Exception as second:
        return f"its text cannot be had: __str__ raised {type(second).__name__}"


def plain_json(text: str) -> str:
    """JSON that means the same, in which nothing moves the cursor either: by JSON's own escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else _json_escape(c) for c in text)


def spreadsheet_cell(text: str) -> str:
    """Text for a cell of a CSV file: what a spreadsheet would take for a formula gets an apostrophe."""
    shown = plain(text)
    return f"'{shown}" if shown.startswith(_FORMULAS) else shown


def encodable(text: str) -> str:
    r"""Text that UTF-8 and JSON can hold: bytes of a name that are not UTF-8 are written as ``\xff``."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        data = text.encode("utf-8", "surrogateescape" if _is_decoded(text) else "backslashreplace")
        return data.decode("utf-8", "backslashreplace")
    return text


def name_bytes(path: Path) -> "str | UnsetType":
    """The bytes of a path that is not UTF-8, as in a URL (``%FF.jpg``); `msgspec.UNSET` for all others."""
    from urllib.parse import quote_from_bytes

    from msgspec import UNSET

    data = os.fsencode(path)
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return quote_from_bytes(data)
    return UNSET


def _is_decoded(text: str) -> bool:
    """Whether all that is not UTF-8 comes from bytes of a name."""
    return all(not "\ud800" <= c <= "\udfff" or "\udc80" <= c <= "\udcff" for c in text)


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def sentence(text: str) -> str:
    """A text with its full stop, unless it is a question."""
    return text if text.endswith((".", "?")) else f"{text}."


GIB = 1 << 30


def in_bytes(count: int) -> str:
    """A number of bytes in the unit that suits it."""
    for unit, size in (("GiB", GIB), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} bytes"


def utc_now() -> str:
    """The time in UTC to the second, as records have it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def first_line(error: BaseException, most: int = 300) -> str:
    """The first line of an error's text, or the name of its class where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:most]
