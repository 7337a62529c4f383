"""Explain errors of the operating system: why a file cannot be read or written, and what to do."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crowdbench.errors import MachineError, MissingDataError
from crowdbench.system.files.cache import cache_folder

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_FORBIDDEN = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
_REMEDIES = {
    errno.EFBIG: "A limit on the size of files (`ulimit -f`), or the file system, does not allow more.",
    errno.ENAMETOOLONG: "Give a shorter name.",
    errno.ENOTDIR: "A part of the path is a file, not a folder.",
    errno.EEXIST: "Something on the path is there already, and is not a folder.",
    errno.EISDIR: "Give the name of a file.",
    errno.ELOOP: "Links on the path lead around in a circle.",
    errno.EMFILE: "Too many files are open at once: raise `ulimit -n`, or use fewer workers.",
    errno.ENFILE: "Too many files are open on this machine.",
    errno.EIO: "The disk reports an error.",
    errno.ESTALE: "The network file system has lost the file; try again.",
}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """For a block that only writes to a path: failures become a MachineError with the reason and a remedy."""
    try:
        yield
    except (OSError, ValueError) as failure:
        raise cannot_write(path, failure) from failure


def cannot_write(path: Path | str, failure: BaseException) -> MachineError:
    """The error for a path that cannot be written."""
    remedy = _remedy_of_writing(path, failure)
    return MachineError(f"{path}: cannot be written ({reason(failure)})." + (f" {remedy}" if remedy else ""))


def reason(failure: BaseException) -> str:
    """Why, in a few words: what the system says of an OSError, without number and path."""
    if isinstance(failure, UnicodeError):
        return "the name has characters that this machine's encoding of file names lacks"
    if isinstance(failure, OSError):
        return failure.strerror or str(failure) or type(failure).__name__
    return str(failure) or type(failure).__name__


def is_about_the_name(failure: BaseException | None) -> bool:
    """Whether another name would do: this one is too long, or has characters that are not allowed there."""
    if isinstance(failure, OSError):
        return failure.errno in (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL, errno.EISDIR, errno.ELOOP)
    return isinstance(failure, ValueError)


def remedy(failure: BaseException) -> str:
    """What to do about an OSError, whatever was being done; empty where nothing general can be said."""
    return _REMEDIES.get(failure.errno or 0, "") if isinstance(failure, OSError) else ""


def _remedy_of_writing(path: Path | str, failure: BaseException) -> str:
    if not isinstance(failure, OSError):
        return ""
    elsewhere = (
        "set CROWDBENCH_CACHE to another folder"
        if is_in_cache(path)
        else "choose another place (--out; CROWDBENCH_CACHE for the cache)"
    )
    if failure.errno in _FULL:
        return f"Make room on that disk, or {elsewhere}."
    if failure.errno in _FORBIDDEN:
        return f"Make it writable, or {elsewhere}."
    where = "CROWDBENCH_CACHE says where the cache is." if is_in_cache(path) else ""
    return f"{remedy(failure)} {where}".strip()


def is_in_cache(path: Path | str) -> bool:
    """Whether a path lies in the folder of weights and drawn datasets."""
    try:
        cache = cache_folder()
    except MissingDataError:
        return False
    return Path(os.path.abspath(path)).is_relative_to(os.path.abspath(cache))  # noqa: PTH100
