"""Call plugin code so that every error in it is reported as the plugin's.

Every call of a method's, a dataset's or a launcher's code goes through `calling`.
"""

import contextlib
import logging
import os
import signal
import sys
import sysconfig
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from crowdbench.errors import CrowdbenchError, PluginError, ShapeError
from crowdbench.system.text import plain_lines, words_of

log = logging.getLogger("crowdbench")

# Those that people and schedulers stop a process with, a cluster's early notice of a time limit among them;
# their handlers raise KeyboardInterrupt or SystemExit.
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


@contextmanager
def calling(
    plugin: str, hook: str, where: str = "", *, passing: Callable[[BaseException], bool] = lambda _: False
) -> Iterator[None]:
    """Run a plugin's code.

    What it raises becomes a `PluginError`, also where it is no `Exception`: a `SystemExit` of a plugin would
    end the command as if all were well. Two things pass unchanged: errors of the product's own, which plugins
    raise on purpose (but for `ShapeError`: an array of a wrong shape is the plugin's), and a signal that asks
    this process to stop. What the plugin prints goes to stderr, and the working directory stays what it was.

    Args:
        plugin: its name, for messages.
        hook: the function of it that is called.
        where: on what, as in ``"image 5"``.
        passing: which other errors pass unchanged, because the caller knows what to do about them.

    Raises:
        PluginError: the code raised something.
    """
    with signals_noted() as signals, surroundings_kept(plugin, hook):
        try:
            yield
        except BaseException as error:
            if signals and not isinstance(error, Exception):
                raise
            if isinstance(error, CrowdbenchError) and not isinstance(error, ShapeError):
                raise
            if passing(error):
                raise
            raise _as_plugin_error(error, plugin, hook, where) from error


def _as_plugin_error(error: BaseException, plugin: str, hook: str, where: str) -> PluginError:
    on = f" on {where}" if where else ""
    text = words_of(error)
    if isinstance(error, ShapeError):
        said = f"{plugin}: {hook}{on}: {text}"
    else:
        said = f"{plugin}: {hook} raised {type(error).__name__}{on}" + (f": {text}" if text else ".")
        said += _place_of(error)
    found = PluginError(plain_lines(said))
    found.raised = tuple(cls.__name__ for cls in type(error).__mro__)
    found.trace = "".join(traceback.format_exception(error))
    return found


_LIBRARIES = tuple(sysconfig.get_path(name) + os.sep for name in ("stdlib", "purelib", "platlib"))


def _place_of(error: BaseException) -> str:
    """The last line of the plugin's own code: not crowdbench's, not that of libraries which it calls."""
    own = str(Path(__file__).parents[1]) + os.sep
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        # Generated code, as a dataclass's __init__, has no file.
        if os.path.isabs(frame.filename)  # noqa: PTH117
        and not frame.filename.startswith(own)
        and not frame.filename.endswith("contextlib.py")
    ]
    if not frames:
        return ""
    # A hook may be of a base class in another package, and call code of the plugin.
    folder = str(Path(frames[0].filename).parent)
    last = [f for f in frames if f.filename.startswith(folder) or not f.filename.startswith(_LIBRARIES)][-1]
    return f"\nIt happened in {last.filename}:{last.lineno}, in {last.name}."


def log_trace(error: BaseException) -> None:
    """Write where a plugin's error came from into the log's file; terminals do not show it."""
    trace = getattr(error, "trace", "")
    if trace:
        log.debug("the plugin's own trace:\n%s", trace)


@contextmanager
def signals_noted() -> Iterator[list[int]]:
    """The signals that come meanwhile and stop this process: they are no doing of the plugin."""
    noted: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield noted  # signals are handled in the main thread
        return
    before = {number: signal.getsignal(number) for number in _STOPPING}
    handlers = {number: handler for number, handler in before.items() if callable(handler)}
    noting = {number: _noting(handler, noted) for number, handler in handlers.items()}
    for number, handler in noting.items():
        signal.signal(number, handler)
    try:
        yield noted
    finally:
        for number, handler in noting.items():
            if signal.getsignal(number) is handler:  # the plugin may have set its own
                signal.signal(number, before[number])


def _noting(handler: Callable[..., object], noted: list[int]) -> Callable[[int, FrameType | None], None]:
    def note(number: int, frame: FrameType | None) -> None:
        noted.append(number)
        handler(number, frame)

    return note


@contextmanager
def surroundings_kept(plugin: str, hook: str) -> Iterator[None]:
    """What is printed goes to stderr, and the working directory is put back."""
    folder = _working_directory()
    try:
        # What is printed must not get into a command's own output, which programs read.
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        now = _working_directory()
        if folder is not None and now != folder:
            os.chdir(folder)
            log.warning("%s: %s changed the working directory to %s; it was changed back", plugin, hook, now)


def _working_directory() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109  (as text, quickly)
    except OSError:
        return None


def refuse_renamed_hooks(plugin: str, cls: type[object], renamed: Mapping[str, str]) -> None:
    """Refuse a plugin whose class defines a hook by a name that is no longer called.

    Without this the hook would silently do nothing. A class that defines the new name as well may use the old
    one for itself.

    Args:
        plugin: its name, for messages.
        cls: the plugin's class.
        renamed: the new name by the old one.

    Raises:
        PluginError: it defines such a hook; names the new one.
    """
    defined = {attribute for base in cls.__mro__ if not _is_own(base) for attribute in vars(base)}
    for old, new in renamed.items():
        if old in defined and new.split(maxsplit=1)[0] not in defined:
            raise PluginError(f"{plugin}: {cls.__name__}.{old} has a new name: {new}. Rename it.")


def _is_own(base: type[object]) -> bool:
    return base is object or base.__module__.startswith("crowdbench.")
