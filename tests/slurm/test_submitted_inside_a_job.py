"""A job that is submitted from inside another one, or from a shell with left-over variables, is a job like any."""

import json
import sys
from dataclasses import replace

import pytest
from support.cluster.login_node import RUN, Desk, add_profile, lost, until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("slurm")]
LEFT_OVER = {
    **{"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"},
    **{"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"},
    **{"SLURM_MEM_PER_CPU": "400", "SLURM_MEM_PER_NODE": "1024", "SLURM_MEM_PER_GPU": "512"},
    **{
        "SLURM_NTASKS": "5",
        "SLURM_JOB_NUM_NODES": "7",
        "SBATCH_PARTITION": "nowhere",
        "SLURM_DISTRIBUTION": "x",
    },
    **{
        "SLURM_ARRAY_JOB_ID": "3",
        "SLURM_ARRAY_TASK_ID": "9",
        "SLURM_JOB_ID": "12",
        "SLURM_RESTART_COUNT": "x",
    },
}


def test_a_task_of_an_array_submits_a_job_of_its_own(desk: Desk) -> None:
    script = desk.folder / "array.sh"
    command = [
        sys.executable,
        "-m",
        "crowdbench",
        *map(str, RUN),
        "--on",
        "slurm",
        "--out",
        "from-array",
        "--json",
    ]
    script.write_text(f"#!/bin/sh\n{' '.join(command)}\n")
    desk.slurm(
        *("sbatch", "--array=4", "--mem=200", "--export=ALL", "--chdir", str(desk.folder)),
        *("--output", str(desk.folder / "array.log"), str(script)),
    )
    until(lambda: (desk.folder / "array.log").exists() and "name" in (desk.folder / "array.log").read_text())
    (row,) = desk.status("from-array")
    desk.wait(row["name"], "from-array")


def test_variables_of_another_job_and_of_torchrun_change_nothing(desk: Desk) -> None:
    strayed = replace(desk, environment={**desk.environment, **LEFT_OVER})
    name = strayed.submitted(*RUN, "--out", "strayed", "--on", "slurm", "--gpus", 2)["name"]
    desk.wait(name, "strayed")
    assert desk.job(name, "strayed")["state"] == "done"
    (record,) = (desk.folder / "strayed").glob("synthcrowd-*/hrnet-tiny/*/run.json")
    assert json.loads(record.read_text())["timings"]["processes"] == 2


def test_variables_of_torchrun_that_a_profile_sets_are_left_aside(desk: Desk) -> None:
    profile = add_profile(
        desk, "torchrun-left-over", gpus=2, setup=["export WORLD_SIZE=1 RANK=0 LOCAL_RANK=0"]
    )
    name = desk.submitted(*RUN, "--out", "set-up", "--on", profile)["name"]
    desk.wait(name, "set-up")
    said = desk.crowdbench("logs", name, "--out", "set-up").stdout
    assert "WORLD_SIZE is ignored: srun started this process" in said


def test_what_srun_complains_of_is_quoted(desk: Desk) -> None:
    setup = ["export SLURM_MEM_PER_CPU=400 SLURM_MEM_PER_NODE=1024"]
    profile = add_profile(desk, "contradicting", setup=setup)
    row = lost(desk, "contradicting", "--on", profile)
    assert row["state"] == "lost"
    assert "srun: fatal: SLURM_MEM_PER_CPU, SLURM_MEM_PER_GPU, and SLURM_MEM_PER_NODE" in row["reason"]
