"""Exit statuses, and one line for every error."""

import io
import logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from crowdbench.cli import output_streams as streams
from crowdbench.errors import CrowdbenchError
from crowdbench.system.files.os_errors import reason, remedy
from crowdbench.system.log_file import PlainFormatter
from crowdbench.system.text import plain, plain_lines

DEBUG = "CROWDBENCH_DEBUG"
INTERRUPTED = 130
NOBODY_READS = 141  # what the shell says of a process that SIGPIPE ended
_KEPT_LOGS = 20


def status_of(command: Callable[[], object], arguments: Sequence[str]) -> int:
    """Carry a command out and say on standard error why it failed, if it did.

    Args:
        command: the command line, ready to be called; what it returns is the status if it is a number.
        arguments: as given, for messages.

    Returns:
        The exit status.
    """
    streams.prepare()
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(PlainFormatter())
    try:
        return _ended(command, arguments)
    except streams.OutputError as error:
        streams.give_up_output()
        if error.nobody_reads:
            return NOBODY_READS
        _say(f"{_name(arguments)}: {error}")
        return error.exit_status


def _ended(command: Callable[[], object], arguments: Sequence[str]) -> int:
    try:
        status = command()
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except (click.exceptions.Abort, KeyboardInterrupt):
        _say("Interrupted.")
        return INTERRUPTED
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(file=shown)
        _say(shown.getvalue().rstrip("\n"))
        return error.exit_code
    except streams.OutputError:
        raise
    except CrowdbenchError as error:
        _trace(error)
        _say(f"{type(error).__name__}: {error}")
        return error.exit_status
    except Exception as error:
        _trace(error)
        kept = _kept(error, arguments)
        where = f" Details: {kept}." if kept else f" `{DEBUG}=1` before the command shows where."
        _say(f"{_name(arguments)} failed: {described(error)}{where}")
        return 1


def described(error: BaseException) -> str:
    """An error that is none of the product's own, in a line of plain words."""
    if isinstance(error, OSError):
        names = [str(name) for name in (error.filename, error.filename2) if name is not None]
        where = f"{' -> '.join(names)}: " if names else ""
        return plain(f"{where}{reason(error)}. {remedy(error)}".rstrip())
    if isinstance(error, MemoryError):
        return "out of memory. Give it less at once (--batch-size, --workers, --limit), or more memory."
    if isinstance(error, RecursionError):
        return "something that was read is nested too deeply."
    words = plain(str(error).strip().partition("\n")[0])
    name = type(error).__name__
    fault = f"{name}: {words}" if words else name
    return f"{fault.rstrip('.')}. This is a fault in crowdbench or in a plugin; please report it."


def is_debugging() -> bool:
    """Whether traces are to be shown, by ``--debug`` or the environment."""
    return os.environ.get(DEBUG, "") not in ("", "0")


def _name(arguments: Sequence[str]) -> str:
    words = [word for word in arguments if not word.startswith("-")]
    return " ".join(["crowdbench", *words[:1]])


def _say(text: str) -> None:
    click.echo(plain_lines(text), err=True)


def _trace(error: BaseException) -> None:
    if is_debugging():
        _say("".join(traceback.format_exception(error)).rstrip("\n"))


def _kept(error: BaseException, arguments: Sequence[str]) -> Path | None:
    """The file that the trace was written to; None where none can be written."""
    import shlex
    from datetime import datetime

    import platformdirs

    from crowdbench.system.version import package_version

    try:
        folder = platformdirs.user_log_path("crowdbench", appauthor=False)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{datetime.now().astimezone():%Y%m%d-%H%M%S}-{os.getpid()}.log"
        head = f"crowdbench {package_version()}\n{shlex.join(['crowdbench', *arguments])}\n"
        trace = "".join(traceback.format_exception(error))
        path.write_text(plain_lines(head + trace), encoding="utf-8", errors="backslashreplace")
        for old in sorted(folder.glob("*-*-*.log"))[:-_KEPT_LOGS]:
            old.unlink(missing_ok=True)
    except Exception:  # the error itself is what has to be reported, not that its trace cannot be kept
        return None
    return path
