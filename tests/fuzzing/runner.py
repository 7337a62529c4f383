"""Runs a target for a while, and keeps the inputs whose outcome is wrong."""

import collections
import hashlib
import logging
import random
import shutil
import signal
import time
import traceback
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from crowdbench.errors import CrowdbenchError
from fuzzing.targets import Target

SLOWEST_S = 10
LONGEST_MESSAGE = 4000


@dataclass
class Summary:
    """What became of a target's inputs."""

    name: str
    outcomes: collections.Counter[str] = field(default_factory=collections.Counter)
    findings: dict[str, str] = field(default_factory=dict)

    @property
    def inputs(self) -> int:
        """How many were tried."""
        return sum(self.outcomes.values())


class _TooSlow(BaseException):
    """An input took longer than any file of its size may."""


def _stop(_: int, frame: FrameType | None) -> None:
    raise _TooSlow("".join(traceback.format_stack(frame)[-3:]))


def fuzz(
    target: Target, *, seconds: float, seed: int, inputs: int | None = None, keep: Path | None = None
) -> Summary:
    """Damage, read and judge until the time is over.

    Args:
        target: what is fuzzed.
        seconds: how long.
        seed: of the mutations; input number i depends on the seed and i only.
        inputs: stop after so many.
        keep: a folder for files whose outcome is wrong.
    """
    logger = logging.getLogger("crowdbench")
    level, handler = logger.level, signal.signal(signal.SIGALRM, _stop)
    logger.setLevel(logging.CRITICAL)
    try:
        return _fuzz(target, seconds, seed, inputs, keep)
    finally:
        logger.setLevel(level)
        signal.signal(signal.SIGALRM, handler)


def _fuzz(target: Target, seconds: float, seed: int, inputs: int | None, keep: Path | None) -> Summary:
    summary = Summary(target.name)
    end = time.monotonic() + seconds
    number = 0
    while time.monotonic() < end and (inputs is None or number < inputs):
        number += 1
        target.damage(random.Random(f"{seed}-{number}"))
        outcome, trouble = _judged(target)
        summary.outcomes[outcome] += 1
        if trouble is not None:
            key = hashlib.sha256(trouble[-300:].encode("utf-8", "replace")).hexdigest()[:12]
            if key not in summary.findings:
                summary.findings[key] = f"input {number} of seed {seed}: {trouble}"
                if keep is not None and target.file.exists():
                    keep.mkdir(parents=True, exist_ok=True)
                    shutil.copy(target.file, keep / f"{target.name}-{key}{target.file.suffix}")
    return summary


def _judged(target: Target) -> tuple[str, str | None]:
    signal.setitimer(signal.ITIMER_REAL, SLOWEST_S)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a RuntimeWarning of numpy is a number that went wrong
            return target.attempt(), None
    except CrowdbenchError as error:
        return "refused", _unclear(str(error))
    except (Exception, SystemExit, _TooSlow) as error:
        return "wrong", f"{type(error).__name__}: {str(error)[:300]}\n" + "".join(
            traceback.format_tb(error.__traceback__)[-3:]
        )
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _unclear(message: str) -> str | None:
    """What is wrong with an error's words."""
    if not message.strip():
        return "an error without words"
    if len(message) > LONGEST_MESSAGE:
        return f"an error of {len(message)} characters: {message[:200]}"
    return None
