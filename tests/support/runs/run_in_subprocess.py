"""A program that starts processes at a run, as quickly as they can be forked, and kills them where it is told.

It reads a JSON list a line, an object for each process, starts them all at once, and answers with a JSON list of
what became of them: the exit status, or the negative number of the signal, and what was logged. An object has
``out``, the folder of runs; ``steps``, a file that grows by a byte with every image; ``again``; ``environment``;
``largest_file``, in bytes; and ``dies``, where the process is killed:

    image:N        when it has begun its Nth image, from 0
    write:N        in the middle of its Nth write of a file
    predictions    when predictions are written, before they are scored
    record         when the record says that the run is done, before the parts are removed
    promotion      when a new result's predictions are in their place, and its record is not
    stop:N         as image:N, but it is frozen, not killed
"""

import json
import logging
import os
import resource
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch  # noqa: F401  (once, before all forks)

from crowdbench import load_dataset
from crowdbench.errors import CrowdbenchError
from crowdbench.evaluation import evaluate as evaluation
from crowdbench.evaluation import shards
from crowdbench.run_store import lease as writer
from crowdbench.run_store import recomputation
from crowdbench.scoring import score as scoring
from crowdbench.system.files import writing as files
from support.methods.toy import BoxCentre

LIMIT = 6


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Counting(BoxCentre):
    """Leaves a byte in a file for every image."""

    def estimate(self, image: Any, boxes: Any) -> Any:
        with Path(self.spec["steps"]).open("ab") as file:  # type: ignore[attr-defined]
            file.write(b".")
        point, _, number = self.spec.get("dies", "").partition(":")  # type: ignore[attr-defined]
        self.images = getattr(self, "images", -1) + 1
        if point in ("image", "stop") and self.images == int(number):
            os.kill(os.getpid(), signal.SIGKILL if point == "image" else signal.SIGSTOP)
        return super().estimate(image, boxes)


def prepare_to_die(spec: dict[str, Any]) -> None:
    """Put the death where it is wanted."""
    point, _, number = spec.get("dies", "").partition(":")
    if point == "write":
        flush, left = os.fsync, [int(number)]

        def counted(descriptor: int) -> None:
            left[0] -= 1
            if left[0] < 0:
                die()
            flush(descriptor)

        files.os.fsync = counted  # type: ignore[attr-defined]
    elif point == "predictions":
        scoring.score_files = lambda *_, **__: die()  # type: ignore[assignment]
    elif point == "record":
        shards.PredictionShards.remove = lambda _: die()  # type: ignore[method-assign, assignment]
    elif point == "promotion":
        vars(recomputation)["write_whole"] = lambda *_: die()


def work(spec: dict[str, Any]) -> None:
    """One process's evaluation."""
    os.environ.update(spec.get("environment", {}))
    if "silent_s" in spec:
        writer.LEASE_TIMEOUT_S, writer.HEARTBEAT_S = spec["silent_s"], spec["silent_s"] / 10
    prepare_to_die(spec)
    if "largest_file" in spec:  # as on a disk that is full
        resource.setrlimit(resource.RLIMIT_FSIZE, (spec["largest_file"], resource.RLIM_INFINITY))
    dataset = load_dataset("synthcrowd")
    method = Counting(dataset.keypoints, Counting.Settings())
    method.spec = spec  # type: ignore[attr-defined]
    evaluation.evaluate(
        method,
        dataset,
        out=spec["out"],
        limit=LIMIT,
        batch_size=1,
        save_every_s=0,
        workers=0,
        again=spec.get("again", False),
        command=["test"],
    )


def forked(spec: dict[str, Any], log: Path) -> int:
    """Start a process; its number."""
    number = os.fork()
    if number:
        return number
    status = 70
    try:
        logging.raiseExceptions = False  # where no file may grow, logs do not either
        logging.basicConfig(filename=log, level=logging.INFO, force=True)
        work(spec)
        status = 0
    except CrowdbenchError as error:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        logging.error("%s: %s", type(error).__name__, error)
        status = error.exit_status
    except BaseException:
        logging.exception("a bug")
    finally:
        logging.shutdown()
        os._exit(status)


def main() -> None:
    """Carry out what is read."""
    for line in sys.stdin:
        with tempfile.TemporaryDirectory() as folder:
            specs = json.loads(line)
            logs = [Path(folder) / str(i) for i in range(len(specs))]
            numbers = [forked(spec, log) for spec, log in zip(specs, logs, strict=True)]
            ended: dict[int, int] = {}
            while len(ended) < len(numbers):
                number, status = os.waitpid(-1, os.WUNTRACED)
                if os.WIFSTOPPED(status):
                    # The others have to notice; when they have ended, it goes on.
                    while len(ended) < len(numbers) - 1:
                        other, how = os.waitpid(-1, 0)
                        ended[other] = os.waitstatus_to_exitcode(how)
                    os.kill(number, signal.SIGCONT)
                else:
                    ended[number] = os.waitstatus_to_exitcode(status)
            said = [log.read_text() if log.exists() else "" for log in logs]
        sys.stdout.write(json.dumps([[ended[n], text] for n, text in zip(numbers, said, strict=True)]) + "\n")
        sys.stdout.flush()
