"""Content hashes: what identifies a file, wherever it lies."""

import hashlib
from pathlib import Path

from crowdbench.errors import MissingDataError
from crowdbench.system.files.opening import open_regular


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal.

    Raises:
        MissingDataError: the file cannot be read.
    """
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise MissingDataError(f"{path}: cannot read the file ({error.strerror}).") from error
