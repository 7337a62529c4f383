"""Which of how many processes this is, and how much of the machine it may use."""

import os
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from crowdbench.errors import SettingsError
from crowdbench.system.devices import device_of
from crowdbench.system.distributed import ProcessInfo, available_cpus, from_environment, launch_id

SRUN = {"SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "4", "SLURM_LOCALID": "1"}
TORCHRUN = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}
HERE = len(os.sched_getaffinity(0))


def test_torchrun_is_believed_inside_a_step_of_several_tasks() -> None:
    assert from_environment({**SRUN, **TORCHRUN, "TORCHELASTIC_RUN_ID": "a"}) == ProcessInfo(1, 2, 1)
    assert from_environment(SRUN) == ProcessInfo(3, 4, 1)
    assert not from_environment(SRUN).is_main
    assert from_environment({}).is_main


def test_variables_copied_from_the_step_by_hand_are_believed() -> None:
    copied = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1"}
    assert from_environment({**SRUN, **copied}) == ProcessInfo(3, 4, 1)


@pytest.mark.parametrize("left_over", [TORCHRUN, {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}])
def test_left_over_variables_do_not_make_every_task_the_same_process(left_over: dict[str, str]) -> None:
    with pytest.raises(
        SettingsError, match=r"(?s)Slurm that it is task 4 of 4.*unset RANK, WORLD_SIZE, LOCAL"
    ):
        from_environment({**SRUN, **left_over})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("SLURM_CPUS_PER_TASK", "many"),
        ("SLURM_CPUS_PER_TASK", "0"),
        ("LOCAL_WORLD_SIZE", "0"),
        ("LOCAL_WORLD_SIZE", "two"),
        ("SLURM_STEP_TASKS_PER_NODE", "x(2)"),
    ],
)
def test_a_malformed_number_of_processes_is_named(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=name):
        available_cpus({name: text}, ProcessInfo(0, 2, 0))


@given(st.integers(-2, 5), st.integers(-2, 5), st.integers(-2, 5))
def test_a_place_is_one_that_exists(rank: int, count: int, local: int) -> None:
    environment = {"RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_RANK": str(local)}
    if 0 <= local <= rank < count:
        assert from_environment(environment) == ProcessInfo(rank, count, local)
    else:
        with pytest.raises(SettingsError, match="RANK, WORLD_SIZE, LOCAL_RANK"):
            from_environment(environment)


def test_a_step_that_does_not_say_which_task_this_is_is_refused() -> None:
    with pytest.raises(SettingsError, match="SLURM_PROCID, SLURM_STEP_NUM_TASKS, SLURM_LOCALID"):
        from_environment({"SLURM_STEP_NUM_TASKS": "2"})


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"SLURM_JOB_ID": "8"}, id="another job"),
        pytest.param({"SLURM_STEP_ID": "1"}, id="another step"),
        pytest.param({"SLURM_RESTART_COUNT": "1"}, id="a later start"),
        pytest.param({"TORCHELASTIC_RUN_ID": "a", "MASTER_PORT": "1"}, id="torchrun within"),
    ],
)
def test_another_start_has_another_name(changed: dict[str, str]) -> None:
    step = {"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0"}
    assert launch_id({**step, **SRUN}) == launch_id({**step, "SLURM_PROCID": "0"})
    assert launch_id({**step, **changed}) != launch_id(step)


def test_each_start_of_torchrun_has_a_name_of_its_own_that_may_be_a_files() -> None:
    one = {"TORCHELASTIC_RUN_ID": "a/b", "MASTER_PORT": "29500", "TORCHELASTIC_RESTART_COUNT": "0"}
    assert launch_id({**one, **TORCHRUN}) == launch_id({**one, "RANK": "0"})
    assert len({launch_id({**one, name: "9"}) for name in one} | {launch_id(one)}) == 4
    assert "/" not in launch_id(one)


@pytest.mark.parametrize(
    ("environment", "place", "expected"),
    [
        pytest.param({}, ProcessInfo(), HERE, id="alone"),
        pytest.param({"SLURM_CPUS_PER_TASK": "1"}, ProcessInfo(), HERE, id="alone in an allocation"),
        pytest.param({"SLURM_CPUS_PER_TASK": "1"}, ProcessInfo(0, 2, 0), 1, id="as Slurm says"),
        pytest.param({"SLURM_CPUS_PER_TASK": "999"}, ProcessInfo(0, 2, 0), HERE, id="no more than there are"),
        pytest.param({"LOCAL_WORLD_SIZE": "2"}, ProcessInfo(0, 4, 0), max(1, HERE // 2), id="torchrun"),
        pytest.param(
            {"LOCAL_WORLD_SIZE": "1", "SLURM_CPUS_PER_TASK": "1"},
            ProcessInfo(0, 2, 0),
            HERE,
            id="torchrun in Slurm",
        ),
        pytest.param(
            {"LOCAL_WORLD_SIZE": "999"}, ProcessInfo(0, 999, 0), 1, id="more processes than processors"
        ),
        pytest.param(
            {"SLURM_STEP_TASKS_PER_NODE": "2(x3),1"}, ProcessInfo(0, 7, 0), max(1, HERE // 2), id="srun"
        ),
    ],
)
def test_processes_of_one_machine_share_its_processors(
    environment: dict[str, str], place: ProcessInfo, expected: int
) -> None:
    assert available_cpus(environment, place) == expected


def test_without_gpus_every_process_computes_on_the_processor() -> None:
    assert device_of("cpu", ProcessInfo(1, 2, 1)) == torch.device("cpu")


def test_a_job_that_was_given_gpus_and_sees_none_does_not_compute_on_processors() -> None:
    code = (
        "from crowdbench.system.job_context import CurrentJob, export\n"
        "from crowdbench.system.devices import device_of\n"
        "from crowdbench.system.distributed import ProcessInfo\n"
        "export(CurrentJob('queue', '7', node='node3', gpus=2))\n"
        "print(device_of('cpu', ProcessInfo()))\n"
        "device_of('auto', ProcessInfo())\n"
    )
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout == "cpu\n"
    assert "MachineError: the job was given 2 GPUs" in done.stderr
    assert "sees none on node3" in done.stderr
