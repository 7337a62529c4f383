"""``--on``: what is handed over to a queue comes to the same as here, and is handed over once."""

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.cluster.queue_machine import QueueMachine

from crowdbench.jobs.job import Job, JobState
from crowdbench.run_store.run import Run
from crowdbench.run_store.scan import find_runs
from crowdbench.training import TrainingRun

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def toy_run(toys: QueueMachine) -> list[object]:
    """A short run's command line."""
    options = ["--root", toys.data, "--weights", "none", "--batch-size", 1, "--workers", 0, "--device", "cpu"]
    return ["run", "toy-network", "crowdpose", *options]


@pytest.fixture
def held(toys: QueueMachine) -> Path:
    """The queue takes jobs, and starts none while this file is there."""
    (toys.queue / "held").touch()
    return toys.queue / "held"


@pytest.fixture(scope="module")
def crowds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder with small drawn sets of all splits."""
    root = tmp_path_factory.mktemp("data") / "crowds"
    for split, images in (("train", 12), ("val", 4), ("test", 4)):
        command = [sys.executable, "-m", "crowdbench", "data", "synth", str(root), "--split", split]
        subprocess.run([*command, "--images", str(images), "--size", "256x192"], check=True)
    return root


def same_words(text: str, run: Run) -> list[list[str]]:
    """What a run prints, word by word, without its speed and where it lies."""
    speed = f"{run.record.timings['persons_per_s']:.1f}"
    lines = [line.split() for line in text.splitlines() if not line.startswith(("Run: ", "--"))]
    return [["SPEED" if word == speed else word for word in line] for line in lines]


def test_handing_over_prints_the_jobs_name_and_returns(
    toys: QueueMachine, toy_run: list[object], held: Path, crowdbench: Command
) -> None:
    status, out, err = crowdbench(*toy_run, "--on", "toys")
    assert (status, err) == (0, "")
    (job,) = (toys.runs / "jobs").glob("toy-network-crowdpose-*")
    first, second = out.splitlines()
    assert first == f"{job.name}: submitted as toy-queue job 1"
    assert "crowdbench status shows" in second


def test_handing_over_as_json_says_the_same(
    toys: QueueMachine, toy_run: list[object], held: Path, crowdbench: Command
) -> None:
    status, out, _ = crowdbench(*toy_run, "--on", "toys", "--json", "--out", "elsewhere")
    found = json.loads(out)
    assert status == 0
    assert (found["state"], found["number"]) == ("submitted", "1")
    assert Path(found["folder"]) == toys.work / "elsewhere" / "jobs" / found["name"]
    assert (
        json.loads(crowdbench(*toy_run, "--on", "toys", "--json", "--out", "elsewhere")[1])["state"]
        == "waiting"
    )


def test_what_is_under_way_is_not_handed_over_again(
    toys: QueueMachine, toy_run: list[object], held: Path, crowdbench: Command
) -> None:
    name = crowdbench(*toy_run, "--on", "toys")[1].split(":")[0]
    assert crowdbench(*toy_run, "--on", "toys")[1].startswith(f"{name}: is waiting already\n")
    (toys.queue / "1" / "first").touch()
    assert crowdbench(*toy_run, "--on", "toys")[1].startswith(f"{name}: is running already\n")
    assert len(toys.handed_over()) == 1


def test_the_command_to_look_again_names_the_folder_of_runs(
    toys: QueueMachine, toy_run: list[object], held: Path, crowdbench: Command
) -> None:
    out = crowdbench(*toy_run, "--on", "toys", "--out", "elsewhere")[1]
    assert "crowdbench status --out elsewhere shows" in out
    assert crowdbench("status", "--out", "elsewhere")[1].endswith("1: 1 waiting.\n")


def test_a_run_in_a_queue_prints_and_scores_what_a_run_here_does(
    toys: QueueMachine, toy_run: list[object], crowdbench: Command
) -> None:
    # In a process of its own, with as many threads as a job has.
    here = toys.crowdbench(*map(str, toy_run), "--out", "here").stdout
    status, there, err = crowdbench(*toy_run, "--on", "toys", "--wait")
    assert status == 0, err
    assert "submitted as toy-queue job 1" in err
    assert "done, AP" in err
    one, other = find_runs(toys.work / "here") + find_runs(toys.runs)
    assert one.directory.name == other.directory.name
    assert same_words(there, other) == same_words(here, one)
    assert one.predictions_file.read_bytes() == other.predictions_file.read_bytes()
    # Asked for once more, it is shown.
    status, again, err = crowdbench(*toy_run, "--on", "toys", "--wait", "--json")
    assert (status, len(toys.handed_over())) == (0, 1)
    assert "is done" in err
    assert json.loads(again)["run"] == str(other.directory)
    assert crowdbench(*toy_run, "--on", "toys")[1].endswith(": is done\n")


@pytest.mark.slow
def test_processes_of_a_queue_share_a_run(
    toys: QueueMachine, toy_run: list[object], crowdbench: Command
) -> None:
    assert crowdbench(*toy_run, "--out", "here")[0] == 0
    status, _, err = crowdbench(*toy_run, "--on", "pairs", "--wait")
    assert status == 0, err
    one, other = find_runs(toys.work / "here") + find_runs(toys.runs)
    assert one.predictions_file.read_bytes() == other.predictions_file.read_bytes()
    assert one.scores == other.scores
    assert other.record.timings["processes"] == 2
    assert len(list((toys.queue / "1").glob("*.log"))) == 2


def test_a_job_that_fails_says_why_and_where_to_read_more(
    toys: QueueMachine, toy_run: list[object], crowdbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_FAILS", "input:0")
    failing = ["toy-failing" if word == "toy-network" else word for word in toy_run]
    status, out, err = crowdbench(*failing, "--on", "toys", "--wait")
    assert (status, out) == (1, "")
    (job,) = (Job(path) for path in (toys.runs / "jobs").glob("toy-failing-*"))
    assert (
        f"{job.name} is not done: failed: scale must be positive.\ncrowdbench logs {job.name} says more"
        in err
    )
    assert "Traceback" not in err
    assert "scale must be positive" in crowdbench("logs", job.name)[1]


@pytest.mark.slow
def test_a_job_whose_machine_fails_is_started_until_that_is_hopeless(
    toys: QueueMachine, toy_run: list[object], crowdbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_FAILS", "disk:1")
    failing = ["toy-failing" if word == "toy-network" else word for word in toy_run]
    # Each start gets one image further: the third one has nothing left to fail on.
    status, _, err = crowdbench(*failing, "--on", "toys", "--wait")
    assert status == 0, err
    (job,) = (Job(path) for path in (toys.runs / "jobs").glob("toy-failing-*"))
    state = job.state()
    assert state is not None
    assert [start.ended for start in state.starts] == ["failed", "failed", "done"]
    monkeypatch.setenv("TOY_FAILS", "disk:0")
    status, _, err = crowdbench(*failing, "--on", "toys", "--wait", "--again")
    assert status == 1
    assert "No space left on device (given up: 3 times in a row in the same place)" in err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("way", "starts", "reason"),
    [
        pytest.param(
            "bug:0@1", 1, "process 1 of 2: toy-failing: predict raised ZeroDivisionError", id="a bug"
        ),
        pytest.param("input:0@1", 1, "process 1 of 2: scale must be positive", id="its input"),
        pytest.param(
            "disk:0@1",
            3,
            "process 1 of 2: toy-failing: predict raised OSError .* (given up: 3 times in a row",
            id="the machine",
        ),
    ],
)
def test_a_process_that_fails_ends_the_others_and_has_the_last_word(
    toys: QueueMachine,
    toy_run: list[object],
    crowdbench: Command,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
    starts: int,
    reason: str,
) -> None:
    monkeypatch.setenv("TOY_FAILS", way)
    failing = ["toy-failing" if word == "toy-network" else word for word in toy_run]
    status, _, _ = crowdbench(*failing, "--on", "pairs", "--wait")
    assert status == 1
    (row,) = json.loads(crowdbench("status", "--json")[1])
    assert row["state"] == "failed"
    before, _, after = reason.partition(" .* ")
    assert row["reason"].startswith(before)
    assert after in row["reason"]
    state = Job(Path(row["job"])).state()
    assert state is not None
    assert len(state.starts) == starts


@pytest.mark.parametrize(
    ("arguments", "status", "complaint"),
    [
        pytest.param(["--gpus", "2"], 2, "--gpus goes with --on slurm, or a profile", id="gpus here"),
        pytest.param(
            ["--nodes", "2", "--wait"], 2, "--nodes and --wait go with --on", id="nodes and wait here"
        ),
        pytest.param(["--on", "local", "--wait"], 2, "--wait goes with --on", id="wait for this process"),
        pytest.param(["--on", "toy"], 2, "Did you mean 'toys'", id="unknown profile"),
        pytest.param(
            ["--on", "nowhere"], 1, "does not say where the queue's folder is", id="refused by the queue"
        ),
        pytest.param(
            ["--on", "toys", "--gpus", "3", "--nodes", "2"], 2, "cannot be shared evenly", id="uneven"
        ),
        pytest.param(["--on", "toys", "--set", "scales=1"], 2, "Did you mean 'scale'", id="no such setting"),
        pytest.param(["--on", "toys", "--root", "none"], 2, "none", id="no data"),
        pytest.param(["--on", "toys", "--split", "tset"], 2, "Did you mean 'test'", id="no such split"),
        pytest.param(["--on", "toys", "--weights", "no.pth"], 2, "no.pth", id="no weights"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_handed_over(
    toys: QueueMachine,
    toy_run: list[object],
    held: Path,
    crowdbench: Command,
    arguments: list[str],
    status: int,
    complaint: str,
) -> None:
    found, _, err = crowdbench(*toy_run, *arguments)
    assert found == status
    assert complaint in err
    assert toys.handed_over() == []
    assert not list(toys.runs.glob("*/*/*/run.json"))


@pytest.mark.slow
def test_levels_of_crowding_are_a_job_each_and_one_curve(
    toys: QueueMachine, held: Path, crowdbench: Command
) -> None:
    command = ["run", "toy-network", "synthcrowd", "--crowding", "0,1", "--limit", 2, "--weights", "none"]
    command += ["--workers", 0, "--device", "cpu"]
    status, out, err = crowdbench(*command, "--on", "toys", "--json")
    assert status == 0, err
    assert [row["number"] for row in json.loads(out)] == ["1", "2"]
    held.unlink()
    status, out, err = crowdbench(*command, "--on", "toys", "--wait")
    assert status == 0, err
    assert "Table: " in out
    assert len(find_runs(toys.runs)) == 2


def training(crowds: Path, *more: object) -> list[object]:
    return [
        "train",
        "toy-trainable",
        "synthcrowd",
        "--root",
        crowds,
        "--workers",
        0,
        "--device",
        "cpu",
        *more,
    ]


@pytest.mark.slow
def test_a_training_in_a_queue_is_the_training_here(
    toys: QueueMachine, crowds: Path, crowdbench: Command
) -> None:
    here = toys.crowdbench(*map(str, training(crowds, "--out", "here")))
    assert here.returncode == 0, here.stderr
    status, out, err = crowdbench(*training(crowds), "--on", "toys", "--wait")
    assert status == 0, err
    best = [[line for line in text.splitlines() if "Best after" in line] for text in (here.stdout, out)]
    assert best[0] == best[1] != []
    one, other = (
        TrainingRun.read(next(folder.rglob("training.json")).parent)
        for folder in (toys.work / "here", toys.runs)
    )
    assert one.weights.read_bytes() == other.weights.read_bytes()
    (job,) = (toys.runs / "jobs").glob("train-toy-trainable-synthcrowd-*")
    state = Job(job).state()
    assert state is not None
    (run,) = find_runs(toys.runs)
    assert [run.scores] == [found.scores for found in find_runs(toys.work / "here")]
    assert state.runs == [str(other.directory), str(run.directory)]
    (row,) = json.loads(crowdbench("status", "--json")[1])
    assert (row["what"], row["state"], row["name"]) == ("train", "done", job.name)
    assert crowdbench(*training(crowds), "--on", "toys")[1] == f"{job.name}: is done\n"


@pytest.mark.slow
def test_a_training_in_two_processes_of_a_queue_meets_and_finishes(
    toys: QueueMachine, crowds: Path, crowdbench: Command
) -> None:
    status, _, err = crowdbench(*training(crowds, "--epochs", 1), "--on", "pairs", "--wait")
    assert status == 0, err
    (record,) = toys.runs.rglob("training.json")
    assert json.loads(record.read_bytes())["processes"] == 2
    assert not list(record.parent.glob(".meeting*"))


@pytest.mark.slow
def test_a_training_that_is_cancelled_writes_a_checkpoint_and_goes_on(
    toys: QueueMachine, crowds: Path, crowdbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_STEP_S", "1")
    command = training(crowds, "--epochs", 20, "--no-evaluate")
    name = crowdbench(*command, "--on", "toys")[1].split(":")[0]
    job = Job(toys.runs / "jobs" / name)
    with toys.started("logs", "-f", name) as follower:
        assert follower.stdout is not None
        while (
            (state := job.state()) is None or state.run is None or not list(state.run.glob("metrics.jsonl"))
        ):
            assert follower.poll() is None
        assert crowdbench("cancel", name)[0] == 0
        output, _ = follower.communicate(timeout=60)
    assert "stopped after step" in output or "stopped after step" in job.log.read_text()
    state = job.state()
    assert state is not None
    assert (state.state, json.loads((state.run / "training.json").read_bytes())["state"]) == (  # type: ignore[operator]
        "stopped",
        "interrupted",
    )
    monkeypatch.setenv("TOY_STEP_S", "0")
    status, out, err = crowdbench(*command, "--on", "toys", "--wait")
    assert status == 0, err
    assert "Training: " in out
    assert "continued from step" in job.log.read_text()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        pytest.param(["--gpus", "2"], "--gpus goes with --on slurm", id="gpus here"),
        pytest.param(["--on", "toys", "--epochs", "x"], "epochs", id="no number"),
        pytest.param(
            ["--on", "toys", "--validate-on", "test"], "--select-on-test", id="choosing by the test set"
        ),
        pytest.param(["--on", "toys", "--start", "no.pth"], "no.pth", id="no weights"),
    ],
)
def test_a_training_that_cannot_be_done_is_refused_before_it_is_handed_over(
    toys: QueueMachine, crowds: Path, held: Path, crowdbench: Command, arguments: list[str], complaint: str
) -> None:
    status, _, err = crowdbench(*training(crowds), *arguments)
    assert status == 2
    assert complaint in err
    assert toys.handed_over() == []


SUITE = """\
name = "mine"
description = "Toys with several seeds"
[[grid]]
methods = ["toy-network", "toy-centre"]
datasets = ["crowdpose"]
seeds = [0, 1]
weights = "none"
[[run]]
method = "toy-network"
dataset = "ochuman"
weights = "none"
"""


@pytest.fixture
def sweep(toys: QueueMachine) -> list[object]:
    """A sweep's command line: four runs that can be done, and one that lacks its data."""
    (toys.work / "mine.toml").write_text(SUITE)
    options = ["--root", f"crowdpose={toys.data}", "--workers", 0, "--device", "cpu", "--limit", 2]
    return ["sweep", "mine.toml", *options]


def test_a_sweep_is_handed_over_in_one_piece_and_once(
    toys: QueueMachine, sweep: list[object], held: Path, crowdbench: Command
) -> None:
    status, out, err = crowdbench(*sweep, "--on", "toys", "--parallel", 3)
    assert status == 1, "one lacks its data"
    assert "1 of 5 runs are not done: 0 failed, 1 lack something" in err
    assert out.endswith("5 runs: 1 missing something, 4 submitted.\n")
    jobs = toys.handed_over()
    assert len(jobs) == len({(folder / "job").read_text() for folder in jobs}) == 4
    assert {(folder / "max_parallel").read_text() for folder in jobs} == {"3"}
    assert len(list(toys.queue.glob("runner-*"))) == 1
    status, out, _ = crowdbench(*sweep, "--on", "toys", "--json")
    rows = json.loads(out)
    assert sorted(row["state"] for row in rows) == ["missing", *["waiting"] * 4]
    assert sorted(row["seed"] for row in rows if row["job"]) == [0, 0, 1, 1]
    assert len(toys.handed_over()) == 4


@pytest.mark.slow
def test_a_sweep_that_is_waited_for_shows_what_came_of_it(
    toys: QueueMachine, sweep: list[object], crowdbench: Command
) -> None:
    (toys.work / "mine.toml").write_text(SUITE.partition("[[run]]")[0])
    status, out, err = crowdbench(*sweep, "--on", "toys", "--parallel", 1, "--wait")
    assert status == 0, err
    assert out.endswith(
        "4 runs: 4 done, but not on the whole split: not to be compared with published figures.\n"
    )
    states = [Job(path).state() for path in (toys.runs / "jobs").iterdir() if path.is_dir()]
    # One at a time: each began when the one before it had ended.
    spans = sorted((state.starts[0].at, state.finished or "") for state in states if state is not None)
    assert len(spans) == 4
    assert all(spans[i][1] <= spans[i + 1][0] for i in range(3))
    status, out, _ = crowdbench(*sweep, "--on", "toys")
    assert status == 0
    assert "4 runs: 4 done, but not on the whole split" in out
    assert len(toys.handed_over()) == 4


@pytest.mark.slow
def test_a_cell_that_failed_by_its_own_fault_is_handed_over_again_only_with_retry(
    toys: QueueMachine, sweep: list[object], crowdbench: Command
) -> None:
    run = '[[run]]\nmethod = "toy-wrong-count"\ndataset = "crowdpose"\nweights = "none"\n'
    (toys.work / "mine.toml").write_text('name = "mine"\ndescription = "wrong"\n' + run)
    for _ in range(2):
        status, out, err = crowdbench(*sweep, "--on", "toys", "--wait")
        assert status == 1
        assert "1 of 1 runs are not done: 1 failed, 0 lack something" in err
        assert "[1] toy-wrong-count: estimate returned 13 keypoints" in out
        assert len(toys.handed_over()) == 1
    (toys.queue / "held").touch()
    status, out, _ = crowdbench(*sweep, "--on", "toys", "--retry")
    assert (status, out.splitlines()[-1]) == (0, "1 run: 1 submitted.")
    assert len(toys.handed_over()) == 2


@pytest.mark.parametrize(
    "arguments",
    [["--parallel", "2"], ["--retry"], ["--wait"], ["--gpus", "1"], ["--on", "local", "--nodes", "2"]],
    ids=" ".join,
)
def test_options_of_a_queue_mean_nothing_here(
    toys: QueueMachine, sweep: list[object], crowdbench: Command, arguments: list[str]
) -> None:
    status, _, err = crowdbench(*sweep, *arguments)
    assert status == 2
    assert "with --on slurm, or a profile" in err


def test_a_dry_run_hands_nothing_over(toys: QueueMachine, sweep: list[object], crowdbench: Command) -> None:
    status, out, _ = crowdbench(*sweep, "--on", "toys", "--dry-run")
    assert (status, out.splitlines()[-1]) == (0, "5 runs: 4 ready, 1 missing something.")
    assert toys.handed_over() == []
    assert not toys.runs.exists()


def test_a_run_that_an_earlier_sweep_has_done_is_not_handed_over(
    toys: QueueMachine, toy_run: list[object], held: Path, crowdbench: Command
) -> None:
    one = '[[run]]\nmethod = "toy-network"\ndataset = "crowdpose"\nweights = "none"\n'
    (toys.work / "one.toml").write_text('name = "one"\ndescription = "one"\n' + one)
    assert crowdbench(*toy_run)[0] == 0
    (run,) = find_runs(toys.runs)
    options = ["--root", f"crowdpose={toys.data}", "--on", "toys"]
    status, out, _ = crowdbench("sweep", "one.toml", *options)
    assert status == 0
    summary, note = out.splitlines()[-2:]
    assert summary == "1 run: 1 done, but not on the whole split: not to be compared with published figures."
    assert note.startswith("Runs that were done before were not computed again")
    assert run.record.id in out
    assert toys.handed_over() == []
    status, out, _ = crowdbench("sweep", "one.toml", *options, "--again")
    assert (status, out.splitlines()[-1]) == (0, "1 run: 1 submitted.")


def test_what_a_killed_submitter_left_behind_is_handed_over_by_the_next(
    toys: QueueMachine, toy_run: list[object], held: Path, crowdbench: Command
) -> None:
    name = crowdbench(*toy_run, "--on", "toys")[1].split(":")[0]
    (toys.runs / "jobs" / name / "ticket.json").unlink()
    (row,) = json.loads(crowdbench("status", "--json")[1])
    assert (row["state"], row["reason"]) == ("lost", "it was never submitted; run the same command again")
    assert crowdbench(*toy_run, "--on", "toys")[1].startswith(f"{name}: submitted")


def test_a_finished_run_of_a_job_is_read_by_everything_that_reads_runs(
    toys: QueueMachine, toy_run: list[object], crowdbench: Command
) -> None:
    status, out, err = crowdbench(*toy_run, "--on", "toys", "--wait", "--json")
    assert status == 0, err
    run = Run.read(Path(json.loads(out)["run"]))
    assert run.record.state == "done"
    assert "toy-network" in crowdbench("leaderboard", toys.runs)[1]
    assert len(json.loads(gzip.decompress(run.predictions_file.read_bytes()))) == 3
    state = Job(next((toys.runs / "jobs").glob("toy-network-*"))).state()
    assert isinstance(state, JobState)
    assert state.run == run.directory
