"""Writing results: what is written as it grows appears whole or not at all, like all else."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from crowdbench.system.files.os_errors import writing
from crowdbench.system.files.writing import refuse_special


@contextmanager
def growing(path: Path) -> Iterator[Path]:
    """A path beside another, with the same ending; what is written there is put in its place in the end.

    If the block fails, nothing is left.

    Raises:
        MachineError: the folder cannot be written to.
    """
    # By the ending OpenCV chooses the format; it cannot write to all names that a file system allows.
    temporary = path.with_name(f".{os.getpid()}.{secrets.token_hex(8)}{path.suffix}")
    with writing(path):
        refuse_special(path)
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield temporary
        with writing(path):
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
