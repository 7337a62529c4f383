"""Content hashes: what identifies a file, wherever it lies."""

import hashlib
from pathlib import Path

from crowdbench.errors import MissingDataError


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal.

    Raises:
        MissingDataError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise MissingDataError(f"{path}: cannot read the file ({error.strerror}).") from error
