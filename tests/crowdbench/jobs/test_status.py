"""How runs and jobs stand: their own last word, and the queue's where they could not say it."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.cluster.queue_machine import MakeJob, QueueMachine

from crowdbench.errors import LaunchError
from crowdbench.jobs.find_job import find_job
from crowdbench.jobs.job import Attempt, Job, JobState, Resources, job_for, new_order
from crowdbench.jobs.queue_clients import QueueClients
from crowdbench.jobs.request import TrainingRequest
from crowdbench.jobs.status import JobStatus, list_statuses, query_statuses, wait_for
from crowdbench.run_store import lease as writer
from crowdbench.run_store.lease import hold_lease

ALONE = Resources(1, 1)
RUN = {"method": "m", "state": "done", "protocol": {"dataset": "d"}, "scores": {"AP": 0.625}}
TRAINING = {"method": "m", "state": "done", "dataset": "d", "best": {"score": 0.5}}


def standing(job: Job) -> JobStatus:
    ((row, _),), problems = query_statuses([job], QueueClients())
    assert problems == []
    return row


def run_of(toys: QueueMachine, record: dict[str, Any], file: str = "run.json", name: str = "abc") -> Path:
    directory = toys.runs / "d-test" / "m" / name
    directory.mkdir(parents=True)
    (directory / file).write_text(json.dumps(record))
    return directory


RUNNING = {"first": ""}
KILLED = {"first": "", "status": "-9"}
FAILED = {"first": "", "status": "1"}


@pytest.mark.parametrize(
    ("options", "state", "reason"),
    [
        pytest.param({"known": {}}, "waiting", "others come first", id="waiting"),
        pytest.param({"known": RUNNING}, "running", "", id="running, and has not said so"),
        pytest.param({"known": RUNNING, "state": JobState("running")}, "running", "", id="running"),
        pytest.param(
            {"known": FAILED, "state": JobState("failed", reason="no such file", cause="input")},
            "failed",
            "no such file",
            id="failed",
        ),
        pytest.param(
            {"known": RUNNING, "state": JobState("failed", reason="the node burns", cause="machine")},
            "running",
            "",
            id="failed, and was started again",
        ),
        pytest.param(
            {"known": {"first": "", "status": "143"}, "state": JobState("stopped", reason="asked to stop")},
            "stopped",
            "asked to stop",
            id="stopped",
        ),
        pytest.param(
            {"known": {}, "state": JobState("stopped", reason="asked to stop")},
            "waiting",
            "others come first",
            id="stopped, and waits to go on",
        ),
        pytest.param(
            {"known": KILLED, "state": JobState("running")}, "lost", "killed by signal 9", id="killed at work"
        ),
        pytest.param({"known": KILLED}, "lost", "killed by signal 9", id="killed before it said a word"),
        pytest.param({"state": JobState("running")}, "lost", "the queue has forgotten it", id="forgotten"),
        pytest.param(
            {"known": KILLED, "state": JobState("running"), "cancelled": True},
            "cancelled",
            "at noon",
            id="cancelled",
        ),
        pytest.param(
            {"known": RUNNING, "state": JobState("running"), "cancelled": True},
            "running",
            "",
            id="not yet ended",
        ),
        pytest.param({"handed_over": False}, "lost", "never submitted", id="never submitted"),
        pytest.param(
            {"handed_over": False, "state": JobState("running")},
            "lost",
            "killed",
            id="dead, without a ticket",
        ),
    ],
)
def test_a_job_stands_as_the_queue_says_unless_it_has_had_the_last_word(
    make_job: MakeJob, options: dict[str, Any], state: str, reason: str
) -> None:
    row = standing(make_job(**options))
    assert (row.state, row.method, row.dataset) == (state, "m", "d")
    assert reason in row.reason
    assert row.is_ended == (state not in ("waiting", "running"))


def test_a_job_that_is_done_shows_its_score_whatever_the_queue_says(
    toys: QueueMachine, make_job: MakeJob
) -> None:
    directory = run_of(toys, RUN)
    for known in (None, KILLED, RUNNING):
        row = standing(make_job(known=known, state=JobState("done", [str(directory)]), cancelled=True))
        assert (row.state, row.ap, row.directory) == ("done", 0.625, directory)


@pytest.mark.parametrize(
    ("record", "score"),
    [
        pytest.param({**RUN, "scores": {"AP": -1.0}}, None, id="nothing to score"),
        pytest.param({**RUN, "scores": None}, None, id="not scored"),
    ],
)
def test_a_run_without_a_score_shows_none(
    toys: QueueMachine, make_job: MakeJob, record: dict[str, Any], score: float | None
) -> None:
    assert standing(make_job(state=JobState("done", [str(run_of(toys, record))]))).ap == score


def test_a_training_shows_its_best_score(toys: QueueMachine) -> None:
    request = TrainingRequest("m", "d", out=toys.runs)
    job = job_for(request, ALONE)
    job.write(new_order(job, request, "toy-queue", "toys", ALONE))
    job.write(JobState("done", [str(run_of(toys, TRAINING, "training.json"))]))
    row = standing(job)
    assert (row.what, row.ap) == ("train", 0.5)


def test_a_running_job_shows_its_number_its_node_and_how_far_it_is(
    toys: QueueMachine, make_job: MakeJob
) -> None:
    directory = run_of(toys, {**RUN, "state": "running"})
    job = make_job(
        known=RUNNING, state=JobState("running", [str(directory)], starts=[Attempt("1", 0, "n1", "t")])
    )
    with hold_lease(directory) as mine:
        mine.report(3, 8, "images", 90.0, "5 persons")
        deadline = time.monotonic() + 30
        while standing(job).done == 0:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        row = standing(job)
    assert (row.done, row.of, row.unit, row.eta_s, row.words) == (3, 8, "images", 90.0, "5 persons")
    assert row.where == "1 toy-node"


def test_a_job_that_began_before_its_ticket_was_written_runs(make_job: MakeJob) -> None:
    job = make_job(handed_over=False, state=JobState("running"))
    with hold_lease(job.folder):
        assert standing(job).state == "running"
    assert standing(job).state == "lost"


@pytest.mark.parametrize(
    ("state", "word"),
    [("done", "done"), ("failed", "failed"), ("interrupted", "stopped"), ("running", "lost")],
)
def test_a_run_that_nobody_handed_over_stands_as_its_record_says(
    toys: QueueMachine, state: str, word: str
) -> None:
    reason = "OSError: disk\nand more" if state == "failed" else None
    directory = run_of(toys, {**RUN, "state": state, "reason": reason, "host": {"name": "laptop"}})
    ((row,), problems) = list_statuses(toys.runs)
    assert (row.state, row.name, row.directory) == (word, "d-test/m/abc", directory)
    assert (row.where, row.job, problems) == ("laptop", None, [])
    assert row.ap == (0.625 if state == "done" else None)
    if state == "failed":
        assert row.reason == "OSError: disk"


def test_a_run_of_this_machine_runs_until_it_is_killed_and_is_lost_then(toys: QueueMachine) -> None:
    arguments = ("--root", str(toys.data), "--weights", "none", "--workers", "0", "--batch-size", "1")
    process = toys.started("run", "toy-network", "crowdpose", *arguments, TOY_SLEEP_S="600")
    try:
        deadline = time.monotonic() + 120
        while not [row for row in list_statuses(toys.runs)[0] if row.of]:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        (row,) = list_statuses(toys.runs)[0]
        assert (row.state, row.of, row.unit) == ("running", 3, "images")
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    (row,) = list_statuses(toys.runs)[0]
    assert (row.state, row.reason) == ("lost", "killed; run the same command again to resume")


def test_a_run_elsewhere_runs_as_long_as_it_shows_signs_of_life(
    toys: QueueMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = run_of(toys, {**RUN, "state": "running"})
    claim = writer.LeaseHolder("t", "node7", 7, "elsewhere", "now")
    (directory / writer.CLAIM).write_bytes(msgspec.json.encode(claim))
    (directory / writer.PROGRESS).write_bytes(msgspec.json.encode(writer.ProgressReport("t", 2, 9, "images")))
    (row,) = list_statuses(toys.runs)[0]
    assert (row.state, row.done) == ("running", 2)
    before = time.time() - 3 * writer.LEASE_TIMEOUT_S
    os.utime(directory / writer.PROGRESS, (before, before))
    (row,) = list_statuses(toys.runs)[0]
    assert row.state == "lost"


def test_runs_of_jobs_are_shown_once_and_the_latest_is_last(toys: QueueMachine, make_job: MakeJob) -> None:
    directory = run_of(toys, RUN, name="of-the-job")
    make_job(known={}, seed=1)
    job = make_job(state=JobState("done", [str(directory)]), seed=2)
    run_of(toys, RUN, name="alone")
    rows, _ = list_statuses(toys.runs)
    assert len(rows) == 3
    assert [row.name for row in rows if row.directory is not None] == [job.name, "d-test/m/alone"]
    assert [row.changed for row in rows] == sorted(row.changed for row in rows)


def test_a_folder_without_runs_has_none(toys: QueueMachine) -> None:
    assert list_statuses(toys.runs) == ([], [])


def test_a_queue_that_does_not_answer_is_a_note_and_jobs_stand_by_their_own_word(
    toys: QueueMachine, make_job: MakeJob
) -> None:
    make_job(known=RUNNING, state=JobState("running"))
    make_job(known={})
    make_job(state=JobState("done"))
    (toys.queue / "closed").touch()
    rows, problems = list_statuses(toys.runs)
    assert sorted(row.state for row in rows) == ["done", "running", "waiting"]
    assert problems == ["the toy queue does not answer."]


def test_a_queue_that_is_not_installed_here_is_a_note(toys: QueueMachine, make_job: MakeJob) -> None:
    make_job(launcher="lava-lamp", state=JobState("running"))
    make_job(known={})
    rows, (problem,) = list_statuses(toys.runs)
    assert [row.state for row in rows] == ["running", "waiting"]
    assert "no launcher is called 'lava-lamp'" in problem


def test_a_job_that_cannot_be_read_is_a_note(toys: QueueMachine, make_job: MakeJob) -> None:
    make_job(known={})
    broken = make_job(known={})
    (broken.folder / "job.json").write_text("{")
    rows, (problem,) = list_statuses(toys.runs)
    assert len(rows) == 1
    assert str(broken.folder) in problem


def test_waiting_ends_when_all_have_ended(toys: QueueMachine, make_job: MakeJob) -> None:
    jobs = [make_job(known=RUNNING), make_job(known=KILLED)]
    looks = wait_for(jobs, poll_s=0.01)
    assert [row.state for row in next(looks)] == ["running", "lost"]
    assert [row.state for row in next(looks)] == ["running", "lost"]
    jobs[0].write(JobState("done"))
    assert [[row.state for row in rows] for rows in looks][-1] == ["done", "lost"]


def test_waiting_goes_on_while_a_queue_does_not_answer_but_not_for_ever(
    toys: QueueMachine, make_job: MakeJob
) -> None:
    job = make_job(known=RUNNING, state=JobState("failed", reason="burns", cause="machine"))
    (toys.queue / "closed").touch()
    looks = wait_for([job], poll_s=0.01, patience_s=600)
    # What a job said may not be its last word: only the queue knows.
    assert [next(looks)[0].state for _ in range(3)] == ["failed"] * 3
    (toys.queue / "closed").unlink()
    (toys.queue / "1" / "status").write_text("1")
    assert [rows[0].state for rows in looks] == ["failed"]
    (toys.queue / "closed").touch()
    with pytest.raises(LaunchError, match="the toy queue does not answer"):
        list(wait_for([job], poll_s=0.01, patience_s=0))


def test_waiting_for_a_job_that_is_not_there_is_refused(toys: QueueMachine) -> None:
    with pytest.raises(LaunchError, match="no job here"):
        next(wait_for([Job(toys.runs / "jobs" / "none")]))


def test_a_job_is_found_by_whatever_names_it(
    toys: QueueMachine, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = run_of(toys, RUN, name="24ba4591ef")
    other = make_job(known={}, method="other")
    job = make_job(known={}, state=JobState("running", ["/gone", str(directory)]))
    for name in (
        job.name,
        job.name[:4],
        str(job.folder),
        str(job.folder.relative_to(toys.work)),
        "2",  # its number
        "24ba4591ef",
        str(directory),
        str(directory.relative_to(toys.work)),
        str(directory.relative_to(toys.work)) + "/",
    ):
        assert find_job(toys.runs, name) == job, name
        assert find_job(Path("runs"), name) == job, name
    assert find_job(toys.runs, "other") == other


def test_a_name_that_begins_several_is_answered_with_them(toys: QueueMachine, make_job: MakeJob) -> None:
    jobs = [make_job(known={}) for _ in range(7)]
    with pytest.raises(LaunchError, match="'m-d' may be any of 7 jobs: m-d-.*, ...") as caught:
        find_job(toys.runs, "m-d")
    assert sum(job.name in str(caught.value) for job in jobs) == 5


def test_a_whole_name_is_not_ambiguous(toys: QueueMachine, make_job: MakeJob) -> None:
    job = make_job(known={}, method="m")
    longer = Job(job.folder.with_name(f"{job.name}-more"))
    longer.write(job.order())
    assert find_job(toys.runs, job.name) == job


def test_an_unknown_name_is_answered_with_those_that_are_there(toys: QueueMachine, make_job: MakeJob) -> None:
    with pytest.raises(LaunchError, match="no job in .* is called 'x'.\nSome are: none"):
        find_job(toys.runs, "x")
    job = make_job(known={})
    with pytest.raises(LaunchError, match=f"Some are: {job.name}"):
        find_job(toys.runs, "x")


def test_a_job_that_is_found_and_cannot_be_read_says_so(toys: QueueMachine, make_job: MakeJob) -> None:
    job = make_job(known={})
    (job.folder / "job.json").write_text("{")
    with pytest.raises(LaunchError, match="not a job of this version"):
        find_job(toys.runs, job.name)
