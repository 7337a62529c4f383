"""What Slurm says, and what we say of it. The only program that is asked is a pretended `sinfo`."""

from pathlib import Path

import pytest

from crowdbench_slurm.messages import refusal, seen
from crowdbench_slurm.slurm_cli import Line


def programs(folder: Path, *, partitions: str) -> None:
    """Slurm's programs, of which only `sinfo` is of any use."""
    for name in ("sbatch", "srun", "squeue"):
        (folder / name).write_text("#!/bin/sh\nexit 1\n")
    (folder / "sinfo").write_text(f"#!/bin/sh\nprintf '{partitions}'\n")
    for path in folder.iterdir():
        path.chmod(0o755)


@pytest.fixture(autouse=True)
def no_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of Slurm's programs there is none, but those that are put into this folder."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


# In the words of Slurm 22.05 to 25.05, src/common/slurm_errno.c.
@pytest.mark.parametrize(
    ("said", "advice"),
    [
        pytest.param(
            "sbatch: error: Batch job submission failed: Requested time limit is invalid "
            "(missing or exceeds some limit)",
            "Set a shorter `time` in the profile mine",
            id="time",
        ),
        pytest.param(
            "sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified",
            "Set `account` in the profile mine",
            id="account",
        ),
        pytest.param(
            "sbatch: error: Batch job submission failed: Invalid qos specification",
            "Set another `qos` in the profile mine",
            id="qos",
        ),
        pytest.param(
            "sbatch: error: Batch job submission failed: Invalid feature specification",
            "`constraint`",
            id="feature",
        ),
        pytest.param(
            "sbatch: error: Batch job submission failed: Requested node configuration is not available",
            "--gpus, --nodes, and `gpus_per_node`",
            id="too much",
        ),
        pytest.param(
            "sbatch: error: Invalid generic resource (gres) specification", "`gpu_type`", id="no such gpus"
        ),
        pytest.param(
            "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)",
            "try again later",
            id="no controller",
        ),
        pytest.param(
            "sbatch: error: QOSMaxGRESPerJob\nsbatch: error: Batch job submission failed: Job violates "
            "accounting/QOS policy (job submit limit, user's size and/or time limits)",
            "ask for fewer --gpus",
            id="a limit with its name",
        ),
        pytest.param(
            "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit "
            "limit, user's size and/or time limits)",
            "has a limit that the job exceeds",
            id="some limit",
        ),
        pytest.param(
            "sbatch: error: Batch job submission failed: The moon is full",
            "docs/slurm.md",
            id="anything else",
        ),
    ],
)
def test_a_refusal_has_slurms_words_and_what_to_do(said: str, advice: str) -> None:
    text = refusal(f"Traceback of somebody\n{said}\n", "mine")
    first, *rest = text.splitlines()
    words = "; ".join(line.removeprefix("sbatch: error: ") for line in said.splitlines())
    assert first == f"Slurm does not take the job: {words}"
    assert advice in "\n".join(rest)
    assert "Traceback" not in text


def test_an_unknown_partition_is_answered_with_those_that_there_are(no_slurm: Path) -> None:
    said = (
        "sbatch: error: invalid partition specified: nope\n"
        "sbatch: error: Batch job submission failed: Invalid partition name specified\n"
    )
    assert "There are: ask `sinfo`. Set `partition` in the profile mine." in refusal(said, "mine")
    programs(no_slurm, partitions=r"gpu\ncpu\ngpu\n")
    text = refusal(said, "mine")
    assert "invalid partition specified: nope; Batch job submission failed" in text
    assert text.endswith("There are: cpu, gpu. Set `partition` in the profile mine.")


def test_words_that_are_not_sbatchs_are_passed_on_whole() -> None:
    assert refusal("no such command\n", "mine").startswith("Slurm does not take the job: no such command\n")


@pytest.mark.parametrize("state", ["PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT", "SUSPENDED"])
def test_what_will_run_or_go_on_waits(state: str) -> None:
    assert seen(Line("1", state, 0, "Priority", "")).state == "waiting"


@pytest.mark.parametrize("state", ["RUNNING", "CONFIGURING", "COMPLETING"])
def test_what_has_a_node_runs_on_it(state: str) -> None:
    found = seen(Line("1", state, 0, "None", "node[1-2]"))
    assert (found.state, found.node, found.reason) == ("running", "node[1-2]", "")


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("COMPLETED", "it ended"),
        ("FAILED", "it failed"),
        ("TIMEOUT", "set a longer `time`"),
        ("OUT_OF_MEMORY", "raise `memory`"),
        ("NODE_FAIL", "the node failed"),
        ("PREEMPTED", "another job took its place"),
        ("CANCELLED", "cancelled"),
        ("CANCELLED by 1000", "cancelled"),
        ("REVOKED", "revoked"),  # a state that we have no words for
    ],
)
def test_what_has_ended_says_how(state: str, words: str) -> None:
    found = seen(Line("1", state, 0, "None", "node1"))
    assert (found.state, found.node) == ("ended", "node1")
    assert words in found.reason


@pytest.mark.parametrize(
    ("reason", "words", "hopeless"),
    [
        ("Resources", "nothing is free", False),
        ("(Priority)", "others come first", False),
        ("JobArrayTaskLimit", "as many of the sweep run as may", False),
        ("ReqNodeNotAvail, UnavailableNodes:node[1-2]", "nodes it needs are down or reserved", False),
        ("BeginTime", "starts again in a moment", False),
        ("QOSMaxJobsPerUserLimit", "as many jobs run as you may have", False),
        ("SomethingNew", "SomethingNew", False),
        ("PartitionTimeLimit", "set a shorter `time`", True),
        ("QOSMaxGRESPerJob", "ask for fewer --gpus", True),
        ("BadConstraints", "`constraint`", True),
        ("DependencyNeverSatisfied", "depends on a job that failed", True),
    ],
)
def test_what_waits_says_why_and_whether_there_is_hope(reason: str, words: str, hopeless: bool) -> None:
    found = seen(Line("1", "PENDING", 0, reason, ""))
    assert words in found.reason
    assert found.reason.startswith(reason.strip("()").split(",")[0])
    assert found.never_starts == hopeless
