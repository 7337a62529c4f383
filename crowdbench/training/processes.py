"""The processes of one training, as a launcher started them: `torchrun`, or Slurm's `srun`.

Tensors that the network exchanges go through the fastest way there is (NCCL between GPUs); what the loop
itself has to agree on, a few numbers a step, goes through the processors (gloo) and stalls no GPU.
"""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from crowdbench.errors import RunError, SettingsError

if TYPE_CHECKING:
    import torch
    from torch.distributed import ProcessGroup

# A process waits so long for the others, who may be writing a checkpoint to a slow disk.
PATIENCE = timedelta(minutes=30)
_FIRST_PORT, _PORTS = 20_000, 20_000


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


def place_in(environment: Mapping[str, str]) -> Place:
    """Read the variables that launchers set: torchrun's, else those of a Slurm step with several tasks.

    Raises:
        SettingsError: they contradict each other.
    """
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    if "WORLD_SIZE" not in environment and int(environment.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        names = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID")
    if names[1] not in environment:
        return Place()
    try:
        rank, count, local = (int(environment[name]) for name in names)
        if not 0 <= local <= rank < count:
            raise ValueError(f"{rank} of {count}, {local} on this machine")
    except (KeyError, ValueError) as error:
        raise SettingsError(
            f"the launcher's variables {', '.join(names)} do not say which process this is ({error}).\n"
            "Start with torchrun or srun, or unset them to train in one process."
        ) from None
    return Place(rank, count, local)


class Processes:
    """What the processes of a training do together; with one, nothing.

    Args:
        place: this process.
        device: where this process computes.
        control: the group for the loop's own numbers; None with one process.
    """

    def __init__(self, place: Place, device: "torch.device", control: "ProcessGroup | None" = None) -> None:
        self.place = place
        self.device = device
        self._control = control

    @property
    def rank(self) -> int:
        """Of this process."""
        return self.place.rank

    @property
    def count(self) -> int:
        """Of all processes."""
        return self.place.count

    @property
    def is_first(self) -> bool:
        """Whether this process writes the files."""
        return self.place.rank == 0

    def sums(self, *numbers: float) -> list[float]:
        """Each number, added over all processes."""
        if self._control is None:
            return list(numbers)
        import torch
        from torch import distributed

        total = torch.tensor(numbers, dtype=torch.float64)
        distributed.all_reduce(total, group=self._control)
        return [float(number) for number in total]

    def gathered(self, value: Any) -> list[Any] | None:
        """The values of all processes in the first one; None in the others."""
        if self._control is None:
            return [value]
        from torch import distributed

        found: list[Any] | None = [None] * self.count if self.is_first else None
        distributed.gather_object(value, found, dst=0, group=self._control)
        return found

    def told(self, value: Any) -> Any:
        """The first process's value, in all of them."""
        if self._control is None:
            return value
        from torch import distributed

        content = [value]
        distributed.broadcast_object_list(content, src=0, group=self._control)
        return content[0]


@contextmanager
def joined(place: Place, device: "torch.device") -> Iterator[Processes]:
    """Find the other processes, and leave them at the end.

    Raises:
        RunError: they cannot be found.
    """
    if place.count == 1:
        yield Processes(place, device)
        return
    from torch import distributed

    _find_first(os.environ)
    os.environ.setdefault("RANK", str(place.rank))
    os.environ.setdefault("WORLD_SIZE", str(place.count))
    try:
        distributed.init_process_group(
            "nccl" if device.type == "cuda" else "gloo",
            timeout=PATIENCE,
            device_id=device if device.type == "cuda" else None,
        )
        control = distributed.new_group(backend="gloo", timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise RunError(
            f"process {place.rank} of {place.count} cannot find the others at "
            f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')} ({error})."
        ) from error
    try:
        yield Processes(place, device, control)
    finally:
        distributed.destroy_process_group()


def _find_first(environment: "os._Environ[str]") -> None:
    """Where the first process listens: torchrun says so; under Slurm it follows from the job."""
    if "MASTER_ADDR" not in environment:
        nodes = environment.get("SLURM_STEP_NODELIST") or environment.get("SLURM_JOB_NODELIST", "localhost")
        environment["MASTER_ADDR"] = _first_host(nodes)
    if "MASTER_PORT" not in environment:
        job = int(environment.get("SLURM_JOB_ID", "0"))
        environment["MASTER_PORT"] = str(_FIRST_PORT + job % _PORTS)


def _first_host(nodes: str) -> str:
    if "[" not in nodes:
        return nodes.split(",", maxsplit=1)[0]
    command = ["scontrol", "show", "hostnames", nodes]
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise RunError(
            f"cannot tell the first of the nodes {nodes} ({error}).\n"
            "Set MASTER_ADDR to the host of the first process."
        ) from error
    return done.stdout.split()[0]
