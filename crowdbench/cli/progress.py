"""Progress of runs, trainings, downloads and jobs on stderr: bars on a terminal, lines elsewhere."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from crowdbench.cli.echo import say
from crowdbench.system.text import plain

if TYPE_CHECKING:
    from rich.progress import TaskID

    from crowdbench.engine.progress import EvaluationProgress
    from crowdbench.jobs.execute import OnProgress
    from crowdbench.jobs.job import Job
    from crowdbench.jobs.status import JobStatus
    from crowdbench.training import TrainingProgress
    from crowdbench.weights import Transfer

LINE_EVERY_S = 30.0

Bar = tuple[str, int, int | None, str]
"""A name (empty for the command's own work), how much is done, of how much, and the same in words."""


@contextmanager
def show_progress(
    title: str, *, of_training: bool = False, level: int | None = None
) -> "Iterator[OnProgress]":
    """Show progress, and the log's messages above it.

    Args:
        title: the name of the command's own work.
        of_training: whether that is a training, so that an evaluation is one of its parts.
        level: the level of messages to show where no log file is open; None for the logger's own.

    Yields:
        The callback that shows how far the work is.
    """
    from rich.console import Console
    from rich.logging import RichHandler

    from crowdbench.system.log_file import PlainFormatter

    console = Console(stderr=True)
    handler = RichHandler(console=console, show_path=False, show_time=False, markup=False)
    handler.setFormatter(PlainFormatter())
    handler.setLevel(logging.INFO)
    logger = logging.getLogger("crowdbench")
    before = logger.level
    logger.setLevel(before if level is None else level)
    logger.addHandler(handler)
    last = time.monotonic()
    try:
        with bars() as show:

            def report(progress: "EvaluationProgress | TrainingProgress | Transfer") -> None:
                nonlocal last
                name, done, of, words = _bar(progress, of_training)
                if console.is_terminal:
                    show(name or title, done, of, words)
                elif time.monotonic() - last > LINE_EVERY_S:
                    last = time.monotonic()
                    say(f"{name or title}: {words}", err=True)

            yield report
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


def wait_for_jobs(jobs: "Sequence[Job]") -> "list[JobStatus]":
    """Show how jobs go until all have ended: a bar each, or a line at every change."""
    from rich.console import Console

    from crowdbench.jobs.status import wait_for

    is_terminal = Console(stderr=True).is_terminal
    rows: list[JobStatus] = []
    shown: dict[str, str] = {}
    with bars() as show:
        for rows in wait_for(jobs):
            for row in rows:
                words = in_words(row)
                if is_terminal:
                    show(row.name, row.done, row.of or None, words)
                elif shown.get(row.name) != words:
                    shown[row.name] = words
                    say(f"{row.name}: {words}", err=True)
    return rows


def in_words(row: "JobStatus") -> str:
    """A job's state, progress and reason, in a line."""
    if row.state == "running" and row.of:
        return ", ".join(filter(None, (f"{row.done}/{row.of} {row.unit}", row.words, left(row.eta_s))))
    if row.state == "done" and row.ap is not None:
        return f"done, AP {100 * row.ap:.1f}"
    # What follows brings its own full stop.
    return f"{row.state}: {row.reason.removesuffix('.')}" if row.reason else row.state


def left(seconds: float | None) -> str:
    """The time that is left, in words; empty if it is unknown."""
    if seconds is None:
        return ""
    minutes = seconds / 60
    if minutes < 1:
        return f"{seconds:.0f} s left"
    return f"{minutes:.0f} min left" if minutes < 90 else f"{minutes / 60:.1f} h left"


@contextmanager
def bars() -> Iterator[Callable[[str, int, int | None, str], None]]:
    """Bars on a terminal's stderr, made as they are named; nothing elsewhere.

    Yields:
        The callback that shows a bar: name, how much is done, of how much, and the same in words.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[words]}", markup=False),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:

        def show(name: str, done: int, of: int | None, words: str) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(plain(name), words="")
            bars.update(tasks[name], completed=done, total=of, words=words)

        yield show


def _bar(progress: "EvaluationProgress | TrainingProgress | Transfer", of_training: bool) -> Bar:
    from crowdbench.engine.progress import EvaluationProgress
    from crowdbench.weights import Transfer

    if isinstance(progress, EvaluationProgress):
        words = f"{progress.images}/{progress.of} images, {progress.persons} persons"
        return "evaluation" if of_training else "", progress.images, progress.of, words
    if isinstance(progress, Transfer):
        whole = "" if progress.of is None else f"/{progress.of / 1e6:.0f}"
        return progress.name, progress.done, progress.of, f"{progress.done / 1e6:.0f}{whole} MB"
    score = "" if progress.score is None else f", AP {100 * progress.score:.1f}"
    words = (
        f"epoch {progress.epoch}/{progress.epochs}, loss {progress.loss:.2e}, rate {progress.rate:.1e}, "
        f"{progress.images_per_s:.1f} images/s, {progress.waiting:.0%} waiting for data, "
        f"{left(progress.eta_s)}{score}"
    )
    return "", progress.step, progress.steps, words
