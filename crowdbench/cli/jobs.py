"""``crowdbench status``, ``logs``, ``cancel`` and ``wait``: the state of runs and jobs."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from crowdbench.cli.echo import say, say_json, say_table
from crowdbench.cli.options import json_option, out_option
from crowdbench.system.text import plain

if TYPE_CHECKING:
    from rich.table import Table

    from crowdbench.jobs.job import Job
    from crowdbench.jobs.launcher import Queue
    from crowdbench.jobs.status import JobStatus

_STYLES = {"running": "cyan", "done": "green", "failed": "red", "lost": "red", "waiting": "yellow"}


@click.command()
@click.argument("names", nargs=-1, metavar="[PATTERN]...")
@out_option
@click.option("--all", "everything", is_flag=True, help="Also show what ended more than a day ago.")
@click.option("--watch", is_flag=True, help="Refresh every few seconds.")
@json_option("a JSON list instead of a table")
def status(names: tuple[str, ...], out: Path, everything: bool, watch: bool, as_json: bool) -> None:
    """Show the status of runs and jobs: all of them, or those that match a PATTERN.

    A PATTERN is a name with * and ?, as in 'i2rnet*', or a run's folder, id, job, method/dataset or method.

    What ended more than a day ago is only counted, unless it is asked for by name or with --all.
    """
    if not watch:
        rows, problems = _rows(out, names)
        if as_json:
            _print_json(rows)
        else:
            _print_table(rows, everything or bool(names))
        for problem in problems:
            say(f"note: {problem}", err=True)
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(), refresh_per_second=2) as live:
        while True:
            rows, _ = _rows(out, names)
            live.update(_rich_table(_recent(rows, everything or bool(names))[0]))
            time.sleep(3)


def _rows(out: Path, names: Sequence[str]) -> "tuple[list[JobStatus], list[str]]":
    from crowdbench.jobs.status import list_statuses

    rows, problems = list_statuses(out)
    if names:
        rows = [row for row in rows if any(row in _named(name, rows) for name in names)]
    return rows, problems


def _named(name: str, rows: "Sequence[JobStatus]") -> "list[JobStatus]":
    """Return the rows that a name refers to, by the rules of `crowdbench.run_store.find`."""
    from fnmatch import fnmatchcase

    from crowdbench.run_store.find import Called, is_run, named

    folder = Path(name)
    if folder.is_file() and is_run(folder):
        folder = folder.parent
    if folder.is_dir():
        place = folder.resolve()
        inside = [
            row
            for row in rows
            for where in (row.directory, row.job)
            if where is not None and where.resolve().is_relative_to(place)
        ]
        if inside:
            return inside

    def called(row: "JobStatus") -> Called:
        directory = row.directory
        split = "" if directory is None else directory.parent.parent.name.removeprefix(f"{row.dataset}-")
        return Called("" if directory is None else directory.name, row.name, row.method, row.dataset, split)

    return [row for row in rows if fnmatchcase(row.name, name)] or named(name, rows, called)


def _recent(rows: "Sequence[JobStatus]", everything: bool) -> "tuple[list[JobStatus], int]":
    """Return the rows to show, and how many are left out."""
    day_s = 24 * 3600
    shown = [row for row in rows if everything or not row.is_ended or time.time() - row.changed < day_s]
    return shown, len(rows) - len(shown)


def _print_table(rows: "Sequence[JobStatus]", everything: bool) -> None:
    if not rows:
        say("No runs here, and no jobs.")
        return
    shown, left_out = _recent(rows, everything)
    if sys.stdout.isatty():
        from rich.console import Console

        Console().print(_rich_table(shown))
    elif shown:
        say_table(_table(shown), _HEADERS)
        say()
    counts = {
        word: sum(row.state == word for row in rows) for word in dict.fromkeys(row.state for row in rows)
    }
    more = f"; {left_out} that ended more than a day ago are not shown (--all)" if left_out else ""
    say(f"{len(rows)}: {', '.join(f'{count} {word}' for word, count in counts.items())}{more}.")


def _cells(row: "JobStatus") -> list[str]:
    from crowdbench.cli.progress import left

    progress = ", ".join(filter(None, (f"{row.done}/{row.of} {row.unit}" if row.of else "", row.words)))
    ap = "" if row.ap is None else f"{100 * row.ap:.1f}"
    said = row.reason or progress
    words = (row.name, row.state, ap, left(row.eta_s).removesuffix(" left"), row.where, said)
    return [plain(word) for word in words]


_HEADERS = ["name", "state", "AP", "left", "where", ""]


def _table(rows: "Sequence[JobStatus]") -> list[list[str]]:
    """A line for each job, and one for the log of each that failed."""
    lines = []
    for row in rows:
        lines.append(_cells(row))
        if row.state in ("failed", "lost") and (log := _log_of(row)) is not None:
            lines.append(["", "", "", "", "", plain(f"log: {log}")])
    return lines


def _rich_table(rows: "Sequence[JobStatus]") -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(*_HEADERS, box=None)
    for cells in _table(rows):
        style = _STYLES.get(cells[1], "") if cells[0] else "dim"
        table.add_row(*(Text(cell, style=style) for cell in cells))
    return table


def _log_of(row: "JobStatus") -> Path | None:
    """Return the most informative log of a job, or None."""
    from crowdbench.jobs.job import Job

    if row.job is None:
        return None
    job = Job(row.job)
    files = _log_files(job)
    return files[0] if files else job.log if job.log.is_file() else None


def _print_json(rows: "Sequence[JobStatus]") -> None:
    import msgspec

    say_json(
        [
            {**msgspec.to_builtins(row, enc_hook=str), "log": str(log) if (log := _log_of(row)) else None}
            for row in rows
        ]
    )


@click.command()
@click.argument("name", metavar="RUN")
@out_option
@click.option("-f", "--follow", is_flag=True, help="Follow the log until the job has ended.")
@click.option(
    "--task", type=click.IntRange(0), default=0, show_default=True, help="The process whose log to print."
)
@click.option("-n", "--lines", type=click.IntRange(1), help="Print only the last N lines.")
def logs(name: str, out: Path, follow: bool, task: int, lines: int | None) -> None:
    """Print a job's log. RUN is the job's name or its beginning, its number, or its run's directory."""
    from crowdbench.errors import LaunchError
    from crowdbench.jobs.find_job import find_job
    from crowdbench.jobs.queue_clients import QueueClients
    from crowdbench.jobs.status import query_statuses

    folder = Path(name)
    if (folder / "log.txt").is_file() and not (folder / "job.json").is_file():
        _print_file(folder / "log.txt", lines)  # a run that was not submitted
        return
    job = find_job(out, name)
    queues = QueueClients()
    reader: BinaryIO | None = None
    path: Path | None = None
    while True:
        statuses = query_statuses([job], queues)[0][0][0]
        files = _log_files(job)
        if path is None and task < len(files):
            path = files[task]
            if not follow:
                _print_file(path, lines)
                return
            reader = _opened(path)
            _print_end(reader, lines)
        elif reader is not None:
            _print_rest(reader)
        if not follow or statuses.is_ended:
            break
        time.sleep(1)
    if reader is not None:
        _print_rest(reader)
        reader.close()
        return
    words = f"{statuses.state}: {statuses.reason}" if statuses.reason else statuses.state
    raise LaunchError(f"{job.name} has no log{f' of task {task}' if task else ''} ({words}).")


def _log_files(job: "Job") -> list[Path]:
    from crowdbench.errors import CrowdbenchError
    from crowdbench.jobs.launcher import load_queue

    ticket = job.ticket()
    if ticket is None:
        return []
    try:
        return load_queue(job.order().launcher).logs(ticket)
    except CrowdbenchError:
        return []


def _print_file(path: Path, lines: int | None) -> None:
    with _opened(path) as reader:
        _print_end(reader, lines)


def _opened(path: Path) -> BinaryIO:
    from crowdbench.errors import LaunchError
    from crowdbench.system.files.opening import open_regular
    from crowdbench.system.files.os_errors import reason

    try:
        return open_regular(path)
    except OSError as failure:
        raise LaunchError(f"{path}: the log cannot be read ({reason(failure)}).") from failure


def _print_end(reader: BinaryIO, lines: int | None) -> None:
    text = reader.read().decode(errors="replace")
    if lines is not None:
        text = "".join(text.splitlines(keepends=True)[-lines:])
    say(_lines(text), nl=False)


def _print_rest(reader: BinaryIO) -> None:
    say(_lines(reader.read().decode(errors="replace")), nl=False)


def _lines(text: str) -> str:
    """Put each state of a progress bar on a line."""
    return text.replace("\r\n", "\n").replace("\r", "\n").expandtabs()


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="RUN...")
@out_option
def cancel(names: tuple[str, ...], out: Path) -> None:
    """Cancel jobs. What they have computed is kept; run the same command again to resume.

    RUN is a job's name or its beginning, its number, or its run's directory.
    """
    import msgspec

    from crowdbench.errors import CrowdbenchError, LaunchError
    from crowdbench.jobs.find_job import find_job
    from crowdbench.jobs.launcher import load_queue
    from crowdbench.jobs.queue_clients import QueueClients
    from crowdbench.jobs.status import ENDED, query_statuses
    from crowdbench.system.text import utc_now

    jobs = dict.fromkeys(find_job(out, name) for name in names)
    statuses = {row.name: row for row, _ in query_statuses(list(jobs), QueueClients())[0]}
    queues: dict[str, tuple[Queue, list[Job]]] = {}
    for job in jobs:
        row = statuses[job.name]
        if row.state in ENDED:
            say(f"{job.name}: {row.state} already")
            continue
        if job.ticket() is None:
            raise LaunchError(
                f"{job.name}: its number in the queue was not recorded; the submission was interrupted.\n"
                "Cancel it with the queue's own tools."
            )
        launcher = job.order().launcher
        queues.setdefault(launcher, (load_queue(launcher), []))[1].append(job)
    for queue, cancelled_jobs in queues.values():
        tickets = []
        for job in cancelled_jobs:
            ticket = job.ticket()
            assert ticket is not None
            # Recorded first: a job that is asked to stop checks whether it was cancelled.
            tickets.append(ticket)
            job.write(msgspec.structs.replace(ticket, cancelled=utc_now()))
        try:
            queue.cancel(tickets)
        except CrowdbenchError:
            for job, ticket in zip(cancelled_jobs, tickets, strict=True):
                job.write(ticket)
            raise
        for job in cancelled_jobs:
            say(f"{job.name}: cancelled")


@click.command()
@click.argument("names", nargs=-1, metavar="[RUN]...")
@out_option
def wait(names: tuple[str, ...], out: Path) -> None:
    """Wait until the named jobs, or all, have ended. The exit status is 1 unless all are done."""
    from crowdbench.cli.progress import in_words, wait_for_jobs
    from crowdbench.errors import RunError
    from crowdbench.jobs.find_job import find_job
    from crowdbench.jobs.job import find_jobs
    from crowdbench.jobs.queue_clients import QueueClients
    from crowdbench.jobs.status import query_statuses

    if names:
        jobs = list(dict.fromkeys(find_job(out, name) for name in names))
    else:
        rows = query_statuses(list(find_jobs(out)), QueueClients())[0]
        jobs = [find_job(out, row.name) for row, _ in rows if not row.is_ended]
    if not jobs:
        say("Nothing to wait for.")
        return
    ended = wait_for_jobs(jobs)
    for row in ended:
        say(f"{row.name}: {in_words(row)}")
    undone = [row for row in ended if row.state != "done"]
    if undone:
        raise RunError(f"{len(undone)} of {len(ended)} jobs are not done. crowdbench logs NAME says why.")
