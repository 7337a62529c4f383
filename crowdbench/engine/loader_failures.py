"""Detect and report loader processes that die or cannot transfer their examples."""

import errno
import multiprocessing.queues
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from typing import Any

from crowdbench.errors import CrowdbenchError, MachineError, PluginError

# PyTorch looks every five seconds whether its workers live, unless it hangs in half a message of a dead one.
_PATIENCE_S = 12.0
LITTLE_SHARED_MEMORY = (
    "shared memory (/dev/shm) is too small for the batches of the loader processes.\n"
    "Give a container more of it (docker run --shm-size=2g, or --ipc=host), or say --workers 0 to prepare in "
    "the main process. Smaller batches need less."
)


def hand_over_errors() -> None:
    """In a loader process, turn what cannot be sent to the main process into an error that can.

    multiprocessing would print a traceback, and the main process would wait for ever.
    """

    def send_error(queue: Any, error: Exception, item: Any) -> None:
        position = item[0] if isinstance(item, tuple) and item else None
        queue.put((position, _as_error(error)))

    # Asked for by the thread that feeds a queue; overriding it is what it is there for.
    multiprocessing.queues.Queue._on_queue_feeder_error = send_error  # type: ignore[attr-defined]


def _as_error(error: Exception) -> CrowdbenchError:
    if is_little_shared_memory(error):
        return MachineError(LITTLE_SHARED_MEMORY)
    if isinstance(error, OSError | MemoryError):
        return MachineError(f"a loader process cannot pass a batch on ({error}).\nSay --workers 0.")
    return PluginError(
        f"a loader process cannot pickle a batch ({type(error).__name__}: {error}).\n"
        "What `collate` returns must be something that can be pickled. --workers 0 does without."
    )


def is_little_shared_memory(error: BaseException) -> bool:
    """Whether an error says that ``/dev/shm`` is full."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOSPC
    text = str(error)
    return isinstance(error, RuntimeError) and "shared memory" in text and "No space left" in text


def without_workers(error: BaseException) -> MachineError:
    """The error where loader processes cannot even be started."""
    if is_little_shared_memory(error):
        return MachineError(LITTLE_SHARED_MEMORY)
    return MachineError(
        f"loader processes cannot be started ({error}).\n--workers 0 prepares in the main process."
    )


class Watch:
    """Watches loader processes, given in their order."""

    def __init__(self, processes: Sequence[BaseProcess]) -> None:
        self._processes = list(processes)
        self._over = threading.Event()
        self._death: str | None = None

    @contextmanager
    def watching(self, results: Any) -> Iterator[None]:
        """Watch them while batches come through the queue `results`."""
        if not self._processes:
            yield
            return
        asleep, awake = connection.Pipe(duplex=False)
        thread = threading.Thread(target=self._look, args=(results, asleep), name="loaders", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            awake.close()
            thread.join()
            asleep.close()

    def death(self) -> str | None:
        """Which one has died, how, and what may be done, in words; None if all are well."""
        if self._death is None:
            self._note(self._processes)
        return self._death

    def _look(self, results: Any, over: connection.Connection) -> None:
        sentinels = {process.sentinel: process for process in self._processes}
        while sentinels and self._death is None and not self._over.is_set():
            ready = connection.wait([over, *sentinels])
            self._note([sentinels.pop(found) for found in ready if isinstance(found, int)])
        if self._death is not None and not self._over.wait(_PATIENCE_S):
            self._cut_off(results)

    def _note(self, ended: Sequence[BaseProcess]) -> None:
        for process in ended:
            if process.exitcode and self._death is None:
                self._death = _in_words(process.pid, process.exitcode)

    def _cut_off(self, results: Any) -> None:
        """End the wait for the rest of a message that the dead process had begun."""
        for process in self._processes:
            with suppress(OSError, ValueError):
                process.kill()
        with suppress(OSError, AttributeError):
            results._writer.close()


def _in_words(number: int | None, status: int) -> str:
    if status == -signal.SIGBUS:
        return f"a loader process (number {number}) died of a bus error: {LITTLE_SHARED_MEMORY}"
    if status == -signal.SIGKILL:
        how = "was killed, perhaps because memory ran out"
    elif status < 0:
        how = f"crashed ({_signal(-status)})"
    else:
        how = f"ended with status {status}"
    return (
        f"a loader process (number {number}) {how}.\n"
        "What is finished is kept. Fewer --workers need less memory; --workers 0 prepares in the main "
        "process and shows what happens."
    )


def _signal(number: int) -> str:
    with suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"
