"""Runs on the development cluster: the same numbers as here, through restarts, and sweeps as one array."""

import gzip
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.cluster.login_node import Desk, until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("slurm")]


def predictions(folder: Path) -> list[dict[str, Any]]:
    (path,) = folder.glob("synthcrowd-test/*/*/predictions.json.gz")
    found: list[dict[str, Any]] = json.loads(gzip.decompress(path.read_bytes()))
    return found


def record(folder: Path) -> dict[str, Any]:
    (path,) = folder.glob("synthcrowd-test/*/*/run.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


@pytest.fixture(scope="module")
def local(desk: Desk) -> Path:
    """The folder of a run that was carried out here."""
    desk.done("run", "i2rnet-tiny", "synthcrowd", "--limit", 60, "--device", "cpu", "--out", "local")
    return desk.folder / "local"


def test_four_tasks_on_two_nodes_predict_and_score_what_one_process_does(desk: Desk, local: Path) -> None:
    shown = desk.done(
        *("run", "i2rnet-tiny", "synthcrowd", "--limit", 60, "--out", "shared"),
        *("--on", "slurm", "--gpus", 4, "--nodes", 2, "--wait"),
    )
    shared = desk.folder / "shared"
    assert "synthcrowd test, ground-truth boxes" in shown
    ours, theirs = predictions(shared), predictions(local)
    assert [(p["image_id"], p["category_id"]) for p in ours] == [
        (p["image_id"], p["category_id"]) for p in theirs
    ]
    for name in ("keypoints", "score"):
        np.testing.assert_allclose([p[name] for p in ours], [p[name] for p in theirs], rtol=0, atol=1e-5)
    assert record(shared)["scores"] == record(local)["scores"]
    assert record(shared)["id"] == record(local)["id"]
    host = record(shared)["host"]
    assert host["job"]["nodes"] == ["node1", "node2"]
    assert record(shared)["timings"]["processes"] == 4
    (row,) = desk.status("shared")
    logs = [Path(row["log"]).with_name(f"{row['where'].split()[0]}_{task}_log.out") for task in range(4)]
    assert all("global_rank" in log.read_text() for log in logs)
    assert "global_rank=3" in desk.done("logs", row["name"], "--out", "shared", "--task", 3)


def test_the_same_command_again_is_no_second_job(desk: Desk) -> None:
    command = ("run", "hrnet-tiny", "synthcrowd", "--limit", 120, "--out", "twice", "--on", "slurm")
    first = desk.submitted(*command)
    second = desk.submitted(*command)
    assert first["state"] == "submitted"
    assert second["state"] in ("waiting", "running")
    assert (second["name"], second["number"]) == (first["name"], first["number"])
    desk.wait(first["name"], "twice")
    assert desk.submitted(*command)["state"] == "done"
    # All that was pickled is a name and a path.
    (pickled,) = (desk.folder / "twice" / "jobs" / ".submissions").glob("*/*_submitted.pkl")
    assert len(pickled.read_bytes()) < 200 + len(str(pickled))
    assert desk.state(first["name"], "twice")["completed"] == 1


@pytest.mark.parametrize("how", ["USR2", "TERM", "requeue"])
def test_an_evaluation_that_is_stopped_goes_on_where_it_was(desk: Desk, local: Path, how: str) -> None:
    out = f"stopped-{how}"
    common = ("i2rnet-tiny", "synthcrowd", "--limit", 60, "--out", out, "--save-every", 0)
    name = desk.submitted("run", *common, "--on", "slurm", "--gpus", 2)["name"]
    parts = desk.folder / out / "synthcrowd-test" / "i2rnet-tiny"
    until(lambda: len(list(parts.glob("*/parts/*.json"))) >= 2)
    number = desk.job(name, out)["where"].split()[0]
    if how == "requeue":
        desk.slurm("scontrol", "requeue", number)
    else:
        desk.slurm("scancel", f"--signal={how}", number)
    desk.wait(name, out)
    starts = desk.state(name, out)["starts"]
    assert [start["ended"] for start in starts] == ["stopped", "done"]
    assert starts[1]["reached"] >= 2
    assert predictions(desk.folder / out) == predictions(local)
    assert "continued: " in desk.done("logs", name, "--out", out)


def test_what_is_cancelled_stays_so_until_the_command_is_given_again(desk: Desk, local: Path) -> None:
    command = ("run", "i2rnet-tiny", "synthcrowd", "--limit", 60, "--out", "cancelled", "--save-every", 0)
    name = desk.submitted(*command, "--on", "slurm")["name"]
    parts = desk.folder / "cancelled" / "synthcrowd-test" / "i2rnet-tiny"
    until(lambda: list(parts.glob("*/parts/*.json")))
    assert "cancelled" in desk.done("cancel", name[:-3], "--out", "cancelled")
    until(lambda: desk.job(name, "cancelled")["state"] == "cancelled")
    assert not list(parts.glob("*/predictions.json.gz"))
    waited = desk.crowdbench("wait", name, "--out", "cancelled")
    assert waited.returncode == 1
    assert "cancelled" in waited.stdout
    assert desk.submitted(*command, "--on", "slurm")["state"] == "submitted"
    desk.wait(name, "cancelled")
    assert predictions(desk.folder / "cancelled") == predictions(local)


def suite(desk: Desk, name: str, seeds: int) -> str:
    (desk.folder / f"{name}.toml").write_text(
        f'name = "{name}"\ndescription = "Small cells"\n[[grid]]\nmethods = ["hrnet-tiny", "i2rnet-tiny"]\n'
        f'datasets = ["synthcrowd"]\nseeds = {list(range(seeds))}\nweights = "none"\n'
    )
    return f"{name}.toml"


def test_a_sweep_of_which_jobs_are_killed_is_complete_once_it_is_started_again(desk: Desk) -> None:
    cells, out = 24, "killed"
    command = ("sweep", suite(desk, out, cells // 2), "--limit", 4, "--out", out)
    on_slurm = ("--on", "slurm", "--parallel", 4)
    shown = desk.done(*command, *on_slurm)
    assert f"{cells} runs: {cells} submitted." in shown
    numbers = {row["where"].split()[0].split("_")[0] for row in desk.status(out)}
    assert len(numbers) == 1  # one array

    drawn = random.Random(0)
    killed: set[str] = set()
    most = 0
    while len(killed) < 6:
        rows = desk.status(out)
        running = sorted(row["name"] for row in rows if row["state"] == "running")
        most = max(most, len(running))
        left = [name for name in running if name not in killed]
        if not left:
            assert any(row["state"] != "done" for row in rows), "too quick to kill six"
            continue
        name = drawn.choice(left)
        number = desk.job(name, out)["where"].split()[0]
        if desk.job(name, out)["state"] != "running":
            continue
        # The one is killed with all its processes, at whatever it is doing; the other is taken away by Slurm.
        if len(killed) % 2:
            desk.slurm("scancel", "--signal=KILL", number)
        else:
            desk.slurm("scancel", number)
        killed.add(name)
    assert most <= 4
    desk.crowdbench("wait", "--out", out)
    undone = {row["name"] for row in desk.status(out) if row["state"] != "done"}
    assert undone <= killed  # a job may have been quicker than its killer
    assert undone
    before = {
        name: desk.state(name, out)
        for name in killed
        if (folder_of(desk, out) / name / "state.json").exists()
    }
    desk.done(*command, *on_slurm, "--wait")
    rows = desk.status(out)
    assert [row["state"] for row in rows] == ["done"] * cells
    states = [desk.state(row["name"], out) for row in rows]
    assert [state["completed"] for state in states] == [1] * cells
    assert all(state["state"] != "done" for name, state in before.items() if name in undone)
    assert f"{cells} runs: {cells} done, but not on the whole split" in desk.done(*command)
    table = desk.done("leaderboard", out)
    listed = [line for line in table.splitlines() if line.startswith(("hrnet-tiny", "i2rnet-tiny"))]
    assert len(listed) == cells


def folder_of(desk: Desk, out: str) -> Path:
    return desk.folder / out / "jobs"


def test_two_sweeps_that_are_started_at_once_do_the_work_once(desk: Desk) -> None:
    out = "both"
    file = suite(desk, out, 3)
    command = [sys.executable, "-m", "crowdbench", "sweep", file, "--limit", "4", "--out", out]
    both = [
        subprocess.Popen(
            [*command, "--on", "slurm", "--wait"],
            cwd=desk.folder,
            env=desk.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for sweep in both:
        shown, said = sweep.communicate(timeout=300)
        assert sweep.returncode == 0, said
        assert "6 runs: 6 done, but not on the whole split" in shown
    states = [desk.state(row["name"], out) for row in desk.status(out)]
    assert len(states) == 6
    assert [(len(state["starts"]), state["completed"]) for state in states] == [(1, 1)] * 6
    numbers = {start["number"].split("_")[0] for state in states for start in state["starts"]}
    assert len(numbers) == 1  # what one has handed over, the other waits for


def test_a_job_whose_processes_are_killed_three_times_in_one_place_is_given_up(desk: Desk) -> None:
    out = "hopeless"
    name = desk.submitted(
        *("run", "hrnet-tiny", "synthcrowd", "--limit", 200, "--out", out, "--save-every", 600),
        *("--on", "slurm"),
    )["name"]
    path = folder_of(desk, out) / name / "state.json"

    def starts() -> int:
        return len(json.loads(path.read_text())["starts"]) if path.exists() else 0

    for start in range(1, 4):
        until(lambda start=start: starts() == start)  # type: ignore[misc]
        number = desk.job(name, out)["where"].split()[0]
        for pid in processes_of(name, desk, out):
            os.kill(pid, signal.SIGKILL)
        until(lambda number=number: desk.slurm("squeue", "-h", "-t", "FAILED", "-j", number))  # type: ignore[misc]
        if start == 1:
            row = desk.job(name, out)
            assert (row["state"], row["reason"]) == (
                "lost",
                "killed on node1, perhaps because memory ran out",
            )
        desk.slurm("scontrol", "requeue", number)
    until(lambda: desk.job(name, out)["state"] == "failed", 180)
    row = desk.job(name, out)
    assert "given up: 3 starts in a row ended in the same place" in row["reason"]


def processes_of(name: str, desk: Desk, out: str) -> list[int]:
    folder = f"{desk.folder / out}/jobs/".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # it has ended
        if words[2:4] == [b"-m", b"submitit.core._submit"] and words[4].startswith(folder):
            found.append(int(process.name))
    return found
