"""Check whether other processes are alive, as far as this machine can tell."""

import os
import socket
from functools import cache
from pathlib import Path


@cache
def this_machine() -> str:
    """Names the machine, and the part of it, whose processes this process can look for by number.

    Its host name, this start of it, and the container: hosts and containers may share a name, and numbers of
    processes mean something else in each.
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
