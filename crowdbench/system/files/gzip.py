"""Decompress gzip data up to a limit, so that a small file cannot exhaust memory."""

import gzip
import zlib
from io import BytesIO
from pathlib import Path

from crowdbench.errors import CrowdbenchError
from crowdbench.system.text import in_bytes

GZIP = b"\x1f\x8b"
_CHUNK = 1 << 20


def unpacked(data: bytes, path: Path, what: str, limit: int, error: type[CrowdbenchError]) -> bytes:
    """Decompress all members of a gzip file.

    Args:
        data: the packed file.
        path, what: for messages.
        limit: the maximum number of bytes to unpack.
        error: raised if the data are damaged, truncated, or unpack to more.
    """
    pieces: list[bytes] = []
    total = 0
    try:
        with gzip.open(BytesIO(data)) as stream:
            while piece := stream.read(_CHUNK):
                pieces.append(piece)
                total += len(piece)
                if total > limit:
                    raise error(
                        f"{path}: unpacks to more than {in_bytes(limit)}; {what} as large are not read."
                    )
    except (EOFError, gzip.BadGzipFile, zlib.error) as fault:
        why = "it ends early" if isinstance(fault, EOFError) else str(fault)
        raise error(
            f"{path}: the gzipped file is truncated or damaged ({why}).\nCopy or write it again."
        ) from fault
    return b"".join(pieces)
