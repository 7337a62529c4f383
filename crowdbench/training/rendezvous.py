"""How the processes of a Slurm step find each other: the first one writes its address to a file.

A port that is derived from the job's id may be in use by another job or program; a port that the system has
just assigned is free.
"""

import os
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from crowdbench.errors import DataError, MachineError
from crowdbench.system.distributed import ProcessInfo, launch_id
from crowdbench.system.files.reading import read_json
from crowdbench.system.files.writing import write_whole

if TYPE_CHECKING:
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

TIMEOUT_S = 600.0
_CONNECT_TIMEOUT = timedelta(seconds=20)
_POLL_S = 0.2


class _Address(msgspec.Struct):
    host: str
    port: int


def rendezvous_store(folder: Path, process: ProcessInfo) -> "TCPStore":
    """A connected store for `torch.distributed`.

    Args:
        folder: a folder that all processes see.
        process: this process.

    Raises:
        MachineError: the processes have not met within ten minutes, or the folder cannot be written to.
    """
    path = folder / f".meeting-{launch_id(os.environ)}.json"
    return _listen(path, process) if process.is_main else _connect(path, process)


def _listen(path: Path, process: ProcessInfo) -> "TCPStore":
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    host = os.environ.get("SLURMD_NODENAME", "localhost")
    store = TCPStore(
        host,
        0,
        process.world_size,
        is_master=True,
        wait_for_workers=False,
        timeout=timedelta(seconds=TIMEOUT_S),
    )
    write_whole(path, msgspec.json.encode(_Address(host, store.port)))
    store.set("first", "here")
    deadline = time.monotonic() + TIMEOUT_S
    while store.add("met", 0) < process.world_size - 1:
        if time.monotonic() > deadline:
            raise MachineError(
                f"{store.add('met', 0) + 1} of {process.world_size} processes reached {host}:{store.port}.\n"
                "See the logs of the others. Nodes must reach each other and share the folder of runs."
            )
        time.sleep(_POLL_S)
    path.unlink(missing_ok=True)
    return store


def _connect(path: Path, process: ProcessInfo) -> "TCPStore":
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    deadline = time.monotonic() + TIMEOUT_S
    problem = "the file did not appear"
    while time.monotonic() < deadline:
        try:
            address = read_json(path, _Address, "an address")
            store = TCPStore(
                address.host,
                address.port,
                process.world_size,
                is_master=False,
                wait_for_workers=False,
                timeout=_CONNECT_TIMEOUT,
            )
            store.get("first")
            store.add("met", 1)
            store.set_timeout(timedelta(seconds=TIMEOUT_S))
            return store
        # Not written yet, or left behind by an earlier job of the same id: try again.
        except (DataError, OSError, RuntimeError) as error:
            problem = str(error)
        time.sleep(_POLL_S)
    raise MachineError(
        f"{path}: process {process.rank} of {process.world_size} cannot reach the first one ({problem}).\n"
        "All processes must share the folder of runs and reach the first one's node."
    )
