"""Only one training of a kind at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crowdbench.errors import RunError

NAME = "training.lock"


@contextmanager
def alone_in(folder: Path, wanted: bool = True) -> Iterator[None]:
    """Keep everybody else from continuing the very training that lies in a folder, which is made if need be.

    Args:
        folder: of the training.
        wanted: False does nothing: the first of several processes does it for all.

    Raises:
        RunError: somebody else is at it, or the folder cannot be written to.
    """
    if not wanted:
        yield
        return
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / NAME, timeout=0)
        lock.acquire()
    except Timeout:
        raise RunError(
            f"{folder}: another process is at this very training.\n"
            "Wait for it, or train something else: another --seed, --out or recipe."
        ) from None
    except OSError as error:
        raise RunError(f"{folder}: cannot be written ({error.strerror}).") from error
    try:
        yield
    finally:
        lock.release()
