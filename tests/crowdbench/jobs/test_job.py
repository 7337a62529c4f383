"""Jobs on disk: named by what was asked, written whole, and read as far as they can be."""

from pathlib import Path

import pytest

from crowdbench.errors import LaunchError
from crowdbench.jobs.job import (
    Attempt,
    Job,
    JobState,
    Resources,
    Submission,
    find_jobs,
    job_for,
    new_order,
    user_at_host,
)
from crowdbench.jobs.request import EvaluationRequest, Request, TrainingRequest, with_absolute_paths

ALONE = Resources(1, 1)


def handed_over(request: Request, resources: Resources = ALONE) -> Job:
    job = job_for(request, resources)
    job.write(new_order(job, request, "queue", "profile", resources))
    return job


def test_the_same_request_is_the_same_job_whoever_gives_it_and_how(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    relative = EvaluationRequest("m", "d", root=Path("data"), command=("crowdbench", "run"))
    there = EvaluationRequest("m", "d", root=tmp_path / "data", out=tmp_path / "runs", workers=3, again=True)
    assert job_for(relative, ALONE) == job_for(there, Resources(8, 2))
    assert job_for(relative, ALONE).folder.parent == tmp_path / "runs" / "jobs"
    assert job_for(relative, ALONE).name.startswith("m-d-")


def test_another_request_is_another_job() -> None:
    names = {
        job_for(request, ALONE).name
        for request in (
            EvaluationRequest("m", "d"),
            EvaluationRequest("m", "d", seed=1),
            TrainingRequest("m", "d"),
        )
    }
    assert len(names) == 3
    assert sum(name.startswith("train-m-d-") for name in names) == 1


def test_a_training_in_other_processes_is_another_training() -> None:
    training = TrainingRequest("m", "d")
    assert job_for(training, Resources(2, 1)) != job_for(training, ALONE)
    assert job_for(training, Resources(2, 1)) == job_for(training, Resources(2, 2))
    assert job_for(training, Resources(0, 1)) == job_for(training, ALONE)
    assert job_for(EvaluationRequest("m", "d"), Resources(2, 1)) == job_for(
        EvaluationRequest("m", "d"), ALONE
    )


def test_an_order_leads_back_to_the_request(tmp_path: Path) -> None:
    request = TrainingRequest("m", "d", recipe={"epochs": "3"}, out=tmp_path)
    job = handed_over(request, Resources(2, 1))
    assert job.request() == with_absolute_paths(request)
    order = job.order()
    assert (order.name, order.launcher, order.profile) == (job.name, "queue", "profile")
    assert (order.resources, order.by) == (Resources(2, 1), user_at_host())


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    job = Job(tmp_path / "j")
    assert (job.ticket(), job.state()) == (None, None)
    ticket = Submission("12_3", "/queue", "now", "me@here", cancelled="later")
    state = JobState(
        "failed", ["/a", "/b"], "why", "bug", [Attempt("12", 1, "n", "now", 7, "failed")], 2, "then"
    )
    job.write(ticket)
    job.write(state)
    assert (job.ticket(), job.state()) == (ticket, state)
    assert state.run == Path("/b")
    assert JobState("running").run is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"state": "dancing"}', b'{"number": 3}'])
def test_a_damaged_ticket_or_state_is_none(tmp_path: Path, content: bytes) -> None:
    for name in ("ticket.json", "state.json"):
        (tmp_path / name).write_bytes(content)
    assert (Job(tmp_path).ticket(), Job(tmp_path).state()) == (None, None)


def test_a_job_that_is_not_there_or_not_a_job_says_where(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match=r"job\.json: no job here"):
        Job(tmp_path).order()
    (tmp_path / "job.json").write_text('{"name": "j"}')
    with pytest.raises(LaunchError, match=r"job\.json: not a job of this version"):
        Job(tmp_path).order()


def test_jobs_are_found_by_their_orders_in_the_order_of_their_names(tmp_path: Path) -> None:
    jobs = [handed_over(EvaluationRequest("m", name, out=tmp_path)) for name in ("b", "a", "c")]
    (tmp_path / "jobs" / "half-written").mkdir()
    assert list(find_jobs(tmp_path)) == sorted(jobs, key=lambda job: job.name)
    assert list(find_jobs(tmp_path / "none")) == []
