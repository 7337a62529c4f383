"""Runs that die. Real processes, killed with a real SIGKILL."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from crowdbench.evaluation.shards import PredictionShards
from crowdbench.run_store.run import Run
from crowdbench.run_store.scan import find_runs

IMAGES = 48


def command(out: Path, *more: str) -> list[str]:
    run = [sys.executable, "-m", "crowdbench", "run", "toy-network", "synthcrowd", "--weights", "none"]
    return [*run, "--batch-size", "1", "--limit", str(IMAGES), "--save-every", "0", "--out", str(out), *more]


def start(
    arguments: list[str], environment: dict[str, str], sleep_s: float = 0.15
) -> "subprocess.Popen[bytes]":
    environment = {**environment, "TOY_SLEEP_S": str(sleep_s)}
    return subprocess.Popen(
        arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )


def finish(arguments: list[str], environment: dict[str, str]) -> Run:
    process = start(arguments, environment, sleep_s=0)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors.decode()
    out = Path(arguments[arguments.index("--out") + 1])
    (run,) = find_runs(out)
    assert run.record.state == "done"
    return run


def batches_on_disk(out: Path) -> int:
    return sum(len(json.loads(path.read_bytes())["batches"]) for path in out.glob("*/*/*/parts/*.json"))


def kill(process: "subprocess.Popen[bytes]") -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


@pytest.mark.slow
def test_predictions_are_byte_identical_after_twelve_kills_at_random_moments(
    tmp_path: Path, toy_plugins: dict[str, str]
) -> None:
    undisturbed = finish(command(tmp_path / "undisturbed"), toy_plugins)
    chance = random.Random(20)
    out = tmp_path / "killed"
    progress = [0]
    for attempt in range(12):
        process = start(command(out), toy_plugins)
        # Two in three die while predicting, after a random number of further batches; the others at any moment
        # of the process's life: import, loading, start of workers.
        if attempt % 3 == 0:
            time.sleep(chance.uniform(0, 3))
        else:
            goal = progress[-1] + chance.randint(0, 2)
            deadline = time.monotonic() + 60
            while batches_on_disk(out) < goal and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.005)
            time.sleep(chance.uniform(0, 0.06))
        kill(process)
        progress.append(batches_on_disk(out))
        assert progress[-1] >= progress[-2], "a restart lost finished work"
        for run in find_runs(out):
            assert run.record.state in {"running", "done"}
    assert progress[-1] > 0
    killed = finish(command(out), toy_plugins)
    assert killed.directory.name == undisturbed.directory.name
    assert killed.predictions_file.read_bytes() == undisturbed.predictions_file.read_bytes()
    assert killed.scores == undisturbed.scores
    assert sorted(p.name for p in killed.directory.iterdir()) == [
        "log.txt",
        "predictions.json.gz",
        "run.json",
        "scores.json",
    ]


@pytest.mark.slow
def test_a_restart_computes_only_what_is_missing(tmp_path: Path, toy_plugins: dict[str, str]) -> None:
    out = tmp_path / "runs"
    process = start(command(out), toy_plugins)
    while batches_on_disk(out) < 5:
        assert process.poll() is None
        time.sleep(0.005)
    kill(process)
    (run,) = find_runs(out)
    before = len(PredictionShards(run.directory / "parts", run.record.id).done)
    done = finish(command(out), toy_plugins)
    log = (done.directory / "log.txt").read_text()
    assert f"continued: {before} of {IMAGES} batches were done before" in log
    assert done.record.counts["images"] == IMAGES


@pytest.mark.slow
def test_sigterm_keeps_finished_work_and_says_so_in_the_record(
    tmp_path: Path, toy_plugins: dict[str, str]
) -> None:
    out = tmp_path / "runs"
    slow_saving = [*command(out), "--save-every", "1000"]
    steps = tmp_path / "steps"
    process = start(slow_saving, {**toy_plugins, "TOY_STEPS": str(steps)}, sleep_s=0.3)
    # The third step has begun: two batches are done, none of them is saved.
    while not (steps.is_file() and steps.stat().st_size >= 3):
        assert process.poll() is None, process.communicate()[1].decode()
        time.sleep(0.01)
    assert batches_on_disk(out) == 0
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143
    (run,) = find_runs(out)
    assert run.record.state == "interrupted"
    assert batches_on_disk(out) >= 2


@pytest.mark.slow
def test_a_run_that_is_done_is_shown_not_repeated(tmp_path: Path, toy_plugins: dict[str, str]) -> None:
    first = finish(command(tmp_path), toy_plugins)
    second = finish(command(tmp_path), toy_plugins)
    assert second.record == first.record
    third = finish(command(tmp_path, "--again"), toy_plugins)
    assert third.directory == first.directory
    assert third.predictions_file.read_bytes() == first.predictions_file.read_bytes()


@pytest.mark.slow
def test_two_processes_on_one_run_end_in_one_whole_result(
    tmp_path: Path, toy_plugins: dict[str, str]
) -> None:
    alone = finish(command(tmp_path / "alone"), toy_plugins)
    pair = [start(command(tmp_path / "pair"), toy_plugins) for _ in range(2)]
    for process in pair:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()
    (run,) = find_runs(tmp_path / "pair")
    assert run.predictions_file.read_bytes() == alone.predictions_file.read_bytes()


def processes_of_session(session: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # ended meanwhile
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def test_a_run_that_is_killed_leaves_no_process_behind(tmp_path: Path, toy_plugins: dict[str, str]) -> None:
    process = start(command(tmp_path, "--workers", "2"), toy_plugins)
    deadline = time.monotonic() + 60
    while batches_on_disk(tmp_path) < 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(processes_of_session(process.pid)) > 3  # itself, the fork server, two workers
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 20
    while processes_of_session(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes_of_session(process.pid) == []
