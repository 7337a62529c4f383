"""Check whether other processes are alive, as far as this machine can tell."""

import os
import socket
from functools import cache
from pathlib import Path


@cache
def this_machine() -> str:
    """Identify the machine and the part of it in which process numbers have one meaning.

    That is the host name, the boot, and the container.
    """
    return "/".join((socket.gethostname(), _boot(), _container()))


def is_gone(pid: int) -> bool:
    """Whether a process of this machine has ended; False if that cannot be known."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        return False
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError, UnicodeDecodeError):
        return False
    return state in ("Z", "X")  # it has ended, and its parent has not looked yet


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
    except OSError:
        return ""


def _container() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")  # noqa: PTH115  (it names no file)
    except OSError:
        return ""
