"""File locks, which are released when the process that holds them ends."""

import errno
import os
from pathlib import Path

_UNKNOWN = frozenset({errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK})


class FileLock:
    """A lock on a file, if the file system supports locks. The file is removed when no process holds it.

    Args:
        path: the file; nothing else may be there.

    Attributes:
        is_held: whether this process has the lock; False where locks are not supported.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    @property
    def is_held(self) -> bool:
        """Whether this process has it."""
        return self._descriptor is not None

    def taken(self) -> bool:
        """Try to acquire the lock; its folder is created if necessary.

        Returns:
            False if another process has it. True if this one has, or if locks are not supported.

        Raises:
            OSError: the file cannot be created.
        """
        import fcntl

        while self._descriptor is None:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                descriptor = os.open(self._path, flags, 0o666)
            except FileNotFoundError:
                continue  # its last holder removed the folder just now
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_at(descriptor, self._path):
                    self._descriptor, descriptor = descriptor, -1
            except BlockingIOError:
                return False
            except OSError as error:
                if error.errno in _UNKNOWN:
                    return True
                raise
            finally:
                if descriptor >= 0:
                    os.close(descriptor)  # its holder removed it just now: try the new one
        return True

    def release(self) -> None:
        """Leave it to others."""
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        try:
            # While it is held: a process that opened it meanwhile notices that it is gone.
            if _is_at(descriptor, self._path):
                self._path.unlink(missing_ok=True)
        except OSError:
            pass  # a file that stays does no harm
        finally:
            os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        there = os.stat(path, follow_symlinks=False)  # noqa: PTH116
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(descriptor), there)
