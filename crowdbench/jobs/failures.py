"""Why a job failed: a one-line reason, and whether machine, input or code caused it."""

import errno

from crowdbench.errors import CrowdbenchError, InputError, MachineError, PluginError, RunError
from crowdbench.jobs.job import Cause
from crowdbench.system.text import first_line

# What the messages of RuntimeErrors contain that PyTorch raises when a GPU, a node or the network fails.
_MACHINE_FAILURES = (
    "CUDA error",
    "NCCL",
    "cuDNN",
    "Connection closed by peer",
    "Connection reset by peer",
    "Broken pipe",
    "gloo",
    "Gloo",
)


def reason_of(error: BaseException) -> str:
    """What went wrong, in a line; with the kind of error where it is not one of the product's own."""
    name, line = type(error).__name__, first_line(error, most=10_000)
    return line if isinstance(error, CrowdbenchError) or line == name else f"{name}: {line}"


def cause_of(error: BaseException) -> Cause:
    """Whether a failure lies in the machine, in what was asked for, or in the code."""
    if isinstance(error, MachineError | OSError | MemoryError):
        return "machine"
    raised = error.raised if isinstance(error, PluginError) else ()
    if {"OSError", "MemoryError"} & set(raised):
        return "machine"
    if not raised and isinstance(error, InputError | PluginError | RunError):
        return "input"
    text = str(error)
    if (isinstance(error, RuntimeError) or "RuntimeError" in raised) and any(
        sign in text for sign in _MACHINE_FAILURES
    ):
        return "machine"
    return "bug"


def is_full_disk(error: BaseException | None) -> bool:
    """Whether a disk or a quota is at the bottom of an error."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__
    return False
