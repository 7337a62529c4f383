"""The processes of one training, as a launcher started them: `torchrun`, or Slurm's `srun`.

Tensors that the network exchanges go through the fastest way there is (NCCL between GPUs); what the loop
itself has to agree on, a few numbers a step, goes through the processors (gloo) and stalls no GPU.
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

# A process waits so long for the others, who may be writing a checkpoint to a slow disk.
PATIENCE = timedelta(minutes=30)


class Collectives:
    """What the processes of a training do together; with one, nothing.

    Args:
        place: this process.
        device: where this process computes.
        control: the group for the loop's own numbers; None with one process.
    """

    def __init__(
        self, place: ProcessInfo, device: "torch.device", control: "ProcessGroup | None" = None
    ) -> None:
        self.place = place
        self.device = device
        self._control = control

    @property
    def rank(self) -> int:
        """Of this process."""
        return self.place.rank

    @property
    def world_size(self) -> int:
        """Of all processes."""
        return self.place.world_size

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files."""
        return self.place.rank == 0

    def all_reduce_sum(self, *numbers: float) -> list[float]:
        """Each number, added over all processes."""
        if self._control is None:
            return list(numbers)
        import torch
        from torch import distributed

        total = torch.tensor(numbers, dtype=torch.float64)
        distributed.all_reduce(total, group=self._control)
        return [float(number) for number in total]

    def gather(self, value: Any) -> list[Any] | None:
        """The values of all processes in the first one; None in the others."""
        if self._control is None:
            return [value]
        from torch import distributed

        found: list[Any] | None = [None] * self.world_size if self.is_main else None
        distributed.gather_object(value, found, dst=0, group=self._control)
        return found

    def broadcast(self, value: Any) -> Any:
        """The first process's value, in all of them."""
        if self._control is None:
            return value
        from torch import distributed

        content = [value]
        distributed.broadcast_object_list(content, src=0, group=self._control)
        return content[0]

    def keep_waiting(self) -> None:
        """Tell the other processes, which are at `agreed`, that the first one is not there yet."""
        self.broadcast(_WAIT)

    def raise_on_all(self, error: CrowdbenchError | None) -> None:
        """Let an error of the first process be everybody's: the others would wait for it in vain.

        While the first one waits for something, it may `keep_waiting` those that are here already.

        Raises:
            CrowdbenchError: the first process has one.
        """
        told = self.broadcast((type(error).__name__, str(error)) if error is not None else None)
        if error is not None:
            raise error
        while told == _WAIT:
            told = self.broadcast(None)
        if told is not None:
            raise RunError(f"the first process has ended with {told[0]}: {told[1]}")


_WAIT = "wait"


@contextmanager
def process_group(place: ProcessInfo, device: "torch.device", meeting: Path) -> Iterator[Collectives]:
    """Find the other processes, and leave them at the end.

    Args:
        place: of this process.
        device: where it computes.
        meeting: a folder that all processes see; used where the launcher has not said where to meet.

    Raises:
        MachineError: they cannot be found.
    """
    if place.world_size == 1:
        yield Collectives(place, device)
        return
    from torch import distributed

    told = "MASTER_ADDR" in os.environ and "MASTER_PORT" in os.environ
    try:
        distributed.init_process_group(
            "nccl" if device.type == "cuda" else "gloo",
            timeout=PATIENCE,
            store=None if told else rendezvous_store(meeting, place),
            rank=place.rank,
            world_size=place.world_size,
            device_id=device if device.type == "cuda" else None,
        )
        control = distributed.new_group(backend="gloo", timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}" if told else str(meeting)
        raise MachineError(
            f"process {place.rank} of {place.world_size} cannot find the others at {where} ({error})."
        ) from error
    try:
        yield Collectives(place, device, control)
    finally:
        distributed.destroy_process_group()
