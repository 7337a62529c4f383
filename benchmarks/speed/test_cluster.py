"""Handing a hundred runs over to Slurm, and looking at a thousand, on the development cluster.

Submitting is compared with a hundred `sbatch` of a script that does nothing; looking at runs with a plain
loop that reads the same files with Python's own JSON, and the start of the command line. Slurm answers on
this very machine: what a network adds is not measured.

The promises are 3 s to hand over a hundred runs, and 1 s to look at a thousand. On the machine where they
were measured (see RESULTS.md) that is SWEEP_LIMIT and STATUS_LIMIT times the baseline.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest

from crowdbench import evaluate, load_dataset, load_method
from crowdbench.jobs.job import (
    Attempt,
    Job,
    JobState,
    Resources,
    Submission,
    new_order,
    user_at_host,
)
from crowdbench.jobs.request import EvaluationRequest
from crowdbench.run_store.lease_files import ProgressReport
from crowdbench.run_store.record import Record
from crowdbench.run_store.run import Run
from crowdbench.system.text import utc_now

ROUNDS = 5
SWEEP_LIMIT, STATUS_LIMIT = 7.5, 9.5
CELLS = 100
LATER = "--begin=now+1hour"  # what begins would compute beside what is measured

PROFILE = """
[profile.later]
launcher = "slurm"
device = "cpu"
gpus_per_node = 2
cpus_per_gpu = 1
sbatch = { begin = "now+1hour" }
"""
SUITE = f"""
name = "cells"
description = "Two networks at random, fifty seeds each"

[[grid]]
methods = ["hrnet-tiny", "i2rnet-tiny"]
datasets = ["synthcrowd"]
seeds = {list(range(CELLS // 2))}
weights = "none"
"""

# What lies in a folder of runs after weeks of work: jobs, nearly all with a run's directory, and other runs.
JOBS = {"done": 350, "failed": 60, "running": 8, "waiting": 52, "cancelled": 10, "lost": 20}
OTHERS = {"done": 400, "failed": 50, "interrupted": 50, "running": 52}
SHOWN = {"interrupted": "stopped", "running": "lost"}  # where no job belongs to it, and no process either
SUBMISSION = 100  # so many jobs were handed over together, and their logs lie in one folder


@pytest.fixture
def environment(cluster: dict[str, str]) -> Iterator[dict[str, str]]:
    """That of the cluster; what is left in its queue is taken out."""
    yield {**cluster, "OMP_NUM_THREADS": "1"}
    subprocess.run(["scancel", "--user", str(os.getuid())], env=cluster, check=True)


def crowdbench(*arguments: str) -> list[str]:
    """The command line of this environment."""
    return [sys.executable, "-m", "crowdbench", *arguments]


def said(command: Sequence[str], folder: Path, environment: dict[str, str]) -> str:
    """What a command prints, which must succeed."""
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def seconds(command: Sequence[str], folder: Path, environment: dict[str, str]) -> float:
    """How long a command takes."""
    start = time.perf_counter()
    said(command, folder, environment)
    return time.perf_counter() - start


def test_a_sweep_of_a_hundred_cells_is_one_sbatch_and_soon_handed_over(
    benchmark: Any, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "crowdbench.toml").write_text(PROFILE)
    (tmp_path / "cells.toml").write_text(SUITE)
    calls = tmp_path / "calls"
    programs = _counted_sbatch(tmp_path, calls)
    counting = {**environment, "PATH": f"{programs}{os.pathsep}{environment['PATH']}"}
    folders = (str(tmp_path / f"runs-{number}") for number in count())

    def sweep() -> float:
        command = crowdbench("sweep", "cells.toml", "--on", "later", "--out", next(folders))
        return seconds(command, tmp_path, counting)

    def one_by_one() -> float:
        command = ["sbatch", LATER, "--output=/dev/null", "--wrap", "true"]
        return sum(seconds(command, tmp_path, environment) for _ in range(CELLS))

    ours, theirs = [], []
    for _ in range(ROUNDS):
        calls.write_text("")
        ours.append(sweep())
        assert calls.read_text().splitlines() == ["sbatch"]
        theirs.append(one_by_one())
    benchmark.pedantic(sweep, rounds=1)
    queued = said(["squeue", "-h", "-r", "-n", f"crowdbench-{CELLS}"], tmp_path, environment)
    assert len(queued.splitlines()) == (ROUNDS + 1) * CELLS
    # Whatever else runs on the machine only adds to a time.
    sweep_s, sbatch_s = min(ours), min(theirs)
    benchmark.extra_info.update(sweep_s=sweep_s, sbatch_s=sbatch_s, ratio=sweep_s / sbatch_s)
    assert sweep_s < SWEEP_LIMIT * sbatch_s


def _counted_sbatch(folder: Path, calls: Path) -> Path:
    """A folder with an `sbatch` that notes that it was called, and calls the real one."""
    real = shutil.which("sbatch")
    programs = folder / "bin"
    programs.mkdir()
    (programs / "sbatch").write_text(f'#!/bin/sh\necho sbatch >> "{calls}"\nexec "{real}" "$@"\n')
    (programs / "sbatch").chmod(0o755)
    return programs


def test_the_status_of_a_thousand_runs_is_soon_told(
    benchmark: Any, environment: dict[str, str], tmp_path: Path
) -> None:
    root = tmp_path / "runs"
    _fill(root, environment)
    files = [*root.glob("*/*/*/*.json"), *root.glob("jobs/*/*.json")]

    def status() -> float:
        return seconds(crowdbench("status"), tmp_path, environment)

    def read_plainly() -> float:
        start = time.perf_counter()
        for path in files:
            json.loads(path.read_text())
        return time.perf_counter() - start

    ours, reading, starting = [], [], []
    for _ in range(ROUNDS):
        ours.append(status())
        reading.append(read_plainly())
        starting.append(seconds(crowdbench("--help"), tmp_path, environment))
    benchmark.pedantic(status, rounds=1)
    shown = json.loads(said(crowdbench("status", "--json"), tmp_path, environment))
    others = Counter({SHOWN.get(word, word): amount for word, amount in OTHERS.items()})
    assert Counter(row["state"] for row in shown) == Counter(JOBS) + others
    status_s, baseline_s = min(ours), min(reading) + min(starting)
    benchmark.extra_info.update(
        status_s=status_s,
        reading_s=min(reading),
        starting_s=min(starting),
        files=len(files),
        ratio=status_s / baseline_s,
    )
    assert status_s < STATUS_LIMIT * baseline_s


def _fill(root: Path, environment: dict[str, str]) -> None:
    """A thousand run directories, and half as many jobs."""
    done = evaluate(
        load_method("hrnet-tiny", "synthcrowd"),
        load_dataset("synthcrowd"),
        limit=2,
        workers=0,
        device="cpu",
        out=root.parent / "one",
    )
    queued = {
        "running": _queued(environment, JOBS["running"], "sleep 3600"),
        "waiting": _queued(environment, JOBS["waiting"], "true", LATER),
    }
    serial = count()
    for word, amount in JOBS.items():
        for place in range(amount):
            number = queued[word][place] if word in queued else f"900000_{next(serial)}"
            # What waits has no directory yet.
            run = None if word == "waiting" else _put_run(root, word, done.record, next(serial))
            _put_job(root, word, number, run, next(serial))
    for word, amount in OTHERS.items():
        for _ in range(amount):
            _put_run(root, word, done.record, next(serial))
    assert len(list(root.glob("*/*/*/run.json"))) == 1000


def _queued(environment: dict[str, str], amount: int, script: str, *options: str) -> list[str]:
    """Numbers of jobs that Slurm really has."""
    array = f"--array=0-{amount - 1}"
    command = ["sbatch", "--parsable", array, "--output=/dev/null", *options, "--wrap", script]
    job = said(command, Path.cwd(), environment).strip()
    deadline = time.monotonic() + 60
    while (
        not options
        and said(["squeue", "-h", "-r", "-t", "R", "-j", job], Path.cwd(), environment).count("\n") < amount
    ):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return [f"{job}_{place}" for place in range(amount)]


def _put(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=2))


def _put_run(root: Path, word: str, record: Record, serial: int) -> Path:
    """A run's directory, with a record of full size."""
    state = {"cancelled": "interrupted", "lost": "running"}.get(word, word)
    changed = replace(record, id=f"{serial:010x}", state=state)  # type: ignore[arg-type]
    if state != "done":
        changed = replace(changed, scores=None, scored_by=None, timings={}, counts={}, finished=None)
    if state == "failed":
        changed = replace(changed, reason="ImageError: images/100.jpg: cannot be read.\nThe file is cut off.")
    directory = Run.place(root, changed)
    _put(directory / "run.json", changed)
    if word == "running":
        _put(directory / "progress.json", ProgressReport("token", 60, 200, "images", 90.0, "350 persons"))
    return directory


def _put_job(root: Path, word: str, number: str, run: Path | None, serial: int) -> None:
    """A job's folder, and what its queue wrote."""
    request = EvaluationRequest(
        "hrnet-tiny", "synthcrowd", out=root, seed=serial, command=("crowdbench", "run")
    )
    job = Job(root / "jobs" / f"hrnet-tiny-synthcrowd-{serial:08x}")
    _put(job.folder / "job.json", new_order(job, request, "slurm", "later", Resources(1, 1)))
    folder = root / "jobs" / ".submissions" / f"{serial // (3 * SUBMISSION)}"
    cancelled = utc_now() if word == "cancelled" else None
    _put(job.folder / "ticket.json", Submission(number, str(folder), utc_now(), user_at_host(), cancelled))
    folder.mkdir(parents=True, exist_ok=True)
    for name in (f"{number}_submitted.pkl", f"{number}_0_result.pkl"):
        (folder / name).touch()
    if run is None:
        return
    (folder / f"{number}_0_log.out").write_text("submitit INFO - Starting with JobEnvironment\n" * 20)
    state = {"cancelled": "stopped", "lost": "running"}.get(word, word)
    ended = None if state == "running" else state
    start = Attempt(number, 0, "node1", utc_now(), ended=ended)  # type: ignore[arg-type]
    reason = "images/100.jpg: cannot be read." if state == "failed" else None
    content = JobState(state, [str(run)], reason, "input" if reason else None, [start])  # type: ignore[arg-type]
    _put(job.folder / "state.json", content)
