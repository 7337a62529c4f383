"""Which of how many processes this is, as whatever started them says: `torchrun`, or Slurm's `srun`."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crowdbench.errors import MachineError, SettingsError
from crowdbench.system import environment as machine
from crowdbench.system.counts import count_in
from crowdbench.system.job_context import current_job

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Place:
    """Which of how many processes this is.

    Attributes:
        rank: 0 is the one that writes files.
        count: of all machines.
        local_rank: on this machine; the GPU's number.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0

    @property
    def is_first(self) -> bool:
        """Whether this process speaks for all."""
        return self.rank == 0


TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
SRUN = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID")


def place_in(environment: Mapping[str, str]) -> Place:
    """Read the variables that launchers set: torchrun's, else those of a Slurm step with several tasks.

    Raises:
        SettingsError: they are not numbers, or contradict each other.
    """
    step = _place_said_by(SRUN, environment) if _tasks(environment) > 1 else None
    if "WORLD_SIZE" not in environment:
        return step or Place()
    place = _place_said_by(TORCHRUN, environment)
    # torchrun sets this one too. Without it, the variables may be left over from elsewhere, and each
    # task of a step would take itself for the same process.
    if step is not None and step != place and "TORCHELASTIC_RUN_ID" not in environment:
        raise SettingsError(
            f"WORLD_SIZE says that this is process {place.rank + 1} of {place.count}, Slurm that it is task "
            f"{step.rank + 1} of {step.count}.\n"
            f"Unless both are set to the same, unset {', '.join(TORCHRUN)}, or start with torchrun."
        )
    return place


def _tasks(environment: Mapping[str, str]) -> int:
    return count_in(environment, "SLURM_STEP_NUM_TASKS", 1, least=1)


def _place_said_by(names: tuple[str, str, str], environment: Mapping[str, str]) -> Place:
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
    return Place(rank, count, local)


def start_name(environment: Mapping[str, str]) -> str:
    """Names these very processes, the same in each; those of another start have another name."""
    slurm = ("SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_RESTART_COUNT")
    torchrun = ("TORCHELASTIC_RUN_ID", "MASTER_PORT", "TORCHELASTIC_RESTART_COUNT")
    names = torchrun if "TORCHELASTIC_RUN_ID" in environment else slurm
    one_machine = environment.get("LOCAL_WORLD_SIZE") == environment.get("WORLD_SIZE")
    if one_machine and environment.get("TORCHELASTIC_RUN_ID") == "none":
        # torchrun calls every start the same; its own process is another each time.
        return f"torchrun-{os.getppid()}"
    return "-".join(environment.get(name, "0").replace("/", "_") for name in names)


def processors(environment: Mapping[str, str], place: Place) -> int:
    """How many processors this process may use, beside the others on this machine."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if place.count == 1:
        return available
    if "SLURM_CPUS_PER_TASK" in environment and "LOCAL_WORLD_SIZE" not in environment:
        return min(available, count_in(environment, "SLURM_CPUS_PER_TASK", least=1))
    return max(1, available // _processes_here(environment))


def _processes_here(environment: Mapping[str, str]) -> int:
    if "LOCAL_WORLD_SIZE" in environment:
        return count_in(environment, "LOCAL_WORLD_SIZE", least=1)
    # As in "2(x3),1": tasks on each node; nodes have equally many unless somebody asked otherwise.
    name = "SLURM_STEP_TASKS_PER_NODE"
    first = environment.get(name, "").split(",", maxsplit=1)[0].split("(", maxsplit=1)[0]
    return count_in({name: first}, name, 1, least=1)


def device_of(name: str, place: Place) -> "torch.device":
    """The device of this process: each process of a machine has its own GPU.

    Args:
        name: ``"auto"``, ``"cpu"``, ``"cuda"``, ...
        place: of this process.

    Raises:
        SettingsError: no such device here, or fewer GPUs than processes.
        MachineError: the job was given GPUs, and there are none to be seen.
    """
    import torch

    target = machine.pick_device(name)
    job = current_job()
    if name == "auto" and job is not None and job.gpus and target.type != "cuda":
        raise MachineError(
            f"the job was given {job.gpus} GPUs, and PyTorch {torch.__version__} sees none on {job.node}.\n"
            "Its driver may be broken, or PyTorch is a build without CUDA. To compute on processors all the "
            'same, set device = "cpu" in the profile, or say --device cpu.'
        )
    if target.type != "cuda" or place.count == 1:
        return target
    found = torch.cuda.device_count()
    # One that was given to this process alone is its only one.
    number = 0 if found == 1 and _has_a_gpu_to_itself(os.environ) else place.local_rank
    if number >= found:
        raise SettingsError(
            f"process {place.local_rank + 1} on this machine finds {found} GPUs.\n"
            "Start as many processes as there are GPUs."
        )
    own = torch.device("cuda", number)
    torch.cuda.set_device(own)
    return own


def _has_a_gpu_to_itself(environment: Mapping[str, str]) -> bool:
    return "SLURM_GPUS_PER_TASK" in environment
