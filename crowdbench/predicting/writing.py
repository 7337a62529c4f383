"""Writing results: what is written as it grows appears whole or not at all, like all else."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crowdbench.errors import MachineError


@contextmanager
def growing(path: Path) -> Iterator[Path]:
    """A path beside another, with the same ending; what is written there is put in its place in the end.

    If the block fails, nothing is left.

    Raises:
        MachineError: the folder cannot be written to.
    """
    # By the ending OpenCV chooses the format.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.{secrets.token_hex(4)}{path.suffix}")
    with named_errors():
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield temporary
        with named_errors():
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def named_errors() -> Iterator[None]:
    """For a block that writes results and does nothing else.

    Raises:
        MachineError: it failed; says where and why.
    """
    try:
        yield
    except OSError as error:
        raise MachineError(f"cannot write the results: {error}.") from error
