"""Jobs are handed over once, whoever hands over the same ones at the same moment."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from support.cluster.queue_machine import QueueMachine

from crowdbench.errors import LaunchError, SettingsError
from crowdbench.jobs import submit as submission
from crowdbench.jobs.job import Job, JobState, Resources, Submission, job_for
from crowdbench.jobs.request import EvaluationRequest, TrainingRequest
from crowdbench.jobs.submit import SubmissionResult, submit

ASKED = Resources()


@pytest.fixture(autouse=True)
def held(toys: QueueMachine) -> Path:
    """The queue takes jobs, and starts none while this file is there."""
    (toys.queue / "held").touch()
    return toys.queue / "held"


def request(seed: int = 0, **more: Any) -> EvaluationRequest:
    return EvaluationRequest("m", "d", seed=seed, **more)


def hand_over(
    toys: QueueMachine, requests: Sequence[EvaluationRequest], **options: Any
) -> list[SubmissionResult]:
    return submit(toys.load(), requests, ASKED, **options)


def ended(toys: QueueMachine, job: Job, state: JobState | None, status: int = 1) -> None:
    """The queue is through with a job, which came to this."""
    ticket = job.ticket()
    assert ticket is not None
    (toys.queue / ticket.job_id / "status").write_text(str(status))
    if state is not None:
        job.write(state)


def finished_run(toys: QueueMachine) -> Path:
    directory = toys.runs / "d-test" / "m" / "abc"
    directory.mkdir(parents=True)
    (directory / "run.json").write_text("{}")
    return directory


def test_what_is_handed_over_has_a_ticket_and_an_order(toys: QueueMachine) -> None:
    (found,) = hand_over(toys, [request()])
    assert (found.how, found.number, found.reason) == ("submitted", "1", None)
    ticket = found.job.ticket()
    assert ticket is not None
    assert (ticket.job_id, ticket.cancelled) == ("1", None)
    order = found.job.order()
    assert (order.launcher, order.profile, order.resources) == ("toy-queue", "toys", Resources(1, 1))
    assert (toys.queue / "1" / "job").read_text() == str(found.job.folder)


def test_the_same_request_given_twice_is_one_job(toys: QueueMachine) -> None:
    (first,) = hand_over(toys, [request()])
    (second,) = hand_over(toys, [request(out=toys.runs, command=("other", "words"))])
    assert (second.job, second.how, second.number) == (first.job, "waiting", first.number)
    (toys.queue / "1" / "first").touch()
    (third,) = hand_over(toys, [request()])
    assert third.how == "running"
    assert len(toys.handed_over()) == 1


def test_the_same_request_twice_in_one_command_is_one_job(toys: QueueMachine) -> None:
    found = hand_over(toys, [request(), request(1), request()])
    assert found[0] == found[2] != found[1]
    assert len(toys.handed_over()) == 2


def test_several_are_handed_over_in_one_piece_and_told_how_many_may_run(toys: QueueMachine) -> None:
    found = hand_over(toys, [request(seed) for seed in range(5)], max_parallel=2)
    assert [it.number for it in found] == ["1", "2", "3", "4", "5"]
    assert {(folder / "max_parallel").read_text() for folder in toys.handed_over()} == {"2"}
    assert [Job(Path((folder / "job").read_text())) for folder in toys.handed_over()] == [
        it.job for it in found
    ]


SUBMITTER = """\
import json, sys
from pathlib import Path
from crowdbench.jobs.job import Resources
from crowdbench.jobs.launcher import load_launcher
from crowdbench.jobs.request import EvaluationRequest
from crowdbench.jobs.submit import submit

queue = load_launcher("toys")
requests = [EvaluationRequest("m", "d", seed=seed) for seed in json.loads(sys.argv[1])]
print("ready", flush=True)
sys.stdin.readline()
print(json.dumps([it.how for it in submit(queue, requests, Resources())]))
"""


def test_processes_that_hand_over_the_same_at_the_same_moment_do_it_once(toys: QueueMachine) -> None:
    orders = [list(range(12)), list(reversed(range(12))), list(range(4, 16))]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SUBMITTER, json.dumps(order)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=toys.environment,
            text=True,
        )
        for order in orders
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    words = [word for process in processes for word in json.loads(process.communicate(timeout=60)[0])]
    assert words.count("submitted") == 16
    assert words.count("waiting") == 36 - 16
    jobs = [(folder / "job").read_text() for folder in toys.handed_over()]
    assert len(jobs) == len(set(jobs)) == 16


def test_what_is_done_is_not_handed_over(toys: QueueMachine) -> None:
    (first,) = hand_over(toys, [request()])
    ended(toys, first.job, JobState("done", [str(finished_run(toys))]), 0)
    (second,) = hand_over(toys, [request()])
    assert (second.how, second.job) == ("done", first.job)
    assert len(toys.handed_over()) == 1


def test_what_is_done_is_done_though_its_process_has_not_yet_ended(toys: QueueMachine) -> None:
    (first,) = hand_over(toys, [request()])
    (toys.queue / "1" / "first").touch()
    first.job.write(JobState("done", [str(finished_run(toys))]))
    assert [it.how for it in hand_over(toys, [request()])] == ["done"]
    assert [it.how for it in hand_over(toys, [request(again=True)])] == ["submitted"]


def test_what_was_done_and_is_gone_is_handed_over_again(toys: QueueMachine) -> None:
    (first,) = hand_over(toys, [request()])
    directory = finished_run(toys)
    ended(toys, first.job, JobState("done", [str(directory)]), 0)
    (directory / "run.json").unlink()
    (second,) = hand_over(toys, [request()])
    assert (second.how, second.number) == ("submitted", "2")


@pytest.mark.parametrize("cause", ["input", "bug"])
def test_what_failed_by_its_own_fault_is_handed_over_again_only_if_that_is_asked_for(
    toys: QueueMachine, cause: Any
) -> None:
    (first,) = hand_over(toys, [request()])
    ended(toys, first.job, JobState("failed", reason="no such file", cause=cause))
    (second,) = hand_over(toys, [request()], retry=False)
    assert (second.how, second.reason, second.number) == ("failed", "no such file", "1")
    (third,) = hand_over(toys, [request()], retry=True)
    assert (third.how, third.number) == ("submitted", "2")


@pytest.mark.parametrize(
    "state",
    [
        pytest.param(JobState("failed", reason="the node burns", cause="machine"), id="by the machine"),
        pytest.param(JobState("stopped", reason="asked to stop"), id="stopped"),
        pytest.param(JobState("running"), id="killed"),
        pytest.param(None, id="killed before it began"),
    ],
)
def test_what_the_machine_did_not_finish_is_handed_over_again(
    toys: QueueMachine, state: JobState | None
) -> None:
    (first,) = hand_over(toys, [request()])
    ended(toys, first.job, state)
    (second,) = hand_over(toys, [request()], retry=False)
    assert (second.how, second.job, second.number) == ("submitted", first.job, "2")
    assert second.job.state() is None, "what an earlier time came to is no longer the job's state"


def test_what_was_cancelled_is_handed_over_again_and_is_wanted_again(toys: QueueMachine) -> None:
    (first,) = hand_over(toys, [request()])
    ticket = first.job.ticket()
    assert ticket is not None
    first.job.write(Submission(ticket.job_id, ticket.folder, ticket.at, ticket.by, cancelled="noon"))
    ended(toys, first.job, JobState("stopped"))
    (second,) = hand_over(toys, [request()])
    assert second.how == "submitted"
    fresh = second.job.ticket()
    assert fresh is not None
    assert fresh.cancelled is None


def test_what_the_queue_has_forgotten_is_handed_over_again(toys: QueueMachine) -> None:
    (first,) = hand_over(toys, [request()])
    (toys.queue / "1").rename(toys.queue / "gone")
    (second,) = hand_over(toys, [request()])
    assert (second.how, second.job) == ("submitted", first.job)


def test_again_computes_anew_what_is_done_and_leaves_alone_what_is_under_way(toys: QueueMachine) -> None:
    again = request(again=True)
    (first,) = hand_over(toys, [request()])
    assert [it.how for it in hand_over(toys, [again])] == ["waiting"]
    ended(toys, first.job, JobState("done", [str(finished_run(toys))]), 0)
    (second,) = hand_over(toys, [again])
    assert (second.how, second.job) == ("submitted", first.job)
    assert second.job.request().again  # type: ignore[union-attr]
    assert [it.how for it in hand_over(toys, [again])] == ["waiting"]


def test_the_profile_prescribes_a_device_where_none_was_asked_for(toys: QueueMachine) -> None:
    queue = toys.load("processors")
    auto, chosen = submit(queue, [request(), request(device="cuda:1")], ASKED)
    assert auto.job.request().device == "cpu"
    assert chosen.job.request().device == "cuda:1"
    assert [it.how for it in submit(queue, [request(device="cpu")], ASKED)] == ["waiting"]


def test_a_training_in_two_processes_is_another_job_than_in_one(toys: QueueMachine) -> None:
    training = TrainingRequest("m", "d")
    found = [submit(toys.load(name), [training], ASKED)[0] for name in ("toys", "pairs", "toys")]
    assert [it.how for it in found] == ["submitted", "submitted", "waiting"]
    assert found[0].job == found[2].job != found[1].job


def test_resources_that_do_not_go_together_are_refused_before_anything_is_written(toys: QueueMachine) -> None:
    with pytest.raises(SettingsError, match="3 GPUs cannot be shared evenly"):
        submit(toys.load(), [request()], Resources(3, 2))
    assert not toys.runs.exists()


def test_a_queue_that_does_not_take_jobs_is_asked_again_the_next_time(toys: QueueMachine) -> None:
    (toys.queue / "closed").touch()
    with pytest.raises(LaunchError, match="the toy queue does not answer"):
        hand_over(toys, [request()])
    assert toys.handed_over() == []
    (toys.queue / "closed").unlink()
    assert [it.how for it in hand_over(toys, [request()])] == ["submitted"]


def test_while_a_queue_does_not_answer_nothing_is_handed_over_twice(toys: QueueMachine) -> None:
    (first,) = hand_over(toys, [request()])
    (toys.queue / "closed").touch()
    with pytest.raises(LaunchError, match="the toy queue does not answer"):
        hand_over(toys, [request(), request(1)])
    (toys.queue / "closed").unlink()
    ticket = first.job.ticket()
    assert ticket is not None
    assert ticket.job_id == "1"
    assert [it.how for it in hand_over(toys, [request(), request(1)])] == ["waiting", "submitted"]


def test_jobs_of_two_folders_of_runs_are_not_handed_over_together(toys: QueueMachine) -> None:
    with pytest.raises(LaunchError, match="must have the same directory for runs"):
        hand_over(toys, [request(), request(out=Path("elsewhere"))])


def test_who_hands_over_for_minutes_is_named_by_the_lock(
    toys: QueueMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submission, "_LOCK_PATIENCE_S", 0.1)
    (toys.runs / "jobs").mkdir(parents=True)
    lock = toys.runs / "jobs" / ".lock"
    with FileLock(lock), pytest.raises(LaunchError, match=f"If none is running, remove {lock}"):
        hand_over(toys, [request()])


def test_a_folder_of_runs_that_cannot_be_made_is_refused_in_words(toys: QueueMachine) -> None:
    (toys.work / "file").touch()
    with pytest.raises(LaunchError, match=r"file/runs/jobs: cannot be written \(Not a directory\)"):
        hand_over(toys, [request(out=Path("file") / "runs")])
    assert toys.handed_over() == []


def test_a_job_that_cannot_be_written_down_is_refused_in_words(toys: QueueMachine) -> None:
    folder = job_for(request(1), Resources(1, 1)).folder
    folder.parent.mkdir(parents=True)
    folder.touch()
    with pytest.raises(LaunchError, match=f"{folder}: cannot be written"):
        hand_over(toys, [request(), request(1)])
    assert toys.handed_over() == []
