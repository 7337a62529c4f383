"""Decompress gzip data up to a limit, so that a small file cannot exhaust memory."""

import zlib
from pathlib import Path

from crowdbench.errors import CrowdbenchError
from crowdbench.system.text import in_bytes

GZIP = b"\x1f\x8b"
_CHUNK = 1 << 20


def unpacked(data: bytes, path: Path, what: str, limit: int, error: type[CrowdbenchError]) -> bytes:
    """All members of a gzip file, one behind the other, as gzip itself reads them.

    Args:
        data: the packed file.
        path, what: for messages.
        limit: the most bytes that are unpacked.
        error: raised if the data are damaged, cut off, or unpack to more.
    """
    pieces: list[bytes] = []
    total = position = 0
    try:
        while position < len(data):
            stream = zlib.decompressobj(wbits=31)
            fed = b""
            while not stream.eof:
                fed = stream.unconsumed_tail or data[position : position + _CHUNK]
                position += 0 if stream.unconsumed_tail else len(fed)
                piece = stream.decompress(fed, _CHUNK)
                if not fed and not piece and not stream.eof:
                    raise error(_damaged(path, "it ends early"))
                total += len(piece)
                if total > limit:
                    raise error(
                        f"{path}: unpacks to more than {in_bytes(limit)}; {what} as large are not read."
                    )
                pieces.append(piece)
            position = _behind_padding(data, position - len(stream.unused_data))
    except zlib.error as fault:
        raise error(_damaged(path, str(fault))) from fault
    return b"".join(pieces)


def _behind_padding(data: bytes, position: int) -> int:
    """Where the next member begins: gzip skips zeros between members."""
    while position < len(data) and not data[position]:
        piece = data[position : position + _CHUNK]
        position += len(piece) - len(piece.lstrip(b"\0"))
    return position


def _damaged(path: Path, why: str) -> str:
    return f"{path}: the gzipped file is truncated or damaged ({why}).\nCopy or write it again."
