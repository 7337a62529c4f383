"""The processes of one training, as started by `torchrun` or Slurm's `srun`.

The network's tensors are exchanged by the fastest backend (NCCL between GPUs). The few numbers per step that
the training loop has to agree on go through the CPUs (gloo) and stall no GPU.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crowdbench.errors import CrowdbenchError, MachineError, RunError
from crowdbench.system.distributed import ProcessInfo
from crowdbench.training.rendezvous import rendezvous_store

if TYPE_CHECKING:
    import torch
    from torch.distributed import ProcessGroup

# The others may be writing a checkpoint to a slow disk.
TIMEOUT = timedelta(minutes=30)


class Collectives:
    """Collective operations of a training's processes; without effect in a single process.

    Args:
        process: this process.
        device: the device of this process.
        control: the group for the training loop's numbers; None with one process.

    Attributes:
        rank: of this process.
        world_size: the number of processes.
        is_main: whether this process writes the files.
    """

    def __init__(
        self, process: ProcessInfo, device: "torch.device", control: "ProcessGroup | None" = None
    ) -> None:
        self.rank = process.rank
        self.world_size = process.world_size
        self.is_main = process.is_main
        self.device = device
        self._control = control

    def all_reduce_sum(self, *numbers: float) -> list[float]:
        """The sum of each number over all processes."""
        if self._control is None:
            return list(numbers)
        import torch
        from torch import distributed

        total = torch.tensor(numbers, dtype=torch.float64)
        distributed.all_reduce(total, group=self._control)
        return [float(number) for number in total]

    def gather(self, value: Any) -> list[Any] | None:
        """The values of all processes, in the first one; None in the others."""
        if self._control is None:
            return [value]
        from torch import distributed

        found: list[Any] | None = [None] * self.world_size if self.is_main else None
        distributed.gather_object(value, found, dst=0, group=self._control)
        return found

    def broadcast(self, value: Any) -> Any:
        """The first process's value."""
        if self._control is None:
            return value
        from torch import distributed

        content = [value]
        distributed.broadcast_object_list(content, src=0, group=self._control)
        return content[0]

    def keep_waiting(self) -> None:
        """Keep the other processes, which are in `raise_on_all`, waiting for the first one."""
        self.broadcast(_WAIT)

    def raise_on_all(self, error: CrowdbenchError | None) -> None:
        """Raise an error of the first process in all processes, which would otherwise wait for it.

        As long as the first process itself has to wait, it calls `keep_waiting` for those that are here.

        Raises:
            CrowdbenchError: the first process has an error.
        """
        received = self.broadcast((type(error).__name__, str(error)) if error is not None else None)
        if error is not None:
            raise error
        while received == _WAIT:
            received = self.broadcast(None)
        if received is not None:
            raise RunError(f"the first process ended with {received[0]}: {received[1]}")


_WAIT = "wait"


@contextmanager
def process_group(process: ProcessInfo, device: "torch.device", folder: Path) -> Iterator[Collectives]:
    """Join the process group of the training, and leave it at the end.

    Args:
        process: this process.
        device: the device of this process.
        folder: a folder that all processes see, for the rendezvous if the launcher sets no address.

    Raises:
        MachineError: the other processes cannot be reached.
    """
    if process.world_size == 1:
        yield Collectives(process, device)
        return
    from torch import distributed

    has_address = "MASTER_ADDR" in os.environ and "MASTER_PORT" in os.environ
    try:
        distributed.init_process_group(
            "nccl" if device.type == "cuda" else "gloo",
            timeout=TIMEOUT,
            store=None if has_address else rendezvous_store(folder, process),
            rank=process.rank,
            world_size=process.world_size,
            device_id=device if device.type == "cuda" else None,
        )
        control = distributed.new_group(backend="gloo", timeout=TIMEOUT)
    except (RuntimeError, ValueError) as error:
        where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}" if has_address else str(folder)
        raise MachineError(
            f"process {process.rank} of {process.world_size} cannot reach the others at {where} ({error}).\n"
            "All processes must be running, and their nodes must reach each other."
        ) from error
    try:
        yield Collectives(process, device, control)
    finally:
        distributed.destroy_process_group()
