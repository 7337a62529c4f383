"""The script that starts a Slurm on one machine, and what its cluster can do."""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "slurm" / "dev-cluster"
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("slurm")]


def run(environment: dict[str, str], *command: str) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def script(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([str(SCRIPT), *arguments], capture_output=True, text=True, check=False, timeout=180)


def test_two_nodes_run_tasks_that_see_a_gpu_each(cluster: dict[str, str]) -> None:
    seen = run(
        cluster,
        *("srun", "-N", "2", "--ntasks-per-node=2", "--gpus-per-task=1", "bash", "-c"),
        "echo $SLURMD_NODENAME $CUDA_VISIBLE_DEVICES",
    )
    assert sorted(seen.split("\n")[:-1]) == ["node1 0", "node1 1", "node2 0", "node2 1"]


def test_accounting_knows_what_became_of_a_job(cluster: dict[str, str]) -> None:
    job = run(cluster, "sbatch", "--parsable", "--wait", "--output=/dev/null", "--wrap", "true").strip()
    deadline = time.monotonic() + 30
    while "COMPLETED" not in run(cluster, "sacct", "-n", "-X", "-j", job, "-o", "State"):
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_an_urgent_job_pushes_others_out_and_they_begin_again(
    cluster: dict[str, str], tmp_path: Path
) -> None:
    starts = tmp_path / "starts"
    told = f"trap 'echo told >> {starts}' CONT TERM; echo start >> {starts}; sleep 60 & wait; wait"
    options = ("--parsable", "--output=/dev/null", "--nodes=2", "--exclusive", "--requeue")
    job = run(cluster, "sbatch", *options, "--wrap", told).strip()
    wait_for(starts.exists)
    run(cluster, "srun", "--partition=urgent", "--nodes=2", "--exclusive", "true")
    wait_for(lambda: starts.read_text().split().count("start") == 2)
    run(cluster, "scancel", job)


def wait_for(holds: Callable[[], bool], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_what_is_up_stays_up_and_says_so(cluster: dict[str, str]) -> None:
    folder = str(Path(cluster["SLURM_CONF"]).parent)
    before = script("status", "--dir", folder)
    assert before.returncode == 0
    again = script("up", "--dir", folder)
    assert again.stdout == f"export SLURM_CONF={folder}/slurm.conf\n"
    daemons = [line.split()[:2] for line in before.stdout.splitlines()[:6]]
    assert daemons == [line.split()[:2] for line in script("status", "--dir", folder).stdout.splitlines()[:6]]


def test_a_dead_daemon_is_told_and_started_again(cluster: dict[str, str]) -> None:
    folder = Path(cluster["SLURM_CONF"]).parent
    os.kill(int((folder / "run" / "node2.pid").read_text()), 9)
    wait_for(lambda: script("status", "--dir", str(folder)).returncode == 1)
    assert "node2      is down" in script("status", "--dir", str(folder)).stdout
    assert script("up", "--dir", str(folder)).returncode == 0
    assert run(cluster, "srun", "-w", "node2", "bash", "-c", "echo $SLURMD_NODENAME") == "node2\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("status", "--dir", "nowhere"), "there is no cluster in"),
        (("up", "--dir", "a folder"), "no spaces"),
        (("up", "--dir", "x" * 80), "at most 70 characters"),
        (("dance",), "invalid choice"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(
    slurm_programs: None, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = subprocess.run(
        [str(SCRIPT), *arguments], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr
