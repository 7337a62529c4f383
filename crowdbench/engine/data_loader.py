"""Prepare samples in worker processes and collate them into batches, in order.

Workers start from a clean process, not as forks of this one: a fork of a process in which OpenCV or PyTorch
have begun threads can hang for ever.
"""

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate, pairwise
from multiprocessing.context import BaseContext
from typing import TYPE_CHECKING, Any, TypeVar

from crowdbench.api.method import Batch, NetworkMethod
from crowdbench.api.types import Sample
from crowdbench.engine import hooks
from crowdbench.engine.loader_failures import Watch, hand_over_errors, without_workers
from crowdbench.engine.seeding import example_generator
from crowdbench.errors import CrowdbenchError, MachineError, RunError
from crowdbench.system.images import decoder_warnings
from crowdbench.system.text import plain

if TYPE_CHECKING:
    from torch.utils.data import DataLoader

log = logging.getLogger("crowdbench")
T = TypeVar("T")


def _log_warning(text: str) -> None:
    log.warning("%s", plain(text))


class InferenceExamples:
    """A map-style dataset for PyTorch's loader: preparation happens where ``__getitem__`` is called.

    Errors of the product's own travel as values: PyTorch would send them wrapped in a traceback.
    """

    def __init__(self, method: NetworkMethod, samples: Sequence[Sample]) -> None:
        self.method = method
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, asked: Any) -> tuple[Any, list[str]]:
        with decoder_warnings() as warnings:
            try:
                return self.prepared(asked), warnings
            except CrowdbenchError as error:
                return error, warnings

    def prepared(self, asked: Any) -> Any:
        """The example of an image, by its position."""
        return hooks.prepare(self.method, self.samples[asked])

    def collate(self, prepared: list[tuple[Any, list[str]]]) -> tuple[Any, list[str]]:
        """The method's batch, or the first error; and what the decoder said of its images."""
        examples = [example for example, _ in prepared]
        warnings = [text for _, texts in prepared for text in texts]
        for example in examples:
            if isinstance(example, CrowdbenchError):
                return example, warnings
        try:
            return hooks.collate(self.method, examples), warnings
        except CrowdbenchError as error:
            return error, warnings


class TrainingExamples(InferenceExamples):
    """The same for training: asked for an epoch and a position."""

    def __init__(self, method: NetworkMethod, samples: Sequence[Sample], seed: int) -> None:
        super().__init__(method, samples)
        self.seed = seed

    def prepared(self, asked: Any) -> Any:
        """The example of an image in an epoch."""
        epoch, position = asked
        rng = example_generator(self.seed, epoch, position)
        return hooks.prepare(self.method, self.samples[position], rng)


def load_batches(
    method: NetworkMethod,
    batches: Sequence[Sequence[Sample]],
    *,
    workers: int,
    pin_memory: bool,
    on_warning: Callable[[str], None] = _log_warning,
) -> Iterator[Batch]:
    """Prepare and join groups of samples, ahead of their use.

    Args:
        method: prepares and collates.
        batches: samples, grouped.
        workers: processes; 0 prepares in this process. A method that is defined in ``__main__`` (a notebook)
            cannot be found by other processes and is always prepared in this one.
        pin_memory: for a GPU.
        on_warning: called with what the image decoder says of a damaged image, before its batch; once.

    Raises:
        CrowdbenchError: what `method.prepare` raised.
        MachineError: a worker died.
    """
    samples = [sample for batch in batches for sample in batch]
    ends = accumulate((len(batch) for batch in batches), initial=0)
    positions = [list(range(start, end)) for start, end in pairwise(ends)]
    processes = min(workers, len(batches))
    yield from _loaded(InferenceExamples(method, samples), positions, processes, pin_memory, on_warning)


def load_training_batches(
    method: NetworkMethod,
    samples: Sequence[Sample],
    order: Iterable[list[tuple[int, int]]],
    *,
    seed: int,
    workers: int,
    pin_memory: bool,
    on_warning: Callable[[str], None] = _log_warning,
) -> Iterator[Batch]:
    """Prepare and join augmented examples, ahead of their use, across the ends of epochs.

    Args:
        method: prepares and collates.
        samples: to train on.
        order: the batches, as epochs and positions in `samples`.
        seed: of the training; with epoch and position it determines every example, in every process.
        workers, pin_memory, on_warning: see `load_batches`.

    Raises:
        CrowdbenchError: what `method.prepare` raised.
        MachineError: a worker died.
    """
    yield from _loaded(TrainingExamples(method, samples, seed), order, workers, pin_memory, on_warning)


def _loaded(
    prepared: InferenceExamples,
    asked: Iterable[Any],
    processes: int,
    pin_memory: bool,
    on_warning: Callable[[str], None],
) -> Iterator[Batch]:
    from torch.utils.data import DataLoader

    method = prepared.method
    if processes and type(method).__module__ == "__main__":
        log.warning("%s is defined in __main__: preparing in this process, without workers", method.name)
        processes = 0
    loader: DataLoader[tuple[Batch, list[str]]] = DataLoader(
        prepared,  # type: ignore[arg-type]  # any __len__ + __getitem__ serves
        batch_sampler=asked,
        num_workers=processes,
        collate_fn=prepared.collate,
        worker_init_fn=_start_worker,
        multiprocessing_context=_clean_start(method) if processes else None,
        pin_memory=pin_memory,
    )
    reported: set[str] = set()
    for loaded in _unless_workers_die(loader):
        if isinstance(loaded, CrowdbenchError):  # of the loader, not of the method
            raise loaded
        batch, warnings = loaded
        for text in warnings:
            if text not in reported:
                reported.add(text)
                on_warning(text)
        if isinstance(batch, CrowdbenchError):
            raise batch
        yield batch


def _clean_start(method: NetworkMethod) -> BaseContext:
    context = multiprocessing.get_context("forkserver")
    # Imported once, in the process that workers are forked from; importing begins no threads.
    context.set_forkserver_preload(["torch", "cv2", type(method).__module__])
    return context


def _start_worker(_: int) -> None:
    import cv2

    # Workers are the parallelism; OpenCV's own threads on top would fight over the cores.
    cv2.setNumThreads(1)
    # A signal to the whole process group is the main process's to handle: it ends its workers itself.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    hand_over_errors()
    threading.Thread(target=_die_with_main_process, daemon=True).start()


def _die_with_main_process() -> None:
    """PyTorch's watchdog asks for the parent: the fork server, which lives as long as its workers do."""
    main = multiprocessing.parent_process()
    assert main is not None
    main.join()
    os._exit(1)


def _unless_workers_die(loader: "DataLoader[T]") -> Iterator[T]:
    try:
        with _children_do_not_hear(signal.SIGUSR2):
            batches = iter(loader)
    except OSError as error:
        raise without_workers(error) from error
    watch = Watch(getattr(batches, "_workers", ()))
    try:
        with watch.watching(getattr(batches, "_worker_result_queue", None)):
            yield from batches
    except (RuntimeError, OSError, EOFError) as error:
        death = watch.death()
        if death is not None:
            raise MachineError(death) from error
        if "DataLoader worker" in str(error) or "Pin memory thread" in str(error):
            raise MachineError(
                f"a loader process died: {str(error).splitlines()[0]}\n"
                "It may have run out of memory. --workers 0 prepares in the main process and shows what "
                "happens."
            ) from error
        if "Too many open files" in str(error) or "ancdata" in str(error):
            raise MachineError(
                "too many files are open at once for loader processes to pass batches on.\n"
                "Raise the limit (ulimit -n 65536), or say --workers 0."
            ) from error
        raise


@contextmanager
def _children_do_not_hear(number: signal.Signals) -> Iterator[None]:
    """A signal that clusters send to all processes of a job would kill those that do not expect it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})  # which is inherited
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def require_main_guard() -> None:
    """Stop a worker that imports the script that started it from running that script again (RunError)."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise RunError(
            "a loader process imports the script that started it, and the script evaluates right away.\n"
            'Put the call under `if __name__ == "__main__":`, or pass workers=0.'
        )
