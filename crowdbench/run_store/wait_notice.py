"""The messages of a process that waits for another one to do the same work."""

import logging
import time
from collections.abc import Callable

from crowdbench.run_store.lease_files import LeaseHolder, ProgressReport

log = logging.getLogger("crowdbench")
SAY_EVERY_S = 30.0


class WaitNotice:
    """Logs which process is working, immediately and then every half minute.

    Args:
        what: the kind of work, as in "run".
        on_progress: called each time with the other process's progress.
    """

    def __init__(self, what: str, on_progress: Callable[[ProgressReport], None] = lambda _: None) -> None:
        self._what = what
        self._on_progress = on_progress
        self._token: str | None = None
        self._said: float | None = None

    def __call__(self, claim: LeaseHolder | None, progress: ProgressReport | None) -> None:
        """Receive the other process and its progress."""
        if claim is None:
            return  # it has just begun or ended
        if progress is not None and progress.token == claim.token and progress.of:
            self._on_progress(progress)
            how_far = f": {progress.done} of {progress.of} {progress.unit}"
        else:
            how_far = ""
        now = time.monotonic()
        if claim.token != self._token or self._said is None or now - self._said > SAY_EVERY_S:
            log.warning("%s is at this very %s%s. Waiting for it.", _named(claim), self._what, how_far)
            self._token, self._said = claim.token, now


def _named(claim: LeaseHolder) -> str:
    job = f" (job {claim.job})" if claim.job else ""
    return f"process {claim.pid} on {claim.host}{job}"
