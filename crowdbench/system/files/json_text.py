"""Write JSON with any names, including those that are not valid Unicode."""

from typing import Any

import msgspec

from crowdbench.system.text import encodable


def encoded_json(content: Any) -> bytes:
    r"""JSON in UTF-8; bytes of file names that are not UTF-8 are escaped, as ``\xff``."""
    try:
        return msgspec.json.encode(content)
    except UnicodeEncodeError:
        return msgspec.json.encode(_described(msgspec.to_builtins(content)))


def _described(value: Any) -> Any:
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, dict):
        return {_described(key): _described(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_described(item) for item in value]
    return value
