"""What goes wrong on a cluster ends in one clear message."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from support.cluster.login_node import RUN, Desk, add_profile, lost, until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("slurm")]


def refused(desk: Desk, *arguments: object) -> str:
    """The message of a command that hands over nothing."""
    done = desk.crowdbench(*RUN, "--out", "refused", *arguments)
    assert done.returncode in (1, 2), done.stdout
    assert not done.stdout
    assert not [row for row in desk.status("refused") if row["state"] in ("waiting", "running")]
    return done.stderr


def test_a_machine_without_slurm(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "crowdbench", *map(str, RUN), "--on", "slurm"],
        cwd=tmp_path,
        env={"PATH": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(
        "LaunchError: there is no Slurm on this machine: sbatch, srun, squeue not found"
    )
    assert "login node" in done.stderr


def test_a_partition_that_is_not_there(desk: Desk) -> None:
    message = refused(desk, "--on", add_profile(desk, "nowhere", partition="a100"))
    assert "invalid partition specified: a100" in message
    assert "There are: main, urgent" in message
    assert "profile nowhere" in message


def test_a_time_limit_that_the_partition_does_not_allow(desk: Desk) -> None:
    desk.slurm("scontrol", "create", "PartitionName=short", "Nodes=ALL", "MaxTime=5", "State=UP")
    try:
        message = refused(desk, "--on", add_profile(desk, "long", partition="short", time="10:00:00"))
    finally:
        desk.slurm("scontrol", "delete", "PartitionName=short")
    assert "PartitionTimeLimit: the time limit is longer than the partition allows" in message
    assert "It was cancelled" in message


def test_more_gpus_than_there_are(desk: Desk) -> None:
    many = add_profile(desk, "many", gpus_per_node=8, cpus_per_gpu=1)
    message = refused(desk, "--on", many, "--gpus", 8)
    assert "Requested node configuration is not available" in message
    assert "gpus_per_node" in message
    assert "are 4 on each; a node has 2" in refused(desk, "--on", "slurm", "--gpus", 8, "--nodes", 2)
    assert "cannot be shared evenly" in refused(desk, "--on", "slurm", "--gpus", 3, "--nodes", 2)


def test_a_feature_that_no_node_has(desk: Desk) -> None:
    message = refused(desk, "--on", add_profile(desk, "wrong", constraint="h200"))
    assert "Invalid feature specification" in message
    assert "constraint" in message


def test_an_environment_that_the_node_does_not_have(desk: Desk) -> None:
    profile = add_profile(desk, "elsewhere", python="/opt/nowhere/bin/python")
    row = lost(desk, "no-python", "--on", profile)
    assert row["state"] == "lost"
    assert row["reason"].startswith("/opt/nowhere/bin/python is not on the node")


def test_an_environment_without_crowdbench(desk: Desk) -> None:
    bare = desk.folder / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    row = lost(desk, "bare-python", "--on", add_profile(desk, "bare", python=f"{bare}/bin/python"))
    assert row["reason"].startswith("submitit is not installed in the environment that the node sees")


@pytest.fixture
def node_without(
    desk: Desk, pid_file: Callable[[str], Path], cluster_up: Callable[[], None]
) -> Iterator[Callable[[Path], None]]:
    """Takes a folder away from node2: what is there is another, empty one."""

    def kill() -> None:
        pid = int(pid_file("node2").read_text())
        os.kill(pid, signal.SIGKILL)
        until(lambda: not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text())

    def hide(folder: Path) -> None:
        kill()
        conf = desk.environment["SLURM_CONF"]
        daemon = shutil.which("slurmd", path="/usr/sbin:/sbin")
        script = f"mount -t tmpfs none {folder} && exec {daemon} -N node2 -f {conf}"
        subprocess.run(["unshare", "--mount", "sh", "-c", script], check=True, env=desk.environment)
        until(lambda: "idle" in desk.slurm("sinfo", "-h", "-N", "-n", "node2", "-p", "main", "-o", "%T"))

    yield hide
    kill()
    cluster_up()


def test_a_folder_of_runs_that_the_node_does_not_see(
    desk: Desk, node_without: Callable[[Path], None]
) -> None:
    (desk.folder / "own-disk").mkdir()
    node_without(desk.folder / "own-disk")
    row = lost(desk, "own-disk", "--on", add_profile(desk, "node2", exclude="node1"))
    assert row["state"] == "lost"
    assert "node2 does not see this folder" in row["reason"]
    assert "Put --out on a file system that all nodes share" in row["reason"]


@pytest.fixture
def small_disk(desk: Desk, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file system of a few MB."""
    folder = desk.folder / "small-disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={request.param}", "none", folder], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)
    folder.rmdir()


@pytest.mark.parametrize("small_disk", ["4m"], indirect=True)
def test_a_disk_without_room_for_checkpoints(desk: Desk, small_disk: Path) -> None:
    if not (desk.folder / "few").exists():
        for split in ("train", "val", "test"):
            desk.done("data", "synth", "few", "--split", split, "--images", 8)
    name = desk.submitted(
        *(
            "train",
            "hrnet-tiny",
            "synthcrowd",
            "--root",
            "few",
            "--epochs",
            1,
            "--out",
            small_disk,
            "--workers",
            0,
        ),
        *("--on", "slurm"),
    )["name"]
    waited = desk.crowdbench("wait", name, "--out", small_disk)
    assert waited.returncode == 1
    row = desk.job(name, str(small_disk))
    assert row["state"] == "failed"
    assert "the checkpoint cannot be written (No space left on device)" in row["reason"]
    assert "given up: 3 times in a row in the same place" in row["reason"]


@pytest.mark.parametrize("small_disk", ["1m"], indirect=True)
def test_a_disk_without_room_for_anything(desk: Desk, small_disk: Path) -> None:
    name = desk.submitted(*RUN, "--out", small_disk, "--on", "slurm")["name"]
    # While the job imports what it needs, somebody else fills the disk.
    with (small_disk / "somebody-elses").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    waited = desk.crowdbench("wait", name, "--out", small_disk)
    assert waited.returncode == 1
    row = desk.job(name, str(small_disk))
    assert row["state"] == "lost"
    assert row["reason"].startswith(
        "the disk, or the quota, is full; free space, then run the same command again"
    )
