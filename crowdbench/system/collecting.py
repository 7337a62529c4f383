"""Reading many small objects without Python's cycle collector."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collecting() -> Iterator[None]:
    """Pause the collector: it would search the many records of a file again and again, and find nothing.

    As a decorator it pauses until the function's own records are gone; they are searched once more if the
    collector goes on while they are still there.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
