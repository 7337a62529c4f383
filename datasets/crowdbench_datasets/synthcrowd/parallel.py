"""Draw the images of a set in several processes, in order.

Worker processes are separate programs that return images through a pipe. They are not forked (see
`crowdbench.engine.data_loader`) and not started by `multiprocessing`, which would rerun the user's script in
each of them: opening a dataset must be safe at the top level of a script.
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
# Starting a process takes as long as drawing about 30 images.
FEWEST_IMAGES = 32
LENGTH_BYTES = 4


def draw_all(recipe: Recipe, workers: int | None = None) -> Generator[Picture]:
    """Draw the images of a set.

    Args:
        recipe: the set.
        workers: number of processes; 1 draws in this process. None uses the available CPUs, or fewer for
            small sets.

    Yields:
        The images in order, independent of the number of processes.

    Raises:
        RunError: a worker process died.
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
    """Start a process that draws every ``step``-th image; it ends with the block or with this process."""
    command = [sys.executable, "-P", "-m", WORKER, json.dumps(asdict(recipe)), str(first), str(step)]
    process = subprocess.Popen(
        command,
        # The worker imports packages from where this process found them.
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        # Ctrl-C reaches this process only, which then stops its workers.
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
            "It may have run out of memory. No partial set is kept; run the same command again."
        )
    return msgspec.msgpack.decode(content, type=Picture)
