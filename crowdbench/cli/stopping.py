"""Handling of SIGTERM and Ctrl-C while a command computes."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from crowdbench.cli.echo import say


@contextmanager
def stopping_cleanly() -> Iterator[None]:
    """Let SIGTERM unwind the stack like Ctrl-C, so that finished work is written and the record closed."""

    def stop(_: int, __: object) -> NoReturn:
        sys.exit(128 + signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def stopping_after_a_step() -> Iterator[Callable[[], bool]]:
    """Yield whether SIGTERM or Ctrl-C has asked for a checkpoint; a second signal stops at once."""
    asked: list[int] = []

    def stop(number: int, _: object) -> None:
        if asked:
            sys.exit(128 + number)
        asked.append(number)
        say("Stopping after this step; once more stops at once.", err=True)

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
