"""The package's log, copied into a run's directory."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def log_file(path: Path, wanted: bool = True) -> Iterator[None]:
    """Add what the package logs to a file, for a while.

    Args:
        path: of the file; it is appended to.
        wanted: False does nothing.
    """
    if not wanted:
        yield
        return
    log = logging.getLogger("crowdbench")
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    previous = log.level
    log.addHandler(handler)
    log.setLevel(min(log.level or logging.INFO, logging.INFO))
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(previous)
        handler.close()
