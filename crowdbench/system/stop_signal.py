"""Handle signals that ask a process to stop, so that it can save what is finished."""

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

EXIT_STOPPED = 143


class StopSignal:
    """Whether this process has been asked to stop.

    Attributes:
        at_once: a signal unwinds the stack as Ctrl-C does; otherwise it is only recorded, to be polled.
        signals: the received signals.
        lost: another process has taken over; unwritten results are discarded.
    """

    def __init__(self, at_once: bool) -> None:
        self.at_once = at_once
        self.signals: list[int] = []
        self.lost = False
        self._owner = os.getpid()

    def __call__(self) -> bool:
        """Whether this process is to stop."""
        return bool(self.signals)

    def raise_immediately(self) -> None:
        """Stop at once from now on, and right now if it has been asked for."""
        self.at_once = True
        if self.signals:
            raise KeyboardInterrupt

    def supersede(self) -> None:
        """Stop, because the work was taken over; may be called in another thread."""
        self.lost = True
        os.kill(self._owner, signal.SIGTERM)

    def _hear(self, number: int, _: FrameType | None) -> None:
        if os.getpid() != self._owner:
            return  # a child that was forked meanwhile; its parent knows
        self.signals.append(number)
        if self.at_once and len(self.signals) == 1:
            raise KeyboardInterrupt

    @contextmanager
    def listening(self, numbers: Sequence[int]) -> Iterator[None]:
        """Take these signals, and ignore them afterwards: the end has begun."""
        for number in numbers:
            signal.signal(number, self._hear)
        try:
            yield
        finally:
            for number in numbers:
                signal.signal(number, signal.SIG_IGN)
