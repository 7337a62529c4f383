"""Find temporary files of processes that were killed while writing."""

import re
import shutil
import time
from contextlib import suppress
from pathlib import Path

from crowdbench.system.files.writing import machine_mark
from crowdbench.system.processes import is_gone

_TEMPORARY = re.compile(r"\..+\.(\d+)\.([0-9a-f]{4})[0-9a-f]{4}\.tmp", re.DOTALL)
OLD_S = 86400.0  # nothing takes so long to write


def is_temporary(path: Path) -> bool:
    """Whether a path is, by its name, a temporary file or folder."""
    return _TEMPORARY.fullmatch(path.name) is not None


def is_leftover(path: Path) -> bool:
    """Whether a path is a temporary file of a dead process, or of another machine and a day old."""
    named = _TEMPORARY.fullmatch(path.name)
    if named is None:
        return False
    if named[2] == machine_mark() and is_gone(int(named[1])):
        return True
    with suppress(OSError):
        return time.time() - path.lstat().st_mtime > OLD_S
    return False


def remove_leftovers(folder: Path) -> None:
    """Remove from a folder, not from those in it, what processes have left that were killed."""
    with suppress(OSError):
        for path in folder.iterdir():
            if is_leftover(path):
                _remove(path)


def _remove(path: Path) -> None:
    with suppress(OSError):  # another process did, or it may not be touched: it does no harm
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
