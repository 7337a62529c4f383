"""What becomes of a job that fails, is stopped, or is started twice."""

import atexit
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.cluster.queue_machine import QueueMachine

from crowdbench.errors import MachineError
from crowdbench.evaluation import evaluate as evaluation
from crowdbench.jobs import worker as working
from crowdbench.jobs.failures import cause_of, is_full_disk
from crowdbench.jobs.job import Attempt, Job, JobOutcome, JobState, Resources, job_for, new_order
from crowdbench.jobs.request import EvaluationRequest
from crowdbench.jobs.worker import reached_by, run_job
from crowdbench.run_store.lease import hold_lease, new_claim
from crowdbench.run_store.lease_files import LeaseHolder, ProgressReport
from crowdbench.run_store.run import Run
from crowdbench.system.distributed import launch_id
from crowdbench.system.job_context import VARIABLE, CurrentJob
from crowdbench.system.stop_signal import StopSignal
from crowdbench.system.text import first_line

Started = Callable[..., JobOutcome]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[Started]:
    """Carries out a job in this process, as a start of the queue's job 1."""
    before = signal.getsignal(signal.SIGTERM)
    starts = iter(range(100))

    def begin(job: Job, fails: str = "", start: int | None = None, **place: str) -> JobOutcome:
        this = CurrentJob("toy-queue", "1", next(starts) if start is None else start, "toy-node")
        monkeypatch.setenv(VARIABLE, msgspec.json.encode(this).decode())
        monkeypatch.setenv("TOY_FAILS", fails)
        for name, value in place.items():
            monkeypatch.setenv(name, value)
        stop = StopSignal(at_once=True)
        with stop.listening([signal.SIGTERM]):
            return run_job(job, stop)

    yield begin
    signal.signal(signal.SIGTERM, before)


def new_job(toys: QueueMachine, method: str = "toy-failing", **more: Any) -> Job:
    options = {"root": toys.data, "out": toys.runs, "weights": "none", "batch_size": 1, "workers": 0}
    request = EvaluationRequest(method, "crowdpose", device="cpu", **{**options, **more})
    job = job_for(request, Resources(1, 1))
    job.write(new_order(job, request, "toy-queue", "toys", Resources(1, 1)))
    return job


def state_of(job: Job) -> JobState:
    state = job.state()
    assert state is not None
    return state


def test_a_job_that_is_carried_out_says_where_its_run_is(toys: QueueMachine, started: Started) -> None:
    job = new_job(toys)
    assert started(job) is JobOutcome.DONE
    state = state_of(job)
    assert (state.state, state.reason, state.completed) == ("done", None, 1)
    assert state.run is not None
    assert Run.read(state.run).record.state == "done"
    (start,) = state.starts
    assert (start.number, start.start, start.node, start.ended) == ("1", 0, "toy-node", "done")
    assert "3 images, 3 predictions" in job.log.read_text()
    assert {path.name for path in job.folder.iterdir()} <= {
        "job.json",
        "state.json",
        "log.txt",
        "writer.lock",
    }


@pytest.mark.parametrize(
    ("fails", "outcome", "cause", "reason"),
    [
        (
            "disk",
            JobOutcome.RETRY,
            "machine",
            r"toy-failing: predict raised OSError on image 2 .*: \[Errno 28\] No space left on device",
        ),
        ("node", JobOutcome.RETRY, "machine", "the node is on fire."),
        (
            "gpu",
            JobOutcome.RETRY,
            "machine",
            r"toy-failing: predict raised RuntimeError .*: CUDA error: an illegal memory access was encountered",
        ),
        (
            "network",
            JobOutcome.RETRY,
            "machine",
            r"toy-failing: predict raised RuntimeError .*: \[../gloo/transport/tcp/pair.cc:534\] Connection",
        ),
        ("input", JobOutcome.FAILED, "input", "scale must be positive."),
        (
            "bug",
            JobOutcome.FAILED,
            "bug",
            r"toy-failing: predict raised ZeroDivisionError .*: division by zero",
        ),
        (
            "other",
            JobOutcome.FAILED,
            "bug",
            r"toy-failing: predict raised RuntimeError .*: shapes do not match",
        ),
    ],
)
def test_a_failure_is_the_machines_the_inputs_or_the_codes(
    toys: QueueMachine, started: Started, fails: str, outcome: JobOutcome, cause: str, reason: str
) -> None:
    job = new_job(toys)
    assert started(job, f"{fails}:1") is outcome
    state = state_of(job)
    assert (state.state, state.cause, state.completed) == ("failed", cause, 0)
    assert state.reason is not None
    assert re.match(reason, state.reason)
    assert "\n" not in state.reason
    assert state.starts[-1].ended == "failed"
    assert ("Traceback" in job.log.read_text()) == (fails not in ("node", "input"))


def test_what_failed_goes_on_where_it_was(toys: QueueMachine, started: Started) -> None:
    job = new_job(toys)
    assert started(job, "disk:2") is JobOutcome.RETRY
    assert started(job) is JobOutcome.DONE
    assert "continued: 2 of 3 batches were done before" in job.log.read_text()
    assert [start.ended for start in state_of(job).starts] == ["failed", "done"]


def test_a_job_that_fails_three_times_in_the_same_place_gives_up_and_says_so(
    toys: QueueMachine, started: Started
) -> None:
    job = new_job(toys)
    assert [started(job, "disk:0") for _ in range(3)] == [
        JobOutcome.RETRY,
        JobOutcome.RETRY,
        JobOutcome.FAILED,
    ]
    state = state_of(job)
    assert state.reason is not None
    assert "No space left on device (given up: 3 times in a row in the same place)" in state.reason


def test_the_place_in_which_a_job_fails_is_where_the_work_is_not_where_it_began(
    toys: QueueMachine, started: Started
) -> None:
    job = new_job(toys)
    # The first one comes as far as the second batch, and none of them further.
    outcomes = [started(job, fails) for fails in ("disk:1", "disk:0", "disk:0")]
    assert outcomes == [JobOutcome.RETRY, JobOutcome.RETRY, JobOutcome.FAILED]


def test_progress_starts_the_count_anew(toys: QueueMachine, started: Started) -> None:
    job = new_job(toys)
    ways = ["disk:0", "disk:0", "disk:1", "disk:0", "disk:1", "disk:0", "disk:0"]
    outcomes = [started(job, fails) for fails in ways]
    assert outcomes == [JobOutcome.RETRY] * 6 + [JobOutcome.FAILED]


def test_stops_count_where_nothing_was_done_before_them(toys: QueueMachine, started: Started) -> None:
    job = new_job(toys)
    assert [started(job, "signal:0") for _ in range(3)] == [JobOutcome.STOPPED] * 3
    assert started(job) is JobOutcome.FAILED
    reason = state_of(job).reason
    assert reason is not None
    assert "given up: 3 starts in a row ended in the same place; the last: asked to stop" in reason


def test_stops_after_some_progress_do_not_count(toys: QueueMachine, started: Started) -> None:
    job = new_job(toys)
    ways = ["disk:0", "disk:0", "signal:1", "signal:1", "disk:0", "disk:0"]
    outcomes = [started(job, fails) for fails in ways]
    assert JobOutcome.FAILED not in outcomes
    assert outcomes.count(JobOutcome.STOPPED) == 2
    assert started(job) is JobOutcome.DONE


def another_process(job: Job, alive: bool) -> LeaseHolder:
    """The second of two processes of a start of a job, on this machine, as it shows signs of life."""
    sleeping = subprocess.Popen(["sleep", "60"])
    claim = msgspec.structs.replace(new_claim(), pid=sleeping.pid, host="node2")
    folder = job.folder / "ranks" / f"{launch_id(os.environ)}.1"
    folder.mkdir(parents=True)
    (folder / "writer.json").write_bytes(msgspec.json.encode(claim))
    (folder / "progress.json").write_bytes(msgspec.json.encode(ProgressReport(claim.token)))
    if not alive:
        sleeping.kill()
    atexit.register(sleeping.communicate)
    atexit.register(sleeping.kill)
    return claim


@contextmanager
def living(folder: Path) -> Iterator[None]:
    """The process that shows signs of life there does so meanwhile."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(0.05):
            (folder / "progress.json").touch()

    thread = threading.Thread(target=beat)
    thread.start()
    yield
    over.set()
    thread.join()


def test_a_signal_after_another_process_was_killed_is_no_preemption(
    toys: QueueMachine, started: Started
) -> None:
    job = new_job(toys)
    claim = another_process(job, alive=False)
    pair = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}
    assert started(job, "signal:0", start=0, **pair) is JobOutcome.RETRY
    state = state_of(job)
    assert (state.state, state.cause) == ("failed", "machine")
    assert state.reason == (
        f"process 1 (number {claim.pid} on node2) was killed, perhaps because memory ran out"
    )


def test_a_signal_while_the_other_processes_live_is_a_stop(
    toys: QueueMachine, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(working, "HEARTBEAT_S", 0.5)
    job = new_job(toys)
    another_process(job, alive=True)
    pair = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}
    with living(job.folder / "ranks" / f"{launch_id(os.environ)}.1"):
        assert started(job, "signal:0", start=0, **pair) is JobOutcome.STOPPED


def test_starts_that_died_without_a_word_count(toys: QueueMachine, started: Started) -> None:
    job = new_job(toys)
    died = [Attempt("1", number, "toy-node", "now") for number in range(3)]
    job.write(JobState("running", starts=died[:2]))
    assert started(job, "signal:0") is JobOutcome.STOPPED
    job.write(JobState("running", starts=died))
    assert started(job) is JobOutcome.FAILED
    reason = state_of(job).reason
    assert reason is not None
    assert "3 starts in a row ended in the same place, and none could say why" in reason


def test_what_was_given_up_can_be_handed_over_anew(toys: QueueMachine, started: Started) -> None:
    job = new_job(toys)
    for _ in range(3):
        started(job, "disk:1")
    (job.folder / "state.json").unlink()  # as handing over does
    assert started(job) is JobOutcome.DONE


def test_a_stop_keeps_finished_work_and_is_no_failure(toys: QueueMachine, started: Started) -> None:
    job = new_job(toys)
    assert started(job, "signal:2") is JobOutcome.STOPPED
    state = state_of(job)
    assert (state.state, state.reason, state.cause) == ("stopped", "asked to stop", None)
    assert state.run is not None
    assert reached_by(state.run) == 1  # a file with two batches
    assert started(job) is JobOutcome.DONE
    assert "continued: 2 of 3 batches" in job.log.read_text()


def test_a_second_start_while_the_first_lives_leaves_everything_to_it(
    toys: QueueMachine, started: Started
) -> None:
    job = new_job(toys)
    with hold_lease(job.folder):
        job.write(JobState("running"))
        assert started(job) is JobOutcome.SUPERSEDED
        assert job.state() == JobState("running")
    assert started(job) is JobOutcome.DONE


def test_who_was_superseded_in_the_run_does_not_write_the_jobs_state(
    toys: QueueMachine, started: Started
) -> None:
    job = new_job(toys)
    assert started(job, "taken:1") is JobOutcome.SUPERSEDED
    assert state_of(job).state == "running"


def steps(folder: Path) -> int:
    return (folder / "steps").stat().st_size


def test_only_the_first_start_of_a_job_computes_anew(
    toys: QueueMachine, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_STEPS", str(toys.work / "steps"))
    job = new_job(toys)
    assert started(job) is JobOutcome.DONE
    before = steps(toys.work)
    job = new_job(toys, again=True)
    assert started(job) is JobOutcome.DONE  # its second start: there is nothing to do
    assert steps(toys.work) == before


def test_a_job_that_is_to_compute_anew_does_and_goes_on_where_it_was_stopped(
    toys: QueueMachine, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_STEPS", str(toys.work / "steps"))
    environment = {**toys.environment, "TOY_STEPS": str(toys.work / "steps")}
    done = subprocess.run(task(new_job(toys), 0), env=environment, check=False)
    assert (done.returncode, steps(toys.work)) == (0, 3)
    job = new_job(toys, again=True)
    assert started(job, "signal:2") is JobOutcome.STOPPED
    # The third batch was computed, and not written down.
    assert steps(toys.work) == 5
    assert started(job) is JobOutcome.DONE
    assert steps(toys.work) == 6


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others need not wait for the first process to begin."""
    monkeypatch.setattr(evaluation, "wait_for_start", lambda *_: "token")


def test_why_another_process_failed_is_why_the_job_failed(
    toys: QueueMachine, started: Started, begun: None
) -> None:
    job = new_job(toys)
    pair = {"WORLD_SIZE": "2", "LOCAL_RANK": "0"}
    assert started(job, "bug:0", start=0, RANK="1", **pair) is JobOutcome.FAILED
    # Others miss it; the first one is asked to stop.
    assert started(job, "network:0", start=0, RANK="1", **pair) is JobOutcome.FAILED
    assert started(job, "signal:0", start=0, RANK="0", **pair) is JobOutcome.FAILED
    state = state_of(job)
    assert (state.state, state.cause) == ("failed", "bug")
    assert state.reason.startswith("process 1 of 2: toy-failing: predict raised ZeroDivisionError on image ")
    # In another start it is asked to stop for another reason.
    assert started(job, "signal:0", start=1, RANK="0", **pair) is JobOutcome.STOPPED


def test_a_failure_in_an_earlier_start_is_none_in_this_one(
    toys: QueueMachine, started: Started, begun: None
) -> None:
    job = new_job(toys)
    assert started(job, "bug:0", start=0, RANK="1", WORLD_SIZE="2", LOCAL_RANK="1") is JobOutcome.FAILED
    assert started(job, "disk:0", start=1, RANK="0", WORLD_SIZE="2", LOCAL_RANK="0") is JobOutcome.RETRY
    reason = state_of(job).reason
    assert reason is not None
    assert reason.startswith("toy-failing: predict raised OSError")


def test_what_cannot_even_be_noted_is_left_to_whoever_started_the_job(
    toys: QueueMachine, started: Started
) -> None:
    job = new_job(toys)
    (job.folder / "state.json").mkdir()
    with pytest.raises(MachineError, match="Is a directory"):
        started(job)


def test_a_full_disk_is_found_at_the_bottom_of_an_error() -> None:
    with pytest.raises(OSError, match="No space left on device") as full:
        Path("/dev/full").write_text("x")
    error = MachineError("runs: cannot be written.")
    error.__cause__ = full.value
    assert is_full_disk(error)
    assert not is_full_disk(MachineError("the node is on fire."))
    assert not is_full_disk(FileNotFoundError(2, "No such file or directory"))


def test_errors_without_words_have_a_line_and_a_cause() -> None:
    assert first_line(MemoryError()) == "MemoryError"
    assert cause_of(MemoryError()) == "machine"
    assert cause_of(RuntimeError()) == "bug"


def task(job: Job, start: int) -> list[str]:
    return [sys.executable, "-m", "support.cluster.toy_queue", "task", str(job.folder), "1", str(start)]


@pytest.mark.slow
def test_a_later_start_takes_a_job_over_from_one_that_still_lives(toys: QueueMachine) -> None:
    job = new_job(toys)
    slow = {**toys.environment, "TOY_SLEEP_S": "600"}
    first = subprocess.Popen(task(job, 0), env=slow, stdout=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 120
        while (state := job.state()) is None or not state.runs:
            assert first.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        second = subprocess.run(
            task(job, 1), env=toys.environment, capture_output=True, text=True, check=False
        )
        assert second.returncode == 0, second.stdout + second.stderr
        assert "takes over from an earlier start" in second.stdout
        assert first.wait(60) == JobOutcome.SUPERSEDED
    finally:
        first.kill()
        first.communicate()
    state = state_of(job)
    assert (state.state, state.completed) == ("done", 1)
    assert [(start.start, start.ended) for start in state.starts] == [(0, None), (1, "done")]
    assert not list(toys.runs.rglob(f"*{os.sep}writer.json"))
