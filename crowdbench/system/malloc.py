"""Let a process retain freed memory for its next feature maps.

A network on a CPU allocates and frees maps of tens of MB in every layer. By default the C library returns
each to the system, which zeroes every page before the next use: up to half of the time.
"""

import ctypes
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# mallopt's parameters (glibc, malloc.h).
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_NEVER = 2**31 - 1
# Above what a network's layer allocates; some versions of the library take no more than the second.
_KEPT_BYTES = (1 << 30, 32 << 20)
_VARIABLES = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_")


def retain_freed_memory() -> bool:
    """Let this process keep the memory it frees, for its next allocations. Changes no result.

    Only with glibc's allocator, and not if the environment sets its thresholds (``MALLOC_TRIM_THRESHOLD_``,
    ``MALLOC_MMAP_THRESHOLD_``). Other allocators keep memory anyway.

    Returns:
        Whether anything was changed.
    """
    if sys.platform != "linux" or any(name in os.environ for name in _VARIABLES):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    mapped = any(mallopt(_MMAP_THRESHOLD, size) for size in _KEPT_BYTES)
    return bool(mallopt(_TRIM_THRESHOLD, _NEVER)) and mapped


@contextmanager
def gc_paused() -> Iterator[None]:
    """Pause the collector, which would search the many records of a file again and again in vain.

    As a decorator it pauses until the function's own records are gone.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
