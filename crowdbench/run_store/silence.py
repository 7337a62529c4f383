"""The time since the last heartbeat of a lease, measured without comparing clocks of machines."""

import time
from pathlib import Path

from crowdbench.run_store.lease_files import PROGRESS


class Silence:
    """The time since the last heartbeat of a lease, by this machine's monotonic clock.

    Args:
        folder: the folder of the lease.

    Attributes:
        was_broken: whether there has been a heartbeat since this object was created.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / PROGRESS
        self._last = self._stamp()
        self._since = time.monotonic()
        self.was_broken = False

    def _stamp(self) -> int | None:
        try:
            return self._path.stat().st_mtime_ns
        except OSError:
            return None

    def seconds(self) -> float:
        """Seconds since the last heartbeat, or since this object was created."""
        stamp = self._stamp()
        if stamp != self._last:
            self._last, self._since = stamp, time.monotonic()
            self.was_broken = self.was_broken or stamp is not None
        return time.monotonic() - self._since
