"""A method that fails as it is told, for tests of what becomes of work that fails."""

import errno
import os
import signal
from collections.abc import Callable
from typing import Any

from torch import nn

from crowdbench.api.types import Pose
from crowdbench.errors import MachineError, SettingsError, SupersededError
from support.methods.toy import ToyNetwork

FAILURES: dict[str, Callable[[], BaseException]] = {
    "disk": lambda: OSError(errno.ENOSPC, "No space left on device"),
    "memory": MemoryError,
    "node": lambda: MachineError("the node is on fire.\nCall somebody."),
    "gpu": lambda: RuntimeError("CUDA error: an illegal memory access was encountered\nmore"),
    "network": lambda: RuntimeError("[../gloo/transport/tcp/pair.cc:534] Connection closed by peer"),
    "input": lambda: SettingsError("scale must be positive.\nChoose another."),
    "bug": lambda: ZeroDivisionError("division by zero"),
    "other": lambda: RuntimeError("shapes do not match"),
    "taken": lambda: SupersededError("somebody else has it."),
}


class FailingToy(ToyNetwork):
    """Fails as ``TOY_FAILS`` says: as in ``disk:2``, in this way, after so many batches of this process.

    With several processes ``disk:2@1`` is for the one of that rank alone.
    """

    def predict(self, network: nn.Module, batch: Any) -> list[list[Pose]]:
        told, _, rank = os.environ.get("TOY_FAILS", "").partition("@")
        way, _, after = told.partition(":")
        if rank and rank != os.environ["RANK"]:
            way = ""
        self.batches = getattr(self, "batches", 0) + 1
        if way and self.batches > int(after):
            if way == "signal":
                os.kill(os.getpid(), signal.SIGTERM)
            elif way == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            else:
                raise FAILURES[way]()
        return super().predict(network, batch)
