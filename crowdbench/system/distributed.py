"""Rank and world size of this process, as set by `torchrun` or Slurm's `srun`."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from crowdbench.errors import SettingsError
from crowdbench.system.job_environment import count_in


@dataclass(frozen=True)
class ProcessInfo:
    """The position of this process in its group.

    Attributes:
        rank: 0 for the process that writes files.
        world_size: the number of processes on all machines.
        local_rank: the rank on this machine; the GPU's number.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0

    @property
    def is_main(self) -> bool:
        """Whether this process speaks for all."""
        return self.rank == 0


TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
SRUN = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID")


def from_environment(environment: Mapping[str, str]) -> ProcessInfo:
    """Read the variables of torchrun or of a Slurm step; raises SettingsError if they are contradictory."""
    step = _place_said_by(SRUN, environment) if _tasks(environment) > 1 else None
    if "WORLD_SIZE" not in environment:
        return step or ProcessInfo()
    place = _place_said_by(TORCHRUN, environment)
    # torchrun sets this one too. Without it, the variables may be left over from elsewhere, and each
    # task of a step would take itself for the same process.
    if step is not None and step != place and "TORCHELASTIC_RUN_ID" not in environment:
        raise SettingsError(
            f"WORLD_SIZE says that this is process {place.rank + 1} of {place.world_size}, Slurm that it is "
            f"task {step.rank + 1} of {step.world_size}.\n"
            f"Unless both are set to the same, unset {', '.join(TORCHRUN)}, or start with torchrun."
        )
    return place


def _tasks(environment: Mapping[str, str]) -> int:
    return count_in(environment, "SLURM_STEP_NUM_TASKS", 1, least=1)


def _place_said_by(names: tuple[str, str, str], environment: Mapping[str, str]) -> ProcessInfo:
    try:
        rank, count, local = (count_in(environment, name) for name in names)
        if not local <= rank < count:
            raise SettingsError(f"{names[0]}={rank}, {names[1]}={count}, {names[2]}={local}")
    except SettingsError as error:
        said = str(error).splitlines()[0].removesuffix(".")
        raise SettingsError(
            f"the launcher's variables {', '.join(names)} do not say which process this is ({said}).\n"
            "Start with torchrun or srun, or unset them to compute in one process."
        ) from None
    return ProcessInfo(rank, count, local)


def launch_id(environment: Mapping[str, str]) -> str:
    """Names these very processes, the same in each; those of another start have another name."""
    slurm = ("SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_RESTART_COUNT")
    torchrun = ("TORCHELASTIC_RUN_ID", "MASTER_PORT", "TORCHELASTIC_RESTART_COUNT")
    names = torchrun if "TORCHELASTIC_RUN_ID" in environment else slurm
    one_machine = environment.get("LOCAL_WORLD_SIZE") == environment.get("WORLD_SIZE")
    if one_machine and environment.get("TORCHELASTIC_RUN_ID") == "none":
        # torchrun calls every start the same; its own process is another each time.
        return f"torchrun-{os.getppid()}"
    return "-".join(environment.get(name, "0").replace("/", "_") for name in names)


def available_cpus(environment: Mapping[str, str], place: ProcessInfo) -> int:
    """How many CPUs this process may use, beside the others on this machine."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if place.world_size == 1:
        return available
    if "SLURM_CPUS_PER_TASK" in environment and "LOCAL_WORLD_SIZE" not in environment:
        return min(available, count_in(environment, "SLURM_CPUS_PER_TASK", least=1))
    return max(1, available // _processes_here(environment))


def _processes_here(environment: Mapping[str, str]) -> int:
    if "LOCAL_WORLD_SIZE" in environment:
        return count_in(environment, "LOCAL_WORLD_SIZE", least=1)
    # As in "2(x3),1": tasks on each node; nodes have equally many unless the user asked otherwise.
    name = "SLURM_STEP_TASKS_PER_NODE"
    first = environment.get(name, "").split(",", maxsplit=1)[0].split("(", maxsplit=1)[0]
    return count_in({name: first}, name, 1, least=1)
