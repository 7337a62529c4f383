"""A training that is disturbed in every way that a cluster knows ends with the very weights of one that is not."""

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.numpy import load_file
from support.cluster.login_node import Desk, until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("slurm")]

OPTIONS = (
    *("hrnet-tiny", "synthcrowd", "--root", "crowds", "--epochs", "8", "--workers", "1", "--deterministic"),
    *("--recipe", "batch_size=4", "--recipe", "validate_every=4"),
)
STEPS = 8 * 6  # 48 images in two processes of 4 each


@pytest.fixture(scope="module")
def crowds(desk: Desk) -> Path:
    for split, images in (("train", 48), ("val", 4), ("test", 4)):
        desk.done("data", "synth", "crowds", "--split", split, "--images", images)
    return desk.folder / "crowds"


def begun(desk: Desk, out: str, *where: object) -> str:
    """Hand the training over; its job's name."""
    name: str = desk.submitted("train", *OPTIONS, "--on", "slurm", "--out", out, *where)["name"]
    return name


def steps(desk: Desk, out: str) -> int:
    """How many steps are safe: those of the newest checkpoint."""
    found = (desk.folder / out).glob("synthcrowd-train/hrnet-tiny/*/checkpoints/step-*.json")
    return max((int(path.stem.split("-")[1]) for path in found), default=0)


def weights(desk: Desk, out: str) -> dict[str, bytes]:
    (path,) = (desk.folder / out).glob("synthcrowd-train/hrnet-tiny/*/checkpoints/last.safetensors")
    return {name: array.tobytes() for name, array in load_file(path).items()}


def losses(desk: Desk, out: str) -> dict[int, float]:
    """Of each epoch; they are sums over processes, in another order after a restart."""
    (path,) = (desk.folder / out).glob("synthcrowd-train/hrnet-tiny/*/metrics.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return {line["step"]: line["epoch_loss"] for line in lines if line["kind"] == "epoch"}


@pytest.fixture(scope="module")
def undisturbed(desk: Desk, crowds: Path) -> str:
    """The runs' folder of a training over two nodes that nobody disturbs."""
    name = begun(desk, "undisturbed", "--gpus", 2, "--nodes", 2)
    desk.wait(name, "undisturbed")
    assert len(desk.state(name, "undisturbed")["starts"]) == 1
    return "undisturbed"


def test_a_training_on_two_nodes_is_recorded_and_its_weights_are_evaluated(
    desk: Desk, undisturbed: str
) -> None:
    (path,) = (desk.folder / undisturbed).glob("synthcrowd-train/hrnet-tiny/*/training.json")
    record = json.loads(path.read_text())
    assert record["processes"] == 2
    job = record["host"]["job"]
    assert (job["launcher"], job["nodes"], job["start"]) == ("slurm", ["node1", "node2"], 0)
    assert job["job"].isdigit()
    assert {"torch", "crowdbench", "python"} <= record["versions"].keys()
    (run,) = (desk.folder / undisturbed).glob("synthcrowd-test/hrnet-tiny/*/run.json")
    evaluated = json.loads(run.read_text())
    assert evaluated["state"] == "done"
    assert evaluated["timings"]["processes"] == 2


def pushed_out(desk: Desk, job: str) -> None:
    desk.slurm("srun", "--partition=urgent", "--nodes=2", "--exclusive", "true")


def told_by_usr2(desk: Desk, job: str) -> None:
    desk.slurm("scancel", "--signal=USR2", job)


def told_by_term(desk: Desk, job: str) -> None:
    desk.slurm("scancel", "--signal=TERM", job)


def queued_again(desk: Desk, job: str) -> None:
    desk.slurm("scontrol", "requeue", job)


@pytest.mark.parametrize(
    "disturb", [pushed_out, told_by_usr2, told_by_term, queued_again], ids=lambda it: str(it.__name__)
)
def test_a_training_that_is_stopped_goes_on_by_itself_to_the_same_weights(
    desk: Desk, undisturbed: str, disturb: Callable[[Desk, str], None]
) -> None:
    out = disturb.__name__
    name = begun(desk, out, "--gpus", 2, "--nodes", 2)
    until(lambda: steps(desk, out) >= 6)
    disturb(desk, desk.job(name, out)["where"].split()[0])
    desk.wait(name, out)
    state = desk.state(name, out)
    assert [start["ended"] for start in state["starts"]] == ["stopped", "done"]
    assert 6 <= state["starts"][1]["reached"] < STEPS
    assert weights(desk, out) == weights(desk, undisturbed)
    assert losses(desk, out) == pytest.approx(losses(desk, undisturbed), rel=1e-9)
    shutil.rmtree(desk.folder / out)


def test_two_trainings_that_share_their_nodes_do_not_meet_each_other(desk: Desk, crowds: Path) -> None:
    short = ("--epochs", 1, "--no-evaluate", "--validate-on", "none", "--gpus", 2, "--nodes", 2)
    names = [begun(desk, "side-by-side", *short, "--seed", seed) for seed in (0, 1)]
    for name in names:
        desk.wait(name, "side-by-side")
    starts = [desk.state(name, "side-by-side")["starts"][0] for name in names]
    ends = [desk.state(name, "side-by-side")["finished"] for name in names]
    assert starts[1]["at"] < ends[0]  # they were there at the same time
    records = [
        json.loads(path.read_text())
        for path in (desk.folder / "side-by-side").glob("synthcrowd-train/hrnet-tiny/*/training.json")
    ]
    assert [(record["processes"], record["state"]) for record in records] == [(2, "done")] * 2
    assert {record["seed"] for record in records} == {0, 1}
    assert not list((desk.folder / "side-by-side").rglob(".meeting-*"))


def tasks_of(desk: Desk, out: str) -> list[int]:
    """The processes that compute for the jobs of a folder of runs."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # it has ended
        folder = f"{desk.folder / out}/jobs/".encode()
        if words[2:4] == [b"-m", b"submitit.core._submit"] and words[4].startswith(folder):
            found.append(int(process.name))
    return found


def test_a_node_that_slurm_loses_sight_of_does_not_write_beside_its_successor(
    desk: Desk, undisturbed: str, pid_file: Callable[[str], Path], cluster_up: Callable[[], None]
) -> None:
    # On one node, so that the other one can take it over while the first goes on.
    out = "lost-node"
    name = begun(desk, out, "--gpus", 2, "--nodes", 1)
    until(lambda: steps(desk, out) >= 6)
    number, lost = desk.job(name, out)["where"].split()
    old = tasks_of(desk, out)
    assert len(old) == 2
    # The daemon dies, and the processes that it has started hang, as on a node whose disk does not answer:
    # otherwise they would be through before Slurm misses the node.
    os.kill(int(pid_file(lost).read_text()), signal.SIGKILL)
    for pid in old:
        os.kill(pid, signal.SIGSTOP)
    other = {"node1": "node2", "node2": "node1"}[lost]
    until(lambda: desk.slurm("squeue", "-h", "-j", number, "-o", "%T %N").split() == ["RUNNING", other])
    until(lambda: set(tasks_of(desk, out)) > set(old))
    for pid in old:
        os.kill(pid, signal.SIGCONT)
    desk.wait(name, out)
    until(lambda: not set(tasks_of(desk, out)) & set(old))
    cluster_up()
    state = desk.state(name, out)
    assert [start["node"] for start in state["starts"]] == [lost, other]
    assert losses(desk, out) == pytest.approx(losses(desk, undisturbed), rel=1e-9)
    assert weights(desk, out) == weights(desk, undisturbed)


def test_a_training_does_not_notice_that_the_controller_was_away(
    desk: Desk, undisturbed: str, pid_file: Callable[[str], Path], cluster_up: Callable[[], None]
) -> None:
    out = "no-controller"
    name = begun(desk, out, "--gpus", 2, "--nodes", 2)
    until(lambda: steps(desk, out) >= 6)
    os.kill(int(pid_file("slurmctld").read_text()), signal.SIGKILL)
    away = desk.crowdbench("status", "--out", out)
    assert away.returncode == 0
    assert "running" in away.stdout
    assert "squeue failed" in away.stderr
    cluster_up()
    desk.wait(name, out)
    assert len(desk.state(name, out)["starts"]) == 1
    assert weights(desk, out) == weights(desk, undisturbed)
