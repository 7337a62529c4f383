"""All pictures of a set, drawn by several processes, in order.

The processes are programs of their own that return their images through a pipe. They are not forks (see
`crowdbench.engine.data_loader`) and not children of `multiprocessing`, which would run the user's script once
more in each of them: opening a dataset must be safe at the top of a script.
"""

import json
import os
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path

import msgspec

from crowdbench.errors import RunError
from crowdbench_datasets.synthcrowd.image import Picture, draw
from crowdbench_datasets.synthcrowd.recipe import Recipe

WORKER = "crowdbench_datasets.synthcrowd.worker"
# A process starts in the time of some 30 images; fewer are not worth one.
FEWEST_IMAGES = 32
LENGTH_BYTES = 4


def draw_all(recipe: Recipe, workers: int | None = None) -> Generator[Picture]:
    """Draw a set.

    Args:
        recipe: which.
        workers: processes; 1 draws in this one. None takes the processors that are available, and fewer for
            small sets.

    Yields:
        The pictures, in order; the same whatever the number of processes.

    Raises:
        RunError: a process died.
    """
    count = _useful_workers(recipe) if workers is None else min(workers, recipe.images)
    if count <= 1:
        for index in range(recipe.images):
            yield draw(recipe, index)
        return
    with ExitStack() as running:
        processes = [running.enter_context(_worker(recipe, first, count)) for first in range(count)]
        for index in range(recipe.images):
            yield _next_of(processes[index % count])


def _useful_workers(recipe: Recipe) -> int:
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(available, recipe.images // FEWEST_IMAGES)


@contextmanager
def _worker(recipe: Recipe, first: int, step: int) -> "Iterator[subprocess.Popen[bytes]]":
    """A process that draws every ``step``-th image; it ends with the block, or when this process does."""
    command = [sys.executable, "-P", "-m", WORKER, json.dumps(asdict(recipe)), str(first), str(step)]
    process = subprocess.Popen(
        command,
        # It finds the packages where this process found them.
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        # Ctrl-C reaches this process only, which then ends its workers.
        process_group=0,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def _next_of(process: "subprocess.Popen[bytes]") -> Picture:
    assert process.stdout is not None
    length = int.from_bytes(process.stdout.read(LENGTH_BYTES))
    content = process.stdout.read(length)
    if not length or len(content) < length:
        raise RunError(
            f"a process that draws crowds ended with status {process.wait()} before its work was done.\n"
            "It may have run out of memory. Nothing half-drawn is left; start again."
        )
    return msgspec.msgpack.decode(content, type=Picture)
