"""``crowdbench status``, ``logs``, ``cancel`` and ``wait``, as a user types them."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.cluster.queue_machine import MakeJob, QueueMachine

from crowdbench.jobs.job import Job, JobState
from crowdbench.run_store.lease import hold_lease

Command = Callable[..., tuple[int, str, str]]

RUNNING = {"first": ""}
KILLED = {"first": "", "status": "-9"}
FAILED = {"first": "", "status": "1", "0.log": "one\ntwo\nthree\n", "1.log": "another\n"}


def run_of(toys: QueueMachine, name: str = "abc", **record: object) -> Path:
    directory = toys.runs / "d-test" / "m" / name
    directory.mkdir(parents=True)
    content = {"method": "m", "state": "done", "protocol": {"dataset": "d"}, "scores": {"AP": 0.625}}
    (directory / "run.json").write_text(json.dumps({**content, **record}))
    return directory


def rows_of(text: str) -> list[list[str]]:
    """The table's rows by their words; its header and the line below it left out."""
    return [line.split() for line in text.splitlines()[2:] if line.strip()][:-1]


def test_status_shows_how_each_stands_and_counts_them(
    toys: QueueMachine, make_job: MakeJob, crowdbench: Command
) -> None:
    done = make_job(state=JobState("done", [str(run_of(toys))]))
    waiting = make_job(known={})
    failed = make_job(known=FAILED, state=JobState("failed", reason="no such file", cause="input"))
    alone = run_of(toys, "alone")
    status, out, _ = crowdbench("status")
    assert status == 0
    rows = {row[0]: row[1:] for row in rows_of(out)}
    assert rows[done.name][:2] == ["done", "62.5"]
    assert rows[waiting.name] == ["waiting", "2", "others", "come", "first"]
    assert rows[failed.name][0] == "failed"
    assert rows[failed.name][-3:] == ["no", "such", "file"]
    assert rows["/".join(alone.parts[-3:])][:2] == ["done", "62.5"]
    assert rows["log:"] == [str(toys.queue / "3" / "0.log")]
    assert out.splitlines()[-1] == "4: 2 done, 1 waiting, 1 failed."


def test_status_of_an_empty_folder_says_so(toys: QueueMachine, crowdbench: Command) -> None:
    assert crowdbench("status")[:2] == (0, "No runs here, and no jobs.\n")
    assert crowdbench("status", "--out", toys.work / "none")[:2] == (0, "No runs here, and no jobs.\n")


def test_status_leaves_out_what_ended_yesterday_unless_it_is_asked_for(
    toys: QueueMachine, make_job: MakeJob, crowdbench: Command
) -> None:
    old = make_job(state=JobState("done"))
    waiting = make_job(known={}, method="new")
    for path in (old.folder / "state.json", waiting.folder / "job.json"):
        os.utime(path, (time.time() - 2 * 24 * 3600,) * 2)
    out = crowdbench("status")[1]
    assert waiting.name in out
    assert old.name not in out
    assert out.endswith("2: 1 done, 1 waiting; 1 that ended more than a day ago are not shown (--all).\n")
    assert old.name in crowdbench("status", "--all")[1]
    named = crowdbench("status", f"{old.name[:4]}*")[1]
    assert old.name in named
    assert named.endswith("1: 1 done.\n")


def test_status_as_json_has_everything(toys: QueueMachine, make_job: MakeJob, crowdbench: Command) -> None:
    directory = run_of(toys)
    make_job(known=FAILED, state=JobState("failed", [str(directory)], reason="no such file", cause="input"))
    run_of(toys, "alone")
    _, out, _ = crowdbench("status", "--json")
    job, run = sorted(json.loads(out), key=lambda row: row["job"] is None)
    assert (job["state"], job["reason"], job["directory"]) == ("failed", "no such file", str(directory))
    assert job["log"] == str(toys.queue / "1" / "0.log")
    assert (run["state"], run["ap"], run["log"]) == ("done", 0.625, None)
    assert json.loads(crowdbench("status", "--json", "nobody*")[1]) == []


def test_status_works_while_the_queue_does_not_answer(
    toys: QueueMachine, make_job: MakeJob, crowdbench: Command
) -> None:
    job = make_job(known=RUNNING, state=JobState("running"))
    (toys.queue / "closed").touch()
    status, out, err = crowdbench("status")
    assert (status, err) == (0, "note: the toy queue does not answer.\n")
    assert f"{job.name}  running" in out
    status, out, _ = crowdbench("status", "--json")
    assert [row["state"] for row in json.loads(out)] == ["running"]


def test_logs_print_what_a_task_has_written(
    toys: QueueMachine, make_job: MakeJob, crowdbench: Command
) -> None:
    job = make_job(known=FAILED, state=JobState("failed", cause="bug"))
    assert crowdbench("logs", job.name)[:2] == (0, "one\ntwo\nthree\n")
    assert crowdbench("logs", "1", "-n", "2")[:2] == (0, "two\nthree\n")
    assert crowdbench("logs", "1", "--task", "1")[:2] == (0, "another\n")
    assert crowdbench("logs", "-f", "1")[:2] == (0, "one\ntwo\nthree\n")


def test_logs_of_a_run_that_was_not_handed_over_are_its_own(toys: QueueMachine, crowdbench: Command) -> None:
    directory = run_of(toys)
    (directory / "log.txt").write_text("computed\nscored\n")
    assert crowdbench("logs", directory, "-n", "1")[:2] == (0, "scored\n")


@pytest.mark.parametrize(
    ("known", "arguments", "words"),
    [
        pytest.param({}, [], "has no log (waiting: others come first)", id="not begun"),
        pytest.param(
            KILLED, ["-f"], "has no log (lost: killed by signal 9)", id="died before its first word"
        ),
        pytest.param(FAILED, ["--task", "2"], "has no log of task 2", id="no such task"),
    ],
)
def test_a_job_without_a_log_says_how_it_stands(
    toys: QueueMachine,
    make_job: MakeJob,
    crowdbench: Command,
    known: dict[str, str],
    arguments: list[str],
    words: str,
) -> None:
    make_job(known=known)
    status, _, err = crowdbench("logs", "1", *arguments)
    assert status == 1
    assert words in err


def test_logs_follow_a_job_until_it_has_ended(toys: QueueMachine, make_job: MakeJob) -> None:
    job = make_job(known=RUNNING)
    log, status = (toys.queue / "1" / name for name in ("0.log", "status"))
    with toys.started("logs", "-f", job.name) as process:
        assert process.stdout is not None
        log.write_text("first\n")
        assert process.stdout.readline() == "first\n"
        with log.open("a") as file:
            file.write("second\n")
        assert process.stdout.readline() == "second\n"
        with log.open("a") as file:
            file.write("last\n")
        job.write(JobState("done"))
        status.write_text("0")
        rest, errors = process.communicate(timeout=60)
    assert (process.returncode, rest, errors) == (0, "last\n", "")


@pytest.mark.parametrize("command", ["logs", "cancel", "wait"])
def test_a_job_that_is_not_there_or_not_the_only_one_is_refused(
    toys: QueueMachine, make_job: MakeJob, crowdbench: Command, command: str
) -> None:
    status, _, err = crowdbench(command, "nobody")
    assert status == 1
    assert "is called 'nobody'" in err
    broken, _ = make_job(known={}), make_job(known={})
    status, _, err = crowdbench(command, "m-d-")
    assert status == 1
    assert "'m-d-' may be any of 2 jobs" in err
    (broken.folder / "job.json").write_text("{")
    status, _, err = crowdbench(command, broken.name)
    assert status == 1
    assert "not a job of this version of crowdbench" in err


def test_cancel_calls_off_what_waits_and_says_what_had_ended(
    toys: QueueMachine, make_job: MakeJob, crowdbench: Command
) -> None:
    waiting, done = make_job(known={}), make_job(state=JobState("done"))
    status, out, _ = crowdbench("cancel", waiting.name, done.name)
    assert (status, out) == (0, f"{done.name}: done already\n{waiting.name}: cancelled\n")
    assert (toys.queue / "1" / "cancelled").exists()
    assert f"{waiting.name}: cancelled already" in crowdbench("cancel", "1")[1]
    assert " cancelled " in crowdbench("status")[1]
    status, out, _ = crowdbench("wait", "1")
    assert status == 1
    assert f"{waiting.name}: cancelled: at " in out


def test_a_job_that_will_never_start_is_not_waited_for_and_can_be_cancelled(
    toys: QueueMachine, make_job: MakeJob, crowdbench: Command
) -> None:
    job = make_job(known={"hopeless": ""})
    status, out, _ = crowdbench("wait", job.name)
    assert status == 1
    assert f"{job.name}: waiting: no node is as large" in out
    assert "no node is as large" in crowdbench("logs", "-f", job.name)[2]
    assert crowdbench("cancel", job.name)[:2] == (0, f"{job.name}: cancelled\n")
    assert (toys.queue / "1" / "cancelled").exists()


def test_a_job_named_twice_is_cancelled_once(
    toys: QueueMachine, make_job: MakeJob, crowdbench: Command
) -> None:
    job = make_job(known={})
    assert crowdbench("cancel", job.name, "1")[:2] == (0, f"{job.name}: cancelled\n")


def test_what_the_queue_did_not_cancel_is_not_marked_as_cancelled(
    toys: QueueMachine, make_job: MakeJob, crowdbench: Command
) -> None:
    job = make_job(known=RUNNING, state=JobState("running"))
    (toys.queue / "closed").touch()
    status, _, err = crowdbench("cancel", job.name)
    assert status == 1
    assert "the toy queue does not answer" in err
    ticket = job.ticket()
    assert ticket is not None
    assert ticket.cancelled is None


def test_a_job_whose_number_is_not_known_cannot_be_cancelled_here(
    toys: QueueMachine, make_job: MakeJob, crowdbench: Command
) -> None:
    job = make_job(handed_over=False, state=JobState("running"))
    with hold_lease(job.folder):
        status, _, err = crowdbench("cancel", job.name)
    assert status == 1
    assert "its number in the queue was not recorded" in err


def test_wait_ends_well_only_if_all_are_done(
    toys: QueueMachine, make_job: MakeJob, crowdbench: Command
) -> None:
    done = make_job(state=JobState("done", [str(run_of(toys))]), method="done")
    lost = make_job(known=KILLED)
    assert crowdbench("wait", done.name, done.folder)[:2] == (0, f"{done.name}: done, AP 62.5\n")
    status, out, err = crowdbench("wait", done.name, lost.name)
    assert status == 1
    assert f"{lost.name}: lost: killed by signal 9\n" in out
    assert "1 of 2 jobs are not done. crowdbench logs NAME says why." in err


def test_wait_without_names_waits_for_all_that_have_not_ended(
    toys: QueueMachine, make_job: MakeJob, crowdbench: Command
) -> None:
    assert crowdbench("wait")[:2] == (0, "Nothing to wait for.\n")
    make_job(known=KILLED)
    assert crowdbench("wait")[:2] == (0, "Nothing to wait for.\n")
    job = make_job(known=RUNNING)
    with toys.started("wait") as process:
        assert process.stderr is not None
        assert process.stderr.readline() == f"{job.name}: running\n"
        job.write(JobState("done"))
        output, _ = process.communicate(timeout=60)
    assert (process.returncode, output) == (0, f"{job.name}: done\n")


def slow_job(toys: QueueMachine, crowdbench: Command, monkeypatch: pytest.MonkeyPatch) -> Job:
    """A job whose real process computes for ever."""
    monkeypatch.setenv("TOY_SLEEP_S", "600")
    options = ("--root", toys.data, "--weights", "none", "--batch-size", 1, "--workers", 0, "--device", "cpu")
    status, out, err = crowdbench("run", "toy-network", "crowdpose", *options, "--on", "toys", "--json")
    assert status == 0, err
    job = Job(Path(json.loads(out)["folder"]))
    deadline = time.monotonic() + 120
    while (state := job.state()) is None or state.run is None or not (state.run / "progress.json").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return job


@pytest.mark.slow
def test_a_job_that_runs_shows_progress_and_stops_when_it_is_cancelled(
    toys: QueueMachine, crowdbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = slow_job(toys, crowdbench, monkeypatch)
    (row,) = json.loads(crowdbench("status", "--json")[1])
    assert (row["state"], row["where"]) == ("running", "1 toy-node")
    deadline = time.monotonic() + 60
    while not (toys.queue / "1" / "pids").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert crowdbench("cancel", job.name)[:2] == (0, f"{job.name}: cancelled\n")
    status, out, _ = crowdbench("wait", job.name)
    assert status == 1
    assert f"{job.name}: cancelled: at " in out
    state = job.state()
    assert state is not None
    assert state.state == "stopped"
    assert state.run is not None
    assert json.loads((state.run / "run.json").read_bytes())["state"] == "interrupted"


@pytest.mark.slow
def test_a_job_whose_process_is_killed_is_lost_and_goes_on_with_the_same_command(
    toys: QueueMachine, crowdbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = slow_job(toys, crowdbench, monkeypatch)
    os.kill(int((toys.queue / "1" / "pids").read_text()), 9)
    deadline = time.monotonic() + 60
    while not (toys.queue / "1" / "status").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    (row,) = json.loads(crowdbench("status", "--json")[1])
    assert (row["state"], row["reason"]) == ("lost", "killed by signal 9")
    monkeypatch.setenv("TOY_SLEEP_S", "0")
    options = ("--root", toys.data, "--weights", "none", "--batch-size", 1, "--workers", 0, "--device", "cpu")
    status, out, err = crowdbench("run", "toy-network", "crowdpose", *options, "--on", "toys", "--wait")
    assert status == 0, err
    assert f"{job.name}: submitted as toy-queue job 2" in err
    assert out.splitlines()[-1].startswith("Run: ")
